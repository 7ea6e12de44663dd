//! Deployments: how one begins, succeeds, fails, and is rolled back (Developer Guide, "Deploy Amazon ECS services by
//! replacing tasks" and "How the Amazon ECS deployment circuit breaker detects failures"). Starts and stops no task.
use super::scheduler::say;
use super::state::{Deployment, Record, Rollout, Service, Task};
use crate::{Ctx, Doc};

/// Failures at which the circuit breaker trips: half the desired count, at least 3, at most 200 (Developer Guide, "How
/// the Amazon ECS deployment circuit breaker detects failures").
pub(super) fn threshold(desired: i64) -> i64 {
    ((desired + 1) / 2).clamp(3, 200)
}

fn breaker(service: &Service) -> &Doc {
    service.other.at("deploymentConfiguration").at("deploymentCircuitBreaker")
}

fn new_id(ctx: &mut Ctx<'_>) -> String {
    format!("ecs-svc/{:019}", ctx.rng().bits() >> 1)
}

/// A service revision's ARN.
pub(super) fn revision_arn(ctx: &Ctx<'_>, service: &Service, revision: &str) -> String {
    ctx.arn("ecs", &format!("service-revision/{}/{}/{revision}", service.cluster, service.name))
}

/// A new PRIMARY deployment of what the service says now. One that was under way is superseded.
pub(super) fn deploy(ctx: &mut Ctx<'_>, service: &mut Service) {
    let now = ctx.now();
    let id = new_id(ctx);
    let revision = format!("{:019}", ctx.rng().bits() >> 1);
    let record_id = ctx.rng().pick(22, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    let path = format!("service-deployment/{}/{}/{record_id}", service.cluster, service.name);
    if let Some(open) = service.history.front_mut().filter(|r| r.finished.is_none()) {
        (open.finished, open.updated, open.status) = (Some(now), now, "STOPPED");
        open.reason = Some(format!("Service deployment was superseded by {id}."));
    }
    let source = service.deployments.iter().map(|d| d.revision.clone()).collect();
    service.remember(Record {
        arn: ctx.arn("ecs", &path),
        deployment: id.clone(),
        created: now,
        updated: now,
        finished: None,
        status: "IN_PROGRESS",
        reason: None,
        rollback: None,
        source,
        target: revision.clone(),
        failed: 0,
    });
    let deployment = Deployment {
        reason: format!("ECS deployment {id} in progress."),
        id,
        definition: service.definition.clone(),
        run: service.run.clone(),
        created: now,
        updated: now,
        rollout: Rollout::InProgress,
        failed: 0,
        proven: false,
        completed: false,
        revision,
    };
    service.deployments.insert(0, deployment);
    (service.steady, service.complained, service.bad_rounds, service.hold) = (false, false, 0, None);
    let look = now + ctx.timings().ecs_scheduler;
    service.look_by(look);
}

/// The circuit breaker: a deployment with too many failures has failed, and the last completed one comes back. Did it
/// trip?
pub(super) fn judge(ctx: &mut Ctx<'_>, service: &mut Service) -> bool {
    let now = ctx.now();
    let (enabled, rollback) =
        (breaker(service).flag("enable") == Some(true), breaker(service).flag("rollback") == Some(true));
    let limit = threshold(service.desired);
    let Some(primary) = service.deployments.first_mut() else { return false };
    if let Some(record) = service.history.iter_mut().find(|r| r.deployment == primary.id) {
        record.failed = record.failed.max(primary.failed);
    }
    if !enabled || primary.rollout != Rollout::InProgress || primary.completed || primary.failed < limit {
        return false;
    }
    (primary.rollout, primary.updated) = (Rollout::Failed, now);
    primary.reason = "ECS deployment circuit breaker: tasks failed to start.".to_owned();
    let failed = primary.id.clone();
    let back = service.deployments.iter().position(|d| d.completed).filter(|_| rollback);
    let target = back.map(|index| service.deployments[index].clone());
    if let Some(record) = service.history.iter_mut().find(|r| r.deployment == failed) {
        record.updated = now;
        record.reason =
            Some("Service deployment rolled back because the circuit breaker threshold was exceeded.".to_owned());
        match &target {
            Some(target) => {
                record.status = "ROLLBACK_IN_PROGRESS";
                record.rollback = Some((now, target.revision.clone()));
            }
            None => {
                record.reason = Some("The deployment circuit breaker threshold was exceeded.".to_owned());
                (record.status, record.finished) = ("STOPPED", Some(now));
            }
        }
    }
    say(ctx, service, &format!("(deployment {failed}) deployment failed: tasks failed to start."));
    let (Some(index), Some(target)) = (back, target) else { return true };
    let mut again = service.deployments.remove(index);
    let id = again.id.clone();
    (again.rollout, again.updated, again.failed) = (Rollout::InProgress, now, 0);
    again.reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {id}.");
    service.deployments.insert(0, again);
    (service.definition, service.run) = (target.definition, target.run);
    (service.bad_rounds, service.hold, service.complained) = (0, None, false);
    say(ctx, service, &format!("rolling back to deployment {id}."));
    true
}

/// Is the primary where it should be, and nothing of the others left? Then it is COMPLETED, and the service in a steady
/// state.
pub(super) fn conclude(ctx: &mut Ctx<'_>, service: &mut Service) {
    let now = ctx.now();
    let Some(primary) = service.deployments.first() else { return };
    let (id, rollout) = (primary.id.clone(), primary.rollout);
    let live = |t: &&Task| t.live();
    let ours = service.tasks.iter().filter(live).filter(|t| t.deployment == id);
    let reached = ours.filter(|t| t.healthy).count() as i64 == service.desired;
    let alone = !service.tasks.iter().filter(live).any(|t| t.deployment != id);
    if !reached || !alone {
        // Superseded deployments leave when their last task does; one to roll back to stays.
        let tasks = &service.tasks;
        let mut first = true;
        service.deployments.retain(|d| {
            std::mem::take(&mut first) || d.completed || tasks.iter().any(|t| t.live() && t.deployment == d.id)
        });
        return;
    }
    if rollout == Rollout::Failed {
        return;
    }
    service.deployments.truncate(1);
    let primary = &mut service.deployments[0];
    if rollout == Rollout::InProgress {
        (primary.rollout, primary.updated, primary.completed) = (Rollout::Completed, now, true);
        primary.reason = format!("ECS deployment {id} completed.");
        if let Some(record) = service.history.front_mut().filter(|r| r.finished.is_none()) {
            let rolled_back = record.status == "ROLLBACK_IN_PROGRESS";
            record.status = if rolled_back { "ROLLBACK_SUCCESSFUL" } else { "SUCCESSFUL" };
            (record.finished, record.updated) = (Some(now), now);
        }
        say(ctx, service, &format!("(deployment {id}) deployment completed."));
    }
    if !service.steady {
        service.steady = true;
        say(ctx, service, "has reached a steady state.");
    }
}
