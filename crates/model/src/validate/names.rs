//! Which names AWS and Kubernetes accept. Each rule stands with its text for people and its source.

fn within(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len())
}

fn alnum_or(text: &str, others: &[u8]) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
}

/// Kubernetes: object names.
pub(super) const DNS_LABEL: &str =
    "must be a DNS label: at most 63 lower-case letters, digits and hyphens, with a letter or digit at both ends";

/// Whether a name is a DNS label.
pub(super) fn is_dns_label(text: &str) -> bool {
    within(text, 1, 63)
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Kubernetes: label keys.
pub(super) const LABEL_KEY: &str = "is not a label key: [prefix/]name, the name at most 63 letters, digits, -, _ and .";

/// Whether a text is a label key.
pub(super) fn is_label_key(text: &str) -> bool {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            if !within(prefix, 1, 253) || !prefix.split('.').all(is_dns_label) {
                return false;
            }
            name
        }
        None => text,
    };
    !name.is_empty() && is_label_value(name)
}

/// Kubernetes: label values.
pub(super) const LABEL_VALUE: &str = "is not a label value: at most 63 letters, digits, -, _ and .";

/// Whether a text is a label value.
pub(super) fn is_label_value(text: &str) -> bool {
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.is_empty()
        || (within(text, 1, 63)
            && alnum_or(text, b"-_.")
            && ends(text.bytes().next())
            && ends(text.bytes().next_back()))
}

/// Amazon ECS API Reference: CreateCluster clusterName, CreateService serviceName, RegisterTaskDefinition family.
pub(super) const ECS_NAME: &str = "must be 1 to 255 letters, digits, hyphens and underscores";

/// Whether ECS takes a name.
pub(super) fn is_ecs_name(text: &str) -> bool {
    within(text, 1, 255) && alnum_or(text, b"-_")
}

/// Elastic Load Balancing API Reference, CreateTargetGroup, Name.
pub(super) const TARGET_GROUP_NAME: &str = "must be 1 to 32 letters, digits and hyphens, with no hyphen at either end";

/// Whether ELB takes a target group's name.
pub(super) fn is_target_group_name(text: &str) -> bool {
    within(text, 1, 32) && alnum_or(text, b"-") && !text.starts_with('-') && !text.ends_with('-')
}

/// CloudWatch Logs API Reference, CreateLogGroup, logGroupName.
pub(super) const LOG_GROUP_NAME: &str = "must be 1 to 512 letters, digits and . - _ / #, and must not start with aws/";

/// Whether CloudWatch Logs takes a group's name.
pub(super) fn is_log_group_name(text: &str) -> bool {
    within(text, 1, 512) && alnum_or(text, b".-_/#") && !text.starts_with("aws/")
}

/// Amazon RDS API Reference, CreateDBInstance, DBInstanceIdentifier; CreateDBSnapshot, DBSnapshotIdentifier.
pub(super) const RDS_IDENTIFIER: &str =
    "must be 1 to 63 letters, digits and hyphens, start with a letter, not end with a hyphen, and hold no two in a row";

/// Whether RDS takes an identifier.
pub(super) fn is_rds_identifier(text: &str) -> bool {
    within(text, 1, 63)
        && alnum_or(text, b"-")
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with('-')
        && !text.contains("--")
        // RDS stores identifiers in lower case; another spelling would differ from itself for ever.
        && text.bytes().all(|b| !b.is_ascii_uppercase())
}

/// AWS Secrets Manager API Reference, CreateSecret, Name.
pub(super) const SECRET_NAME: &str = "must be 1 to 512 letters, digits and / _ + = . @ -";

/// Whether Secrets Manager takes a name.
pub(super) fn is_secret_name(text: &str) -> bool {
    within(text, 1, 512) && alnum_or(text, b"/_+=.@-")
}

/// Whether a text is an AWS resource id such as `subnet-0a1b2c3d`: its prefix, then 8 to 17 hexadecimal digits.
pub(super) fn is_resource_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|hex| within(hex, 8, 17) && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
}

/// The parts of an ARN: partition, service, region, account, resource.
pub(super) struct Arn<'a> {
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) resource: &'a str,
}

/// Splits an ARN; `None` when it is none.
pub(super) fn arn(text: &str) -> Option<Arn<'_>> {
    let mut parts = text.splitn(6, ':');
    if parts.next()? != "arn" || !parts.next()?.starts_with("aws") {
        return None;
    }
    let (service, region, account, resource) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (!service.is_empty() && !resource.is_empty()).then_some(Arn { service, region, account, resource })
}
