//! A task's life: it starts, becomes healthy, fails, is stopped, is gone; and its place in target groups. Decides
//! nothing about how many there should be: that is the scheduler's.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::images::{self, Fate};
use super::scheduler::{LEAST_PAUSE, say};
use super::state::{Phase, Rollout, Service, State, Task};
use crate::{Ctx, Doc};

/// The longest pause in looks of the scheduler: 27 minutes of 10 seconds (Developer Guide, "Amazon ECS service
/// throttle logic").
const LONGEST_PAUSE: u32 = 162;

/// Moves each task whose time has come.
pub(super) fn advance(ctx: &mut Ctx<'_>, service: &mut Service) {
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
                    registered.push((task.deployment.clone(), task.ip.clone()));
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

/// A task ends by itself.
fn end(task: &mut Task, at: Timestamp, code: &'static str, reason: &str, exit: Option<i64>) {
    (task.phase, task.healthy) = (Phase::Stopped, false);
    (task.stopping, task.stopped) = (Some(at), Some(at));
    (task.stop_code, task.stopped_reason, task.exit_code) = (Some(code), Some(reason.to_owned()), exit);
}

/// Running tasks exit now.
pub(super) fn crash(ctx: &mut Ctx<'_>, service: &mut Service, ids: &[String]) {
    let now = ctx.now();
    let (mut failed, mut gone) = (Vec::new(), Vec::new());
    for task in service.tasks.iter_mut().filter(|t| ids.contains(&t.id)) {
        task.due = None;
        end(task, now, "EssentialContainerExited", "Essential container in task exited", Some(1));
        failed.push(task.deployment.clone());
        gone.push(task.ip.clone());
    }
    if !failed.is_empty() {
        deregister(ctx, service, &gone);
        count_failures(ctx, service, &failed);
    }
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
            let message =
                format!("(task {id}) is unhealthy in (target-group {group}) due to (reason Health checks failed)");
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

/// Tasks that run now enter the target groups of their deployment.
fn register(ctx: &mut Ctx<'_>, service: &mut Service, started: &[(String, String)]) {
    let (now, timings) = (ctx.now(), ctx.timings().clone());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for (deployment, ip) in started {
        let Some(run) = service.deployments.iter().find(|d| &d.id == deployment).map(|d| &d.run) else { continue };
        for (group, port) in targets(run) {
            if ctx.state::<crate::elbv2::State>().register(&group, ip, port, now, &timings) {
                *counts.entry(group).or_default() += 1;
            } else {
                missing.insert(group);
            }
        }
    }
    for (group, count) in counts {
        say(ctx, service, &format!("registered {count} targets in (target-group {group})"));
    }
    for group in missing {
        let why = "(error One or more target groups not found)";
        say(ctx, service, &format!("failed to register targets in (target-group {group}) with {why}"));
    }
}

/// Tasks that no longer run leave every target group they may be in.
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

pub(super) fn start_tasks(ctx: &mut Ctx<'_>, service: &mut Service, count: usize) {
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
