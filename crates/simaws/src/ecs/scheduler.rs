//! The service scheduler: tasks move with time, what is missing is started, what is too much is stopped.
//!
//! Event by event: a service is looked at when a task of it changes its phase, and when a call changed it. A service in
//! steady state has nothing due. What a deployment may start and stop is decided here; when one succeeds or fails, in
//! [`super::rollout`].
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::images::{self, Fate};
use super::state::{Phase, Rollout, Service, State, Status, Task};
use super::{rollout, validate};
use crate::{Ctx, Doc};

/// Restarts after failures are at least so far apart, even where nothing takes any time.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause in looks of the scheduler: 27 minutes of 10 seconds (Developer Guide, "Amazon ECS service
/// throttle logic").
const LONGEST_PAUSE: u32 = 162;

/// Works on one service, taken out of the state meanwhile.
pub(super) fn with<R>(ctx: &mut Ctx<'_>, cluster: &str, name: &str, f: impl FnOnce(&mut Ctx<'_>, &mut Service) -> R) -> Option<R> {
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

/// Moves each task whose time has come.
fn advance(ctx: &mut Ctx<'_>, service: &mut Service) {
    let now = ctx.now();
    let (mut registered, mut failed, mut sick, mut gone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut progress = false;
    let (start, crash) = (ctx.timings().target_initial, ctx.timings().task_crash);
    let grace = Duration::from_secs(service.other.int("healthCheckGracePeriodSeconds").unwrap_or(0).unsigned_abs());
    for task in &mut service.tasks {
        while let Some(due) = task.due.filter(|due| *due <= now) {
            task.due = None;
            match (task.phase, task.fate) {
                (Phase::Pending, Fate::Unpullable) => {
                    let message = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to \
                                   resolve ref: not found";
                    end(task, due, "TaskFailedToStart", message, None);
                    failed.push(task.deployment.clone());
                }
                (Phase::Pending, fate) => {
                    (task.phase, task.started) = (Phase::Running, Some(due));
                    registered.push(task.ip.clone());
                    task.due = Some(match fate {
                        Fate::Exits => due + crash,
                        Fate::Unhealthy => due + grace + crash,
                        Fate::Runs if !service.run.list("loadBalancers").is_empty() => due + start,
                        Fate::Runs | Fate::Unpullable => due,
                    });
                }
                (Phase::Running, Fate::Exits) => {
                    end(task, due, "EssentialContainerExited", "Essential container in task exited", Some(1));
                    failed.push(task.deployment.clone());
                    gone.push(task.ip.clone());
                }
                (Phase::Running, Fate::Unhealthy) => sick.push(task.id.clone()),
                (Phase::Running, _) => {
                    task.healthy = true;
                    progress = true;
                    if let Some(d) = service.deployments.iter_mut().find(|d| d.id == task.deployment) {
                        (d.proven, d.failed) = (true, 0);
                    }
                }
                (Phase::Stopping, _) => {
                    (task.phase, task.stopped) = (Phase::Stopped, Some(due));
                    task.exit_code = task.started.map(|_| 0);
                }
                (Phase::Stopped, _) => {}
            }
        }
    }
    register(ctx, service, &registered);
    failed.extend(stop_sick(ctx, service, &sick));
    if !failed.is_empty() {
        deregister(ctx, service, &gone);
        count_failures(ctx, service, &failed);
    } else if progress {
        service.bad_rounds = 0;
        service.look_by(now);
    }
}

fn end(task: &mut Task, at: Timestamp, code: &'static str, reason: &str, exit: Option<i64>) {
    (task.phase, task.healthy) = (Phase::Stopped, false);
    (task.stopping, task.stopped) = (Some(at), Some(at));
    (task.stop_code, task.stopped_reason, task.exit_code) = (Some(code), Some(reason.to_owned()), exit);
}

/// Stops tasks that fail their health checks; without any check they stay. The deployments of those that go.
fn stop_sick(ctx: &mut Ctx<'_>, service: &mut Service, ids: &[String]) -> Vec<String> {
    let group = service.run.list("loadBalancers").first().map(|b| b.need("targetGroupArn").to_owned());
    let mut deployments = Vec::new();
    for id in ids {
        let Some(index) = service.tasks.iter().position(|t| &t.id == id) else { continue };
        let key = service.tasks[index].definition.clone();
        let definition = super::definitions::find(ctx, &key);
        let checked = definition.is_some_and(|d| d.containers().iter().any(|c| c.has("healthCheck")));
        let reason = match &group {
            Some(group) => format!("Task failed ELB health checks in (target-group {group})"),
            None if checked => "Task failed container health checks".to_owned(),
            None => {
                service.tasks[index].healthy = true;
                service.look_by(ctx.now());
                continue;
            }
        };
        if let Some(group) = &group {
            let message = format!("(task {id}) is unhealthy in (target-group {group}) due to (reason Health checks failed)");
            say(ctx, service, &message);
        }
        begin_stop(ctx, service, index, "ServiceSchedulerInitiated", &reason);
        deployments.push(service.tasks[index].deployment.clone());
    }
    deployments
}

/// Failed tasks count against their deployment until one of it ran well; and the next start waits longer and longer.
fn count_failures(ctx: &mut Ctx<'_>, service: &mut Service, deployments: &[String]) {
    let now = ctx.now();
    for id in deployments {
        if let Some(d) = service.deployments.iter_mut().find(|d| &d.id == id)
            && d.rollout == Rollout::InProgress
            && !d.proven
        {
            (d.failed, d.updated) = (d.failed + 1, now);
        }
    }
    (service.steady, service.complained) = (false, false);
    let base = ctx.timings().ecs_scheduler.max(LEAST_PAUSE);
    let factor = 1_u32.checked_shl(service.bad_rounds).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
    service.bad_rounds = service.bad_rounds.saturating_add(1).min(16);
    let hold = now + base * factor;
    service.hold = Some(hold);
    service.look_by(now + base);
    if service.bad_rounds == 3 {
        say(ctx, service, "is unable to consistently start tasks successfully.");
    }
}

/// Target group and container port of each load balancer.
fn targets(run: &Doc) -> Vec<(String, i64)> {
    let balancers = run.list("loadBalancers").iter();
    balancers.map(|b| (b.need("targetGroupArn").to_owned(), b.int("containerPort").unwrap_or(0))).collect()
}

fn register(ctx: &mut Ctx<'_>, service: &mut Service, ips: &[String]) {
    if ips.is_empty() {
        return;
    }
    let (now, timings) = (ctx.now(), ctx.timings().clone());
    for (group, port) in targets(&service.run) {
        for ip in ips {
            ctx.state::<crate::elbv2::State>().register(&group, ip, port, now, &timings);
        }
        say(ctx, service, &format!("registered {} targets in (target-group {group})", ips.len()));
    }
}

fn deregister(ctx: &mut Ctx<'_>, service: &mut Service, ips: &[String]) {
    let (now, timings) = (ctx.now(), ctx.timings().clone());
    let mut groups: BTreeMap<String, i64> = targets(&service.run).into_iter().collect();
    groups.extend(service.deployments.iter().flat_map(|d| targets(&d.run)));
    for (group, port) in groups {
        let state = ctx.state::<crate::elbv2::State>();
        let gone = ips.iter().filter(|ip| state.deregister(&group, ip, port, now, &timings)).count();
        if gone > 0 {
            say(ctx, service, &format!("deregistered {gone} targets in (target-group {group})"));
        }
    }
}

/// A task is told to stop.
pub(super) fn begin_stop(ctx: &mut Ctx<'_>, service: &mut Service, index: usize, code: &'static str, reason: &str) {
    let (now, stop) = (ctx.now(), ctx.timings().task_stop);
    let task = &mut service.tasks[index];
    if !task.live() {
        return;
    }
    (task.phase, task.healthy) = (Phase::Stopping, false);
    (task.stopping, task.due) = (Some(now), Some(now + stop));
    (task.stop_code, task.stopped_reason) = (Some(code), Some(reason.to_owned()));
    let ip = task.ip.clone();
    service.steady = false;
    deregister(ctx, service, &[ip]);
}

/// The scheduler stops tasks, of old deployments or because there are too many.
pub(super) fn stop_tasks(ctx: &mut Ctx<'_>, service: &mut Service, ids: &[String]) {
    if ids.is_empty() {
        return;
    }
    let primary = service.deployments.first().map(|d| d.id.clone()).unwrap_or_default();
    for id in ids {
        if let Some(index) = service.tasks.iter().position(|t| &t.id == id) {
            let reason = format!("Scaling activity initiated by (deployment {primary})");
            begin_stop(ctx, service, index, "ServiceSchedulerInitiated", &reason);
        }
    }
    let named: Vec<String> = ids.iter().map(|id| format!("(task {id})")).collect();
    say(ctx, service, &format!("has stopped {} running tasks: {}.", ids.len(), named.join(" ")));
}

fn start_tasks(ctx: &mut Ctx<'_>, service: &mut Service, count: usize) {
    let Some(primary) = service.deployments.first().cloned() else { return };
    let (now, start) = (ctx.now(), ctx.timings().task_start);
    let Some(definition) = super::definitions::find(ctx, &primary.definition).cloned() else { return };
    let fate = images::fate(&definition, &ctx.state::<State>().rules);
    let tags = match service.other.text("propagateTags") {
        Some("SERVICE") => ctx.tags().of(&service.arn),
        Some("TASK_DEFINITION") => ctx.tags().of(&definition.arn),
        _ => crate::TagMap::new(),
    };
    let subnets = primary.run.at("networkConfiguration").at("awsvpcConfiguration").texts("subnets");
    let mut named = Vec::new();
    for _ in 0..count {
        let (id, serial) = (ctx.rng().hex(32), ctx.serial());
        let subnet = subnets.get(serial as usize % subnets.len().max(1)).cloned().unwrap_or_default();
        let [_, a, b, c] = (serial as u32 + 256).to_be_bytes();
        named.push(format!("(task {id})"));
        if let Some(cluster) = ctx.state::<State>().clusters.get_mut(&service.cluster) {
            cluster.tasks.insert(id.clone(), service.name.clone());
        }
        service.tasks.push(Task {
            id,
            deployment: primary.id.clone(),
            definition: primary.definition.clone(),
            phase: Phase::Pending,
            fate,
            due: Some(now + start),
            healthy: false,
            created: now,
            started: None,
            stopping: None,
            stopped: None,
            stop_code: None,
            stopped_reason: None,
            exit_code: None,
            ip: format!("10.{a}.{b}.{c}"),
            subnet,
            launch_type: primary.run.text("launchType").unwrap_or("FARGATE").to_owned(),
            tags: tags.clone(),
        });
    }
    service.steady = false;
    say(ctx, service, &format!("has started {count} tasks: {}.", named.join(" ")));
}

/// One look: judge the rollout, then start and stop until nothing more may be.
fn look(ctx: &mut Ctx<'_>, service: &mut Service) {
    rollout::judge(ctx, service);
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
    let (ours, old): (Vec<&Task>, Vec<&Task>) = service.tasks.iter().filter(live).partition(|t| t.deployment == primary.id);
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
        complain(ctx, service, "was unable to place a task because no container instance met all of its requirements. \
                                Reason: No Container Instances were found in your cluster.");
        return false;
    }
    let now = ctx.now();
    if let Some(hold) = service.hold.filter(|hold| *hold > now) {
        service.look_by(hold);
        return false;
    }
    let room = (most - total).min(missing).max(0);
    if room == 0 {
        complain(ctx, service, "was unable to stop or start tasks during a deployment because of the service deployment \
                                configuration. Update the minimumHealthyPercent or maximumPercent value and try again.");
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
