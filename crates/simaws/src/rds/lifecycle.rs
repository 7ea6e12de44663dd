//! Deleting, rebooting, stopping and starting an instance.
use super::state::{Instance, Phase, State, Then};
use super::{describe, errors, settle, snapshots};
use crate::{AwsError, Ctx, Doc, Outcome};

fn find(ctx: &mut Ctx<'_>, input: &Doc) -> Result<Instance, AwsError> {
    let id = describe::identifier(input.need("DBInstanceIdentifier"));
    ctx.state::<State>().instances.get(&id).cloned().ok_or_else(|| errors::instance_not_found(&id))
}

fn begin(ctx: &mut Ctx<'_>, id: &str, phase: Phase) -> Outcome {
    let now = ctx.now();
    let state = ctx.state::<State>();
    if let Some(instance) = state.instances.get_mut(id) {
        instance.begin([phase], now, &mut state.agenda);
    }
    settle::schedule(ctx, id);
    describe::answer(ctx, id)
}

/// API Reference, DeleteDBInstance.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let instance = find(ctx, input)?;
    let id = &instance.id;
    let skip = input.flag("SkipFinalSnapshot").unwrap_or(false);
    let last = input.owned("FinalDBSnapshotIdentifier").map(|s| s.to_ascii_lowercase());
    match (skip, &last) {
        (true, Some(_)) => {
            let message = "FinalDBSnapshotIdentifier can not be specified when deleting with SkipFinalSnapshot.";
            return Err(errors::combination(message));
        }
        (false, None) => {
            let message = "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.";
            return Err(errors::combination(message));
        }
        _ => {}
    }
    if instance.status == "deleting" {
        return Err(errors::instance_state(format!("Instance {id} is already being deleted.")));
    }
    if instance.protected {
        let message = "Cannot delete protected DB Instance, please disable deletion protection and try again.";
        return Err(errors::combination(message));
    }
    if let Some(name) = &last {
        snapshots::check_new(ctx, name)?;
        // "failed", "incompatible-restore" and "incompatible-network" only go without (API Reference).
        if !["available", "storage-full", "storage-optimization", "stopped"].contains(&instance.status.as_str()) {
            return Err(snapshots::unavailable(id));
        }
    }
    let mut lasts = ctx.timings().rds_delete;
    if let Some(name) = &last {
        let tags = if instance.copy_tags { ctx.tags().of(&instance.arn) } else { crate::TagMap::new() };
        snapshots::begin(ctx, &instance, name, "manual", tags);
        lasts += ctx.timings().snapshot_create;
    }
    begin(ctx, id, Phase { status: "deleting", lasts, then: Then::Gone })
}

fn need_status(instance: &Instance, wanted: &str) -> Result<(), AwsError> {
    if instance.status == wanted {
        return Ok(());
    }
    Err(errors::instance_state(format!("Instance {} is not in {wanted} state.", instance.id)))
}

/// API Reference, RebootDBInstance.
pub(super) fn reboot(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let instance = find(ctx, input)?;
    need_status(&instance, "available")?;
    if input.flag("ForceFailover").unwrap_or(false) && !instance.multi_az {
        let message = "Cannot reboot with failover because the instance is not configured for Multi-AZ.";
        return Err(errors::combination(message));
    }
    let lasts = ctx.timings().rds_reboot;
    begin(ctx, &instance.id, Phase { status: "rebooting", lasts, then: Then::Nothing })
}

/// API Reference, StopDBInstance.
pub(super) fn stop(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let instance = find(ctx, input)?;
    need_status(&instance, "available")?;
    let lasts = ctx.timings().rds_reboot;
    begin(ctx, &instance.id, Phase { status: "stopping", lasts, then: Then::Rest("stopped") })
}

/// API Reference, StartDBInstance.
pub(super) fn start(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let instance = find(ctx, input)?;
    need_status(&instance, "stopped")?;
    let lasts = ctx.timings().rds_reboot;
    begin(ctx, &instance.id, Phase { status: "starting", lasts, then: Then::Nothing })
}
