//! Log groups themselves. Must not deal with tags beyond registering and forgetting them.
use super::{Group, State, not_found};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc};

/// CloudWatch Logs API Reference, PutRetentionPolicy: the possible values.
const RETENTIONS: [i64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

pub(super) fn arn(ctx: &Ctx<'_>, name: &str) -> String {
    ctx.arn("logs", &format!("log-group:{name}"))
}

/// API Reference, CreateLogGroup.
pub(super) fn create(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("logGroupName").to_owned();
    if name.starts_with("aws/") {
        return Err(AwsError::new("InvalidParameterException", "Log groups starting with AWS/ are reserved for AWS."));
    }
    let (now, arn) = (ctx.now(), arn(ctx, &name));
    let state = ctx.state::<State>();
    if state.groups.contains_key(&name) {
        return Err(AwsError::new("ResourceAlreadyExistsException", "The specified log group already exists"));
    }
    let group = Group {
        created_millis: now.as_millisecond(),
        retention_days: None,
        kms_key: input.owned("kmsKeyId"),
        class: input.text("logGroupClass").unwrap_or("STANDARD").to_owned(),
        protected: input.flag("deletionProtectionEnabled").unwrap_or(false),
    };
    state.groups.insert(name, group);
    ctx.tags().register(&arn, input.text_map("tags"), now);
    Ok(Doc::empty())
}

/// API Reference, DeleteLogGroup.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("logGroupName");
    let (now, arn) = (ctx.now(), arn(ctx, name));
    let state = ctx.state::<State>();
    let group = state.groups.get(name).ok_or_else(not_found)?;
    if group.protected {
        let message = "The log group has deletion protection enabled and cannot be deleted.";
        return Err(AwsError::new("ValidationException", message));
    }
    state.groups.remove(name);
    ctx.tags().forget(&arn, now);
    Ok(Doc::empty())
}

fn describe_one(arn: &str, name: &str, group: &Group) -> Doc {
    doc! {
        "logGroupName" => name,
        "arn" => format!("{arn}:*"),
        "logGroupArn" => arn,
        "creationTime" => group.created_millis,
        "retentionInDays" => group.retention_days,
        "kmsKeyId" => group.kms_key.clone(),
        "metricFilterCount" => 0,
        "storedBytes" => 0,
        "logGroupClass" => &group.class,
        "deletionProtectionEnabled" => group.protected,
    }
}

/// API Reference, DescribeLogGroups: sorted by name, 50 a page, by prefix, by pattern (a substring), or up to 50
/// by identifier (a name or an ARN without `:*`); identifiers that don't exist are left out.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let prefix = input.text("logGroupNamePrefix").unwrap_or("").to_owned();
    let pattern = input.text("logGroupNamePattern").map(str::to_lowercase);
    let class = input.owned("logGroupClass");
    if !prefix.is_empty() && pattern.is_some() {
        let message = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.";
        return Err(AwsError::new("InvalidParameterException", message));
    }
    let size = input.int("limit").unwrap_or(50) as usize;
    let pager = Pager::new(ctx, "DescribeLogGroups", input.text("nextToken"), size)
        .map_err(|_| AwsError::new("InvalidParameterException", "The specified nextToken is invalid."))?;
    let base = arn(ctx, "");
    let state = ctx.state::<State>();
    if input.has("logGroupIdentifiers") {
        let mut found = std::collections::BTreeMap::new();
        for identifier in input.texts("logGroupIdentifiers") {
            let name = identifier.strip_prefix(&base).unwrap_or(&identifier);
            if identifier.ends_with(":*") {
                return Err(AwsError::new("InvalidParameterException", "An ARN must not end with an asterisk."));
            }
            if let Some(group) = state.groups.get(name) {
                found.insert(name.to_owned(), describe_one(&format!("{base}{name}"), name, group));
            }
        }
        return Ok(doc! { "logGroups" => found.into_values().collect::<Doc>() });
    }
    let groups = state
        .groups
        .range::<str, _>(pager.range_from(&prefix))
        .take_while(|(name, _)| name.starts_with(&prefix))
        .filter(|(name, _)| pattern.as_ref().is_none_or(|p| name.to_lowercase().contains(p)))
        .filter(|(_, group)| class.as_ref().is_none_or(|c| *c == group.class))
        .map(|(name, group)| (name, describe_one(&format!("{base}{name}"), name, group)));
    let (page, token) = pager.take(groups);
    Ok(doc! { "logGroups" => page, "nextToken" => token })
}

/// API Reference, PutRetentionPolicy.
pub(super) fn put_retention(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let days = input.int("retentionInDays").unwrap_or(0);
    let group = ctx.state::<State>().groups.get_mut(input.need("logGroupName")).ok_or_else(not_found)?;
    if !RETENTIONS.contains(&days) {
        let message = format!("{days} is not a valid retention in days.");
        return Err(AwsError::new("InvalidParameterException", message));
    }
    group.retention_days = Some(days);
    Ok(Doc::empty())
}

/// API Reference, DeleteRetentionPolicy.
pub(super) fn delete_retention(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let group = ctx.state::<State>().groups.get_mut(input.need("logGroupName")).ok_or_else(not_found)?;
    group.retention_days = None;
    Ok(Doc::empty())
}
