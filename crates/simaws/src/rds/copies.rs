//! CopyDBSnapshot: within a region or from another one. The call goes to the target region.
use jiff::Timestamp;

use super::create::key_arn;
use super::describe::identifier;
use super::state::{Snapshot, State};
use super::{errors, snapshots};
use crate::{AwsError, Ctx, Doc, Outcome, TagMap, tags_in};

/// User Guide, "Copying a DB snapshot", Limitations: copies in progress into one region.
const IN_PROGRESS: usize = 20;

/// The region of a source that is an ARN, and the snapshot's name.
fn source(ctx: &Ctx<'_>, given: &str) -> Result<(String, String), AwsError> {
    let Some(rest) = given.strip_prefix("arn:") else {
        return Ok((ctx.region().to_owned(), given.to_ascii_lowercase()));
    };
    match rest.splitn(6, ':').collect::<Vec<_>>()[..] {
        [_, "rds", region, account, "snapshot", name] if account == ctx.account() => {
            Ok((region.to_owned(), name.to_ascii_lowercase()))
        }
        _ => Err(errors::value(format!("Invalid ARN: {given}"))),
    }
}

/// API Reference, CopyDBSnapshot.
pub(super) fn copy(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let given = input.need("SourceDBSnapshotIdentifier");
    let (region, name) = source(ctx, given)?;
    let id = input.need("TargetDBSnapshotIdentifier").to_ascii_lowercase();
    let found: Option<(Snapshot, TagMap)> = ctx.in_region(&region, |there| {
        let snapshot = there.state::<State>().snapshots.get(&name).cloned()?;
        let tags = there.tags().of(&snapshot.arn);
        Some((snapshot, tags))
    });
    let (original, original_tags) = found.ok_or_else(|| errors::snapshot_not_found(given))?;
    let across = region != ctx.region();
    if original.status != "available" {
        let message = format!("Cannot copy the snapshot because it is not currently in the available state: {name}");
        return Err(errors::snapshot_state(message));
    }
    let kms_key = match (input.text("KmsKeyId"), &original.kms_key) {
        (Some(key), _) => Some(key_arn(ctx, key)?),
        (None, Some(_)) if across => return Err(errors::key_not_accessible(None)),
        (None, kept) => kept.clone(),
    };
    snapshots::check_new(ctx, &id)?;
    let now = ctx.now();
    let fails = ctx.fails_later();
    let running = |s: &Snapshot| s.status == "creating" && s.source_region.is_some();
    let state = ctx.state::<State>();
    if across && state.snapshots.values().filter(|s| running(s)).count() >= IN_PROGRESS {
        let message = format!("Cannot copy more than {IN_PROGRESS} snapshots across regions");
        return Err(AwsError::new("SnapshotQuotaExceeded", message));
    }
    // Copies of one instance's snapshots run one after the other.
    let free = state.copies_until.get(&original.instance).copied().unwrap_or(Timestamp::MIN);
    let starts = now.max(free);
    let done = starts + ctx.timings().snapshot_copy;
    ctx.state::<State>().copies_until.insert(original.instance.clone(), done);
    let mut tags = if input.flag("CopyTags").unwrap_or(false) { original_tags } else { TagMap::new() };
    tags.extend(tags_in(input.list("Tags"), "Key", "Value"));
    let arn = ctx.arn("rds", &format!("snapshot:{id}"));
    let copy = Snapshot {
        id: id.clone(),
        // Only a copy from elsewhere tells its source (API Reference, DBSnapshot).
        source: across.then(|| original.arn.clone()),
        source_region: across.then_some(region),
        arn: arn.clone(),
        kind: "manual",
        status: "creating",
        begun: now,
        starts,
        done,
        taken: None,
        encrypted: kms_key.is_some(),
        kms_key,
        fails,
        zone: format!("{}a", ctx.region()),
        ..original
    };
    ctx.state::<State>().add_snapshot(copy);
    ctx.tags().register(&arn, tags, now);
    let mut answer = snapshots::answer(ctx, &identifier(&id))?;
    if let Doc::Map(fields) = &mut answer
        && let Some(shown) = fields.get_mut("DBSnapshot")
    {
        // No progress is shown before a copy has begun.
        shown.set("PercentProgress", 0);
    }
    Ok(answer)
}
