//! What happens by itself: phases end, maintenance windows open, backups are taken, snapshots complete.
use jiff::SignedDuration;

use super::state::{Due, Instance, Phase, State, Then};
use super::windows::Window;
use super::{modify, snapshots};
use crate::{Ctx, secretsmanager};

/// Does what is due at `ctx.now()`.
pub(super) fn settle(ctx: &mut Ctx<'_>) {
    let now = ctx.now();
    while let Some((_, due)) = ctx.state::<State>().agenda.pop(now) {
        match due {
            Due::Phase(id) => phase_ends(ctx, &id),
            Due::Maintenance(id) => maintenance(ctx, &id),
            Due::Backup(id) => backup(ctx, &id),
            Due::Snapshot(id) => snapshots::complete(ctx, &id),
            Due::SnapshotGone(id) => {
                if let Some(gone) = ctx.state::<State>().remove_snapshot(&id) {
                    ctx.tags().forget(&gone.arn, now);
                }
            }
        }
    }
}

fn phase_ends(ctx: &mut Ctx<'_>, id: &str) {
    let now = ctx.now();
    let state = ctx.state::<State>();
    let Some(instance) = state.instances.get_mut(id) else { return };
    let Some(phase) = instance.phases.pop_front() else { return };
    let (mut rest, mut off) = ("available", false);
    match phase.then {
        Then::Nothing => {}
        Then::Created => {
            instance.created = Some(now);
            if let Some(secret) = &mut instance.secret {
                secret.status = "active";
            }
        }
        Then::Apply(values) => {
            if values.has("AllocatedStorage") || values.has("StorageType") {
                instance.storage_changed = Some(now);
            }
            instance.apply(&values);
            off = values.int("BackupRetentionPeriod") == Some(0);
        }
        Then::SecretActive => {
            if let Some(secret) = &mut instance.secret {
                secret.status = "active";
            }
        }
        Then::Rest(status) => rest = status,
        Then::Gone => {
            gone(ctx, id);
            return;
        }
    }
    match instance.phases.front() {
        Some(next) => {
            instance.status = next.status.to_owned();
            state.agenda.set(Due::Phase(id.to_owned()), now + next.lasts);
        }
        None => instance.status = rest.to_owned(),
    }
    // Switching automated backups off deletes them at once (User Guide, "Disabling automated backups").
    if off && let Some(instance) = ctx.state::<State>().instances.get(id).cloned() {
        drop_automated(ctx, &instance, |_| true);
    }
    schedule(ctx, id);
}

/// Keeps the agenda in step with an instance's windows, retention and pending values.
pub(super) fn schedule(ctx: &mut Ctx<'_>, id: &str) {
    let now = ctx.now();
    let state = ctx.state::<State>();
    let Some(instance) = state.instances.get(id) else { return };
    let maintenance = Due::Maintenance(id.to_owned());
    let pending = instance.pending.fields().is_some_and(|f| !f.is_empty());
    match Window::weekly(&instance.maintenance_window).filter(|_| pending && instance.phases.is_empty()) {
        Some(window) => state.agenda.set(maintenance, window.opens(now)),
        None => state.agenda.cancel(&maintenance),
    }
    let backup = Due::Backup(id.to_owned());
    match Window::daily(&instance.backup_window).filter(|_| instance.retention_days > 0) {
        Some(window) => state.agenda.set(backup, window.opens(now)),
        None => state.agenda.cancel(&backup),
    }
}

/// The maintenance window opens: what is pending is done now.
fn maintenance(ctx: &mut Ctx<'_>, id: &str) {
    let available = ctx.state::<State>().instances.get(id).is_some_and(|i| i.status == "available");
    if available {
        modify::flush(ctx, id);
    }
    schedule(ctx, id);
}

/// The backup window opens: an automated snapshot, and the instance is `backing-up` meanwhile. Old ones go.
fn backup(ctx: &mut Ctx<'_>, id: &str) {
    let now = ctx.now();
    let lasts = ctx.timings().snapshot_create;
    let Some(instance) = ctx.state::<State>().instances.get(id).cloned() else { return };
    if instance.status == "available" {
        let name = format!("rds:{id}-{}", now.strftime("%Y-%m-%d-%H-%M"));
        if !ctx.state::<State>().snapshots.contains_key(&name) {
            snapshots::begin(ctx, &instance, &name, "automated", crate::TagMap::new());
            back_up(ctx, id, lasts);
        }
        let oldest = now - SignedDuration::from_hours(24 * instance.retention_days);
        drop_automated(ctx, &instance, |taken| taken < oldest);
    }
    schedule(ctx, id);
}

/// The instance is `backing-up` for so long.
pub(super) fn back_up(ctx: &mut Ctx<'_>, id: &str, lasts: std::time::Duration) {
    let now = ctx.now();
    let state = ctx.state::<State>();
    if let Some(instance) = state.instances.get_mut(id) {
        let phase = Phase { status: "backing-up", lasts, then: Then::Nothing };
        instance.begin([phase], now, &mut state.agenda);
    }
}

fn drop_automated(ctx: &mut Ctx<'_>, instance: &Instance, old: impl Fn(jiff::Timestamp) -> bool) {
    let now = ctx.now();
    let state = ctx.state::<State>();
    let ids: Vec<String> = state
        .by_instance
        .get(&instance.id)
        .into_iter()
        .flatten()
        .filter(|id| state.snapshots.get(*id).is_some_and(|s| s.kind == "automated" && old(s.begun)))
        .cloned()
        .collect();
    for id in ids {
        if let Some(snapshot) = ctx.state::<State>().remove_snapshot(&id) {
            ctx.tags().forget(&snapshot.arn, now);
        }
    }
}

fn gone(ctx: &mut Ctx<'_>, id: &str) {
    let now = ctx.now();
    let state = ctx.state::<State>();
    let Some(instance) = state.instances.remove(id) else { return };
    state.agenda.cancel(&Due::Maintenance(id.to_owned()));
    state.agenda.cancel(&Due::Backup(id.to_owned()));
    // Automated snapshots go with their instance (API Reference, DeleteDBInstance).
    drop_automated(ctx, &instance, |_| true);
    ctx.tags().forget(&instance.arn, now);
    if let Some(secret) = &instance.secret {
        secretsmanager::delete_managed(ctx, &secret.arn);
    }
}
