//! DescribeDBInstances, and how an instance looks.
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::state::{Instance, State, SubnetGroup};
use super::{catalogue, errors};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, TagMap, doc, tags_out};

/// `{ DBInstance: … }`, the answer of the operations on one instance.
pub(super) fn answer(ctx: &mut Ctx<'_>, id: &str) -> Outcome {
    let (now, region) = (ctx.now(), ctx.region().to_owned());
    let state = ctx.state::<State>();
    let instance = state.instances.get(id).ok_or_else(|| errors::instance_not_found(id))?.clone();
    let group = subnet_group(state, &instance, &region);
    let tags = ctx.tags().of(&instance.arn);
    Ok(doc! { "DBInstance" => show(&instance, group, &tags, now) })
}

fn subnet_group(state: &State, instance: &Instance, region: &str) -> Doc {
    match state.subnet_groups.get(&instance.subnet_group) {
        Some(group) => show_subnet_group(group, region, true),
        None => doc! { "DBSubnetGroupName" => &instance.subnet_group, "DBSubnetGroupDescription" => "default",
        "VpcId" => "vpc-default", "SubnetGroupStatus" => "Complete" },
    }
}

/// A subnet group; inside an instance it comes without its ARN.
pub(super) fn show_subnet_group(group: &SubnetGroup, region: &str, inside: bool) -> Doc {
    let subnets: Doc = group
        .subnets
        .iter()
        .enumerate()
        .map(|(n, id)| {
            let zone = format!("{region}{}", ["a", "b", "c"][n % 3]);
            doc! { "SubnetIdentifier" => id, "SubnetAvailabilityZone" => doc! { "Name" => zone },
            "SubnetOutpost" => Doc::empty(), "SubnetStatus" => "Active" }
        })
        .collect();
    doc! {
        "DBSubnetGroupName" => &group.name,
        "DBSubnetGroupDescription" => &group.description,
        "VpcId" => "vpc-simaws",
        "SubnetGroupStatus" => "Complete",
        "Subnets" => subnets,
        "DBSubnetGroupArn" => (!inside).then(|| group.arn.clone()),
        "SupportedNetworkTypes" => (!inside).then(|| vec!["IPV4"]),
    }
}

/// An instance as readers see it now.
pub(super) fn show(instance: &Instance, subnet_group: Doc, tags: &TagMap, now: Timestamp) -> Doc {
    let i = instance.seen(now);
    let region = i.arn.split(':').nth(3).unwrap_or("");
    let hash = i.resource_id.get(3..15).unwrap_or("").to_ascii_lowercase();
    let endpoint = i.created.map(|_| {
        doc! { "Address" => format!("{}.{hash}.{region}.rds.amazonaws.com", i.id), "Port" => i.port, "HostedZoneId" => "Z2R2ITUGPM61AM" }
    });
    let groups: Doc =
        i.security_groups.iter().map(|g| doc! { "VpcSecurityGroupId" => g, "Status" => "active" }).collect();
    // Five minutes at most behind (User Guide, "Restoring to a specified time").
    let restorable = i.created.filter(|_| i.retention_days > 0).map(|created| {
        let five = now.as_second() - now.as_second().rem_euclid(300);
        Timestamp::from_second(five).unwrap_or(now).max(created)
    });
    let secret = i.secret.as_ref().map(|s| {
        doc! { "SecretArn" => &s.arn, "SecretStatus" => s.status, "KmsKeyId" => &s.kms_key }
    });
    let option_group =
        format!("default:{}-{}", i.engine, catalogue::major(&i.engine, &i.engine_version).replace('.', "-"));
    let mut out = doc! {
        "DBInstanceIdentifier" => &i.id,
        "DBInstanceArn" => &i.arn,
        "DbiResourceId" => &i.resource_id,
        "DBInstanceClass" => &i.class,
        "DBInstanceStatus" => &i.status,
        "Engine" => &i.engine,
        "EngineVersion" => &i.engine_version,
        "MasterUsername" => &i.username,
        "DBName" => i.db_name.clone(),
        "Endpoint" => endpoint,
        "AllocatedStorage" => i.storage_gib,
        "StorageType" => &i.storage_type,
        "Iops" => i.iops,
        "StorageThroughput" => i.throughput,
        "MaxAllocatedStorage" => i.max_storage_gib,
        "InstanceCreateTime" => i.created,
        "PreferredBackupWindow" => &i.backup_window,
        "BackupRetentionPeriod" => i.retention_days,
        "PreferredMaintenanceWindow" => &i.maintenance_window,
        "LatestRestorableTime" => restorable,
        "VpcSecurityGroups" => groups,
        "DBSubnetGroup" => subnet_group,
        "AvailabilityZone" => i.created.map(|_| i.zone.clone()),
        "MultiAZ" => i.multi_az,
        "SecondaryAvailabilityZone" => i.created.filter(|_| i.multi_az).map(|_| format!("{region}b")),
        "PendingModifiedValues" => &i.pending,
        "AutoMinorVersionUpgrade" => i.auto_minor,
        "LicenseModel" => &i.license,
        "PubliclyAccessible" => i.public,
    };
    let rest = doc! {
        "StorageEncrypted" => i.encrypted,
        "KmsKeyId" => i.kms_key.clone(),
        "DbInstancePort" => 0,
        "CACertificateIdentifier" => &i.ca,
        "CopyTagsToSnapshot" => i.copy_tags,
        "MonitoringInterval" => i.monitoring_seconds,
        "MonitoringRoleArn" => i.monitoring_role.clone(),
        "IAMDatabaseAuthenticationEnabled" => i.iam_auth,
        "PerformanceInsightsEnabled" => i.insights,
        "PerformanceInsightsRetentionPeriod" => i.insights_days.filter(|_| i.insights),
        "DeletionProtection" => i.protected,
        "MasterUserSecret" => secret,
        "CustomerOwnedIpEnabled" => false,
        "NetworkType" => "IPV4",
        "BackupTarget" => "region",
        "ActivityStreamStatus" => "stopped",
        "DedicatedLogVolume" => false,
        "DBParameterGroups" => vec![doc! { "DBParameterGroupName" => &i.parameter_group, "ParameterApplyStatus" => "in-sync" }],
        "OptionGroupMemberships" => vec![doc! { "OptionGroupName" => option_group, "Status" => "in-sync" }],
        "DBSecurityGroups" => Vec::<Doc>::new(),
        "ReadReplicaDBInstanceIdentifiers" => Vec::<Doc>::new(),
        "DomainMemberships" => Vec::<Doc>::new(),
        "AssociatedRoles" => Vec::<Doc>::new(),
        "TagList" => tags_out(tags, "Key", "Value"),
        "EngineLifecycleSupport" => "open-source-rds-extended-support",
    };
    if let Some(fields) = rest.fields() {
        for (name, value) in fields {
            out.set(name, value);
        }
    }
    if !i.log_exports.is_empty() {
        out.set("EnabledCloudwatchLogsExports", i.log_exports.iter().map(Doc::from).collect::<Doc>());
    }
    out
}

/// The identifier in a request: as given, or the end of an ARN; AWS keeps them in lower case.
pub(super) fn identifier(given: &str) -> String {
    let name = if given.starts_with("arn:") { given.splitn(7, ':').nth(6).unwrap_or(given) } else { given };
    name.to_ascii_lowercase()
}

/// The values of the filters by name; a filter the operation doesn't know is refused.
pub(super) fn filters(input: &Doc, known: &[&str]) -> Result<Vec<(String, BTreeSet<String>)>, AwsError> {
    let mut out = Vec::new();
    for filter in input.list("Filters") {
        let name = filter.need("Name");
        if !known.contains(&name) {
            return Err(errors::value(format!("Unrecognized filter name: {name}")));
        }
        let values: BTreeSet<String> = filter.texts("Values").into_iter().collect();
        if values.is_empty() {
            return Err(errors::combination(format!("Filter {name} must have at least one value.")));
        }
        out.push((name.to_owned(), values));
    }
    Ok(out)
}

/// API Reference, DescribeDBInstances: 100 a page, by identifier, by filter. A filter that fits nothing is no error.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let filters = filters(input, &["db-cluster-id", "db-instance-id", "dbi-resource-id", "domain", "engine"])?;
    let size = usize::try_from(input.int("MaxRecords").unwrap_or(100)).unwrap_or(100);
    let pager = Pager::new(ctx, "DescribeDBInstances", input.text("Marker"), size).map_err(|_| errors::bad_marker())?;
    let (now, region) = (ctx.now(), ctx.region().to_owned());
    if let Some(given) = input.text("DBInstanceIdentifier") {
        let id = identifier(given);
        let Doc::Map(mut one) = answer(ctx, &id)? else { return Ok(Doc::empty()) };
        let instance = one.remove("DBInstance").unwrap_or_default();
        let found: Vec<Doc> = if fits(&filters, &instance) { vec![instance] } else { Vec::new() };
        return Ok(doc! { "DBInstances" => found });
    }
    // The common filter asks by key: no scan.
    let by_id: Option<BTreeSet<String>> = filters
        .iter()
        .find(|(name, _)| name == "db-instance-id")
        .map(|(_, values)| values.iter().map(|v| identifier(v)).collect());
    let state = ctx.peek::<State>();
    let tags = ctx.peek_tags();
    let all: Box<dyn Iterator<Item = &Instance>> = match (state, &by_id) {
        (None, _) => Box::new(std::iter::empty()),
        (Some(state), Some(ids)) => {
            Box::new(ids.range::<str, _>(pager.range()).filter_map(|id| state.instances.get(id)))
        }
        (Some(state), None) => Box::new(state.instances.range::<str, _>(pager.range()).map(|(_, i)| i)),
    };
    let shown = all.filter_map(|i| {
        let group = state.map(|s| subnet_group(s, i, &region)).unwrap_or_default();
        let none = TagMap::new();
        let doc = show(i, group, tags.and_then(|t| t.get(&i.arn)).unwrap_or(&none), now);
        fits(&filters, &doc).then_some((i.id.as_str(), doc))
    });
    let (page, marker) = pager.take(shown);
    Ok(doc! { "DBInstances" => page, "Marker" => marker })
}

fn fits(filters: &[(String, BTreeSet<String>)], instance: &Doc) -> bool {
    filters.iter().all(|(name, values)| match name.as_str() {
        "db-instance-id" => values.iter().any(|v| identifier(v) == instance.need("DBInstanceIdentifier")),
        "dbi-resource-id" => values.contains(instance.need("DbiResourceId")),
        "engine" => values.contains(instance.need("Engine")),
        // Neither clusters nor domains exist here.
        _ => false,
    })
}

/// How far from `from` to `to` it is at `now`, in percent.
pub(super) fn percent(from: Timestamp, to: Timestamp, now: Timestamp) -> i64 {
    let whole = to.duration_since(from);
    if now >= to || whole <= SignedDuration::ZERO {
        return 100;
    }
    let done = now.duration_since(from).max(SignedDuration::ZERO);
    (done.as_secs_f64() / whole.as_secs_f64() * 100.0) as i64
}
