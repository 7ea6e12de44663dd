//! What happens to databases without anyone calling the API: for tests and scripted drift, through
//! [`Sim::with`](crate::Sim::with).
use super::state::{Due, State};
use super::{catalogue, settle};
use crate::Ctx;

/// Puts an instance into a status that it stays in: `storage-full`, `failed`, `stopped`, `available`, … False when
/// there is no such instance.
pub fn set_status(ctx: &mut Ctx<'_>, id: &str, status: &str) -> bool {
    let state = ctx.state::<State>();
    let Some(instance) = state.instances.get_mut(id) else { return false };
    instance.phases.clear();
    status.clone_into(&mut instance.status);
    state.agenda.cancel(&Due::Phase(id.to_owned()));
    settle::schedule(ctx, id);
    true
}

/// AWS upgrades an instance to the newest minor version of its major, as with AutoMinorVersionUpgrade. The version
/// it has then.
pub fn upgrade_minor(ctx: &mut Ctx<'_>, id: &str) -> Option<String> {
    let instance = ctx.state::<State>().instances.get_mut(id)?;
    let newest = catalogue::newest_minor(&instance.engine, &instance.engine_version)?;
    newest.clone_into(&mut instance.engine_version);
    Some(newest.to_owned())
}

/// Storage autoscaling grows an instance's storage. False when there is no such instance.
pub fn grow_storage(ctx: &mut Ctx<'_>, id: &str, gib: i64) -> bool {
    match ctx.state::<State>().instances.get_mut(id) {
        Some(instance) => {
            instance.storage_gib = gib;
            true
        }
        None => false,
    }
}

/// A snapshot fails. False when there is no such snapshot.
pub fn fail_snapshot(ctx: &mut Ctx<'_>, id: &str) -> bool {
    let state = ctx.state::<State>();
    state.agenda.cancel(&Due::Snapshot(id.to_owned()));
    match state.snapshots.get_mut(id) {
        Some(snapshot) => {
            snapshot.status = "failed";
            true
        }
        None => false,
    }
}
