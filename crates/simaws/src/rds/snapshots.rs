//! Snapshots: taken, described, deleted. Copies are in `copies`.
use super::describe::{filters, identifier, percent};
use super::state::{Due, Instance, Snapshot, State};
use super::{errors, settle};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, TagMap, doc, tags_in, tags_out};

/// Quotas and constraints page: manual snapshots per region.
const MANUAL_QUOTA: usize = 100;

/// A new snapshot's identifier is free and well formed, and the region's quota not used up.
pub(super) fn check_new(ctx: &mut Ctx<'_>, id: &str) -> Result<(), AwsError> {
    if id.contains("--") || id.ends_with('-') || !id.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let message = format!(
            "The parameter DBSnapshotIdentifier is not a valid identifier: {id}. Identifiers must begin with a letter; \
             must contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two \
             consecutive hyphens."
        );
        return Err(errors::value(message));
    }
    let state = ctx.state::<State>();
    if state.snapshots.contains_key(id) {
        return Err(errors::snapshot_exists(id));
    }
    if state.manual_snapshots() >= MANUAL_QUOTA {
        let message = format!("Cannot create more than {MANUAL_QUOTA} manual snapshots");
        return Err(AwsError::new("SnapshotQuotaExceeded", message));
    }
    Ok(())
}

pub(super) fn unavailable(instance: &str) -> AwsError {
    errors::instance_state(format!(
        "Cannot create a snapshot because the database instance {instance} is not currently in the available state."
    ))
}

/// A snapshot of the instance is on its way.
pub(super) fn begin(ctx: &mut Ctx<'_>, instance: &Instance, id: &str, kind: &'static str, tags: TagMap) {
    let (now, fails) = (ctx.now(), ctx.fails_later());
    let arn = ctx.arn("rds", &format!("snapshot:{id}"));
    let snapshot = Snapshot {
        id: id.to_owned(),
        arn: arn.clone(),
        instance: instance.id.clone(),
        resource_id: instance.resource_id.clone(),
        kind,
        status: "creating",
        begun: now,
        starts: now,
        done: now + ctx.timings().snapshot_create,
        taken: None,
        original: now,
        instance_created: instance.created,
        engine: instance.engine.clone(),
        engine_version: instance.engine_version.clone(),
        username: instance.username.clone(),
        port: instance.port,
        zone: instance.zone.clone(),
        storage_gib: instance.storage_gib,
        storage_type: instance.storage_type.clone(),
        iops: instance.iops,
        throughput: instance.throughput,
        license: instance.license.clone(),
        encrypted: instance.encrypted,
        kms_key: instance.kms_key.clone(),
        iam_auth: instance.iam_auth,
        source_region: None,
        source: None,
        fails,
    };
    ctx.state::<State>().add_snapshot(snapshot);
    ctx.tags().register(&arn, tags, now);
}

/// A snapshot's time has come. A copy whose source is gone meanwhile fails (User Guide, "Copying a DB snapshot").
pub(super) fn complete(ctx: &mut Ctx<'_>, id: &str) {
    let now = ctx.now();
    let Some(snapshot) = ctx.state::<State>().snapshots.get(id).cloned() else { return };
    let orphan = match (&snapshot.source_region, &snapshot.source) {
        (Some(region), Some(source)) if *region != *ctx.region() => {
            let name = identifier(source);
            ctx.in_region(region, |there| !there.state::<State>().snapshots.contains_key(&name))
        }
        _ => false,
    };
    if let Some(snapshot) = ctx.state::<State>().snapshots.get_mut(id) {
        snapshot.status = if snapshot.fails || orphan { "failed" } else { "available" };
        snapshot.taken = Some(now);
    }
}

pub(super) fn show(s: &Snapshot, tags: &TagMap, now: jiff::Timestamp) -> Doc {
    let progress = match s.status {
        "creating" => percent(s.starts, s.done, now).min(99),
        "failed" => 0,
        _ => 100,
    };
    doc! {
        "DBSnapshotIdentifier" => &s.id,
        "DBSnapshotArn" => &s.arn,
        "DBInstanceIdentifier" => &s.instance,
        "DbiResourceId" => &s.resource_id,
        "SnapshotType" => s.kind,
        "Status" => s.status,
        "PercentProgress" => progress,
        "SnapshotCreateTime" => s.taken,
        "OriginalSnapshotCreateTime" => s.taken.map(|_| s.original),
        "InstanceCreateTime" => s.instance_created,
        "Engine" => &s.engine,
        "EngineVersion" => &s.engine_version,
        "MasterUsername" => &s.username,
        "Port" => s.port,
        "AvailabilityZone" => &s.zone,
        "VpcId" => "vpc-simaws",
        "AllocatedStorage" => s.storage_gib,
        "StorageType" => &s.storage_type,
        "Iops" => s.iops,
        "StorageThroughput" => s.throughput,
        "LicenseModel" => &s.license,
        "Encrypted" => s.encrypted,
        "KmsKeyId" => s.kms_key.clone(),
        "IAMDatabaseAuthenticationEnabled" => s.iam_auth,
        "SourceRegion" => s.source_region.clone(),
        "SourceDBSnapshotIdentifier" => s.source.clone(),
        "SnapshotTarget" => "region",
        "OptionGroupName" => format!("default:{}-{}", s.engine, super::catalogue::major(&s.engine, &s.engine_version).replace('.', "-")),
        "ProcessorFeatures" => Vec::<Doc>::new(),
        "TagList" => tags_out(tags, "Key", "Value"),
    }
}

/// `{ DBSnapshot: … }`.
pub(super) fn answer(ctx: &mut Ctx<'_>, id: &str) -> Outcome {
    let now = ctx.now();
    let snapshot = ctx.state::<State>().snapshots.get(id).cloned().ok_or_else(|| errors::snapshot_not_found(id))?;
    let tags = ctx.tags().of(&snapshot.arn);
    Ok(doc! { "DBSnapshot" => show(&snapshot, &tags, now) })
}

/// API Reference, CreateDBSnapshot: the instance must be available, and is `backing-up` meanwhile.
pub(super) fn create(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let id = input.need("DBSnapshotIdentifier").to_ascii_lowercase();
    let name = identifier(input.need("DBInstanceIdentifier"));
    let instance =
        ctx.state::<State>().instances.get(&name).cloned().ok_or_else(|| errors::instance_not_found(&name))?;
    check_new(ctx, &id)?;
    if !["available", "storage-optimization"].contains(&instance.status.as_str()) {
        return Err(unavailable(&name));
    }
    let mut tags = if instance.copy_tags { ctx.tags().of(&instance.arn) } else { TagMap::new() };
    tags.extend(tags_in(input.list("Tags"), "Key", "Value"));
    begin(ctx, &instance, &id, "manual", tags);
    let lasts = ctx.timings().snapshot_create;
    settle::back_up(ctx, &name, lasts);
    answer(ctx, &id)
}

/// API Reference, DeleteDBSnapshot: available or failed manual snapshots only.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let id = identifier(input.need("DBSnapshotIdentifier"));
    let (now, lasts) = (ctx.now(), ctx.timings().snapshot_delete);
    let state = ctx.state::<State>();
    let snapshot = state.snapshots.get_mut(&id).ok_or_else(|| errors::snapshot_not_found(&id))?;
    if snapshot.kind != "manual" {
        return Err(errors::snapshot_state(format!("Snapshot {id} is automated and can't be deleted.")));
    }
    if !["available", "failed"].contains(&snapshot.status) {
        let message =
            format!("Cannot delete the snapshot because it is not currently in the available or failed state: {id}");
        return Err(errors::snapshot_state(message));
    }
    snapshot.status = "deleting";
    let mut last = answer(ctx, &id)?;
    if let Doc::Map(fields) = &mut last
        && let Some(shown) = fields.get_mut("DBSnapshot")
    {
        shown.set("Status", "deleted");
    }
    if lasts.is_zero() {
        if let Some(gone) = ctx.state::<State>().remove_snapshot(&id) {
            ctx.tags().forget(&gone.arn, now);
        }
    } else {
        ctx.state::<State>().agenda.set(Due::SnapshotGone(id), now + lasts);
    }
    Ok(last)
}

/// API Reference, DescribeDBSnapshots: manual and automated unless told, 100 a page.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let known = ["db-instance-id", "db-snapshot-id", "dbi-resource-id", "snapshot-type", "engine"];
    let filters = filters(input, &known)?;
    let kind = input.text("SnapshotType");
    let size = usize::try_from(input.int("MaxRecords").unwrap_or(100)).unwrap_or(100);
    let pager = Pager::new(ctx, "DescribeDBSnapshots", input.text("Marker"), size).map_err(|_| errors::bad_marker())?;
    let now = ctx.now();
    let wanted_id = input.text("DBSnapshotIdentifier").map(identifier);
    if let Some(id) = &wanted_id
        && !ctx.state::<State>().snapshots.contains_key(id)
    {
        return Err(errors::snapshot_not_found(id));
    }
    let instance = input.text("DBInstanceIdentifier").map(identifier);
    let resource = input.text("DbiResourceId");
    let (state, tags) = (ctx.peek::<State>(), ctx.peek_tags());
    let none = TagMap::new();
    let all: Box<dyn Iterator<Item = &Snapshot>> = match (state, &wanted_id, &instance) {
        (None, ..) => Box::new(std::iter::empty()),
        (Some(state), Some(id), _) => Box::new(state.snapshots.get(id).into_iter()),
        (Some(state), None, Some(instance)) => {
            let ids = state.by_instance.get(instance);
            let ids = ids.map(|ids| ids.range::<str, _>(pager.range())).into_iter().flatten();
            Box::new(ids.filter_map(|id| state.snapshots.get(id)))
        }
        (Some(state), None, None) => Box::new(state.snapshots.range::<str, _>(pager.range()).map(|(_, s)| s)),
    };
    let shown = all
        // `shared`, `public` and `awsbackup` are known, and there are none of them.
        .filter(|s| kind.is_none_or(|k| k == s.kind))
        .filter(|s| instance.as_ref().is_none_or(|i| *i == s.instance))
        .filter(|s| resource.is_none_or(|r| r == s.resource_id))
        .filter(|s| {
            filters.iter().all(|(name, values)| match name.as_str() {
                "db-instance-id" => values.iter().any(|v| identifier(v) == s.instance),
                "db-snapshot-id" => values.iter().any(|v| identifier(v) == s.id),
                "dbi-resource-id" => values.contains(&s.resource_id),
                "snapshot-type" => values.contains(s.kind),
                _ => values.contains(&s.engine),
            })
        })
        .map(|s| (s.id.as_str(), show(s, tags.and_then(|t| t.get(&s.arn)).unwrap_or(&none), now)));
    let (page, marker) = pager.take(shown);
    Ok(doc! { "DBSnapshots" => page, "Marker" => marker })
}

/// API Reference, DescribeDBSnapshotAttributes: nobody else may restore it.
pub(super) fn describe_attributes(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let id = identifier(input.need("DBSnapshotIdentifier"));
    if !ctx.state::<State>().snapshots.contains_key(&id) {
        return Err(errors::snapshot_not_found(&id));
    }
    let restore = doc! { "AttributeName" => "restore", "AttributeValues" => Vec::<Doc>::new() };
    Ok(
        doc! { "DBSnapshotAttributesResult" => doc! { "DBSnapshotIdentifier" => id, "DBSnapshotAttributes" => vec![restore] } },
    )
}
