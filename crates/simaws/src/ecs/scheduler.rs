//! The service scheduler: tasks move with time, what is missing is started, what is too much is stopped.
//!
//! Event by event: a service is looked at when a task of it changes its phase, and when a call changed it. A service in
//! steady state has nothing due. What a deployment may start and stop is decided here; when one succeeds or fails, in
//! [`super::rollout`].
use std::time::Duration;

use super::lives::{advance, start_tasks, stop_tasks};
use super::state::{Rollout, Service, State, Status, Task};
use super::{rollout, validate};
use crate::Ctx;

/// Restarts after failures are at least so far apart, even where nothing takes any time.
pub(super) const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// Works on one service, taken out of the state meanwhile.
pub(super) fn with<R>(
    ctx: &mut Ctx<'_>,
    cluster: &str,
    name: &str,
    f: impl FnOnce(&mut Ctx<'_>, &mut Service) -> R,
) -> Option<R> {
    let mut service = ctx.state::<State>().clusters.get_mut(cluster)?.services.remove(name)?;
    let result = f(ctx, &mut service);
    put_back(ctx, service);
    Some(result)
}

/// Puts a service into the state: its cluster's counts and indexes follow.
pub(super) fn put_back(ctx: &mut Ctx<'_>, mut service: Service) {
    let now = ctx.now();
    let (purged, kept): (Vec<_>, Vec<_>) = service.tasks.drain(..).partition(|t| t.purged(now));
    service.tasks = kept;
    let state = ctx.state::<State>();
    let key = (service.cluster.clone(), service.name.clone());
    match service.next_due() {
        Some(at) => state.agenda.set(key, at),
        None => state.agenda.cancel(&key),
    }
    let Some(cluster) = state.clusters.get_mut(&service.cluster) else { return };
    for task in purged {
        cluster.tasks.remove(&task.id);
    }
    let (running, pending) = service.counts(None);
    let counts = (running, pending, i64::from(service.status == Status::Active));
    cluster.running += counts.0 - service.counted.0;
    cluster.pending += counts.1 - service.counted.1;
    cluster.active += counts.2 - service.counted.2;
    service.counted = counts;
    cluster.services.insert(service.name.clone(), service);
}

/// Does what is due.
pub(super) fn settle(ctx: &mut Ctx<'_>) {
    let now = ctx.now();
    while let Some((_, (cluster, name))) = ctx.state::<State>().agenda.pop(now) {
        with(ctx, &cluster, &name, turn);
    }
}

/// Running and desired count of an ACTIVE service, for Application Auto Scaling.
pub(crate) fn counts(ctx: &mut Ctx<'_>, cluster: &str, name: &str) -> Option<(i64, i64)> {
    let service = ctx.state::<State>().clusters.get(cluster)?.services.get(name)?;
    (service.status == Status::Active).then(|| (service.counts(None).0, service.desired))
}

/// Sets the desired count, as Application Auto Scaling does.
pub(crate) fn set_desired(ctx: &mut Ctx<'_>, cluster: &str, name: &str, desired: i64) {
    with(ctx, cluster, name, |ctx, service| {
        want(ctx, service, desired);
        let look = ctx.now() + ctx.timings().ecs_scheduler;
        service.look_by(look);
    });
}

/// Another desired count.
pub(super) fn want(ctx: &mut Ctx<'_>, service: &mut Service, desired: i64) {
    if service.desired == desired {
        return;
    }
    service.desired = desired;
    (service.steady, service.complained) = (false, false);
    let now = ctx.now();
    if let Some(primary) = service.deployments.first_mut() {
        primary.updated = now;
    }
    crate::application_autoscaling::wake(ctx, &service.cluster, &service.name);
}

/// One message in the service's events.
pub(super) fn say(ctx: &mut Ctx<'_>, service: &mut Service, message: &str) {
    let (id, now) = (ctx.rng().uuid(), ctx.now());
    service.event(id, now, message);
}

/// The service is deleted: its tasks stop, then it is INACTIVE.
pub(super) fn drain(ctx: &mut Ctx<'_>, service: &mut Service) {
    let now = ctx.now();
    (service.status, service.ended, service.desired) = (Status::Draining, Some(now), 0);
    let live: Vec<String> = service.tasks.iter().filter(|t| t.live()).map(|t| t.id.clone()).collect();
    stop_tasks(ctx, service, &live);
    let end = now + ctx.timings().ecs_drain;
    service.look = Some(end);
    ctx.tags().forget(&service.arn, now);
}

/// What is due of one service: its tasks first, then a look of the scheduler.
fn turn(ctx: &mut Ctx<'_>, service: &mut Service) {
    let now = ctx.now();
    let before = service.counts(None).0;
    advance(ctx, service);
    if service.look.is_some_and(|at| at <= now) {
        service.look = None;
        match service.status {
            Status::Active => look(ctx, service),
            Status::Draining => {
                if service.tasks.iter().any(Task::live) {
                    service.look = Some(now + ctx.timings().ecs_drain.max(LEAST_PAUSE));
                } else {
                    (service.status, service.ended) = (Status::Inactive, Some(now));
                }
            }
            Status::Inactive => {}
        }
    }
    if service.counts(None).0 != before {
        crate::application_autoscaling::wake(ctx, &service.cluster, &service.name);
    }
}

/// One look: judge the rollout, then start and stop until nothing more may be.
fn look(ctx: &mut Ctx<'_>, service: &mut Service) {
    if rollout::judge(ctx, service) {
        // What it does about it is done at the next look: that a deployment failed shows for a while.
        let next = ctx.now() + ctx.timings().ecs_scheduler.max(LEAST_PAUSE);
        service.look_by(next);
        return;
    }
    // Each round stops or starts something, or is the last; a round's stops make room for the next one's starts.
    while act(ctx, service) {}
    rollout::conclude(ctx, service);
}

/// Starts and stops what the deployment configuration allows (API Reference, DeploymentConfiguration:
/// `minimumHealthyPercent` rounds up, `maximumPercent` down). Did anything happen?
fn act(ctx: &mut Ctx<'_>, service: &mut Service) -> bool {
    let Some(primary) = service.deployments.first().cloned() else { return false };
    let desired = service.desired;
    let least = (desired * service.percent("minimumHealthyPercent") + 99) / 100;
    let most = desired.saturating_mul(service.percent("maximumPercent")) / 100;
    let live = |t: &&Task| t.live();
    let total = service.tasks.iter().filter(live).count() as i64;
    let (ours, old): (Vec<&Task>, Vec<&Task>) =
        service.tasks.iter().filter(live).partition(|t| t.deployment == primary.id);
    let healthy = service.tasks.iter().filter(|t| t.live() && t.healthy).count() as i64;

    // Too many of the primary: those that don't run yet first, then the oldest.
    if ours.len() as i64 > desired {
        let mut order = ours.clone();
        order.sort_by_key(|t| (t.healthy, t.phase, t.created));
        let ids: Vec<String> = order.iter().take(ours.len() - desired as usize).map(|t| t.id.clone()).collect();
        stop_tasks(ctx, service, &ids);
        return true;
    }
    // Old ones: those that serve nobody at once, the others as far as the minimum allows.
    if primary.rollout != Rollout::Failed || desired == 0 {
        let spare = (healthy - least).max(0) as usize;
        let idle = old.iter().filter(|t| !t.healthy);
        let serving = old.iter().filter(|t| t.healthy).take(spare);
        let ids: Vec<String> = idle.chain(serving).map(|t| t.id.clone()).collect();
        if !ids.is_empty() {
            stop_tasks(ctx, service, &ids);
            return true;
        }
    }
    let missing = desired - ours.len() as i64;
    if missing <= 0 || primary.rollout == Rollout::Failed {
        return false;
    }
    if !validate::fargate(&primary.run) {
        complain(
            ctx,
            service,
            "was unable to place a task because no container instance met all of its requirements. \
                                Reason: No Container Instances were found in your cluster.",
        );
        return false;
    }
    let now = ctx.now();
    if let Some(hold) = service.hold.filter(|hold| *hold > now) {
        service.look_by(hold);
        return false;
    }
    let room = (most - total).min(missing).max(0);
    if room == 0 {
        complain(
            ctx,
            service,
            "was unable to stop or start tasks during a deployment because of the service deployment \
                                configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
        );
        return false;
    }
    start_tasks(ctx, service, room as usize);
    true
}

/// An event said once until something changes; only where nothing is on its way that could help.
fn complain(ctx: &mut Ctx<'_>, service: &mut Service, message: &str) {
    let moving = service.tasks.iter().any(|t| t.due.is_some());
    if !service.complained && !moving {
        service.complained = true;
        say(ctx, service, message);
    }
}
