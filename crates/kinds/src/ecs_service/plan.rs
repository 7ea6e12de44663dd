//! Planning a service. Pure.

use std::collections::BTreeSet;

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext, Reference, Resolved};
use model::plan::Verb;
use model::{Environment, FieldChange, Note, Observation, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde_json::Value;

use super::count::plan_count;
use super::desired::Range;
use super::observed::{Controller, Network};
use super::target::{Target, plan_load_balancer, target};
use super::update::{Action, Create, Part, update_steps};
use super::{Desired, Observed, desired, health, rollout};
use crate::changes::created;

/// The kind.
pub struct EcsService;

/// Grace period and deployment settings: neither starts a deployment.
fn plan_settings(desired: &Desired, observed: &Observed, part: &mut Part) {
    const REASON: &str = "settings are not as declared";
    if let Some(seconds) = desired.grace_s.filter(|seconds| *seconds != observed.grace_s) {
        part.update.grace_s = Some(seconds);
        part.note(
            REASON,
            FieldChange::new("healthCheckGracePeriod", format!("{}s", observed.grace_s), format!("{seconds}s")),
        );
    }
    let (want, live) = (&desired.deployment, &observed.deployment);
    let before = part.changes.len();
    let mut percent = |field: &str, want: Option<u32>, live: Option<u32>| {
        if want.is_some() && want != live {
            part.note(REASON, FieldChange::new(field, live, want));
        }
    };
    percent("minimumHealthyPercent", want.minimum_healthy_percent, live.minimum_healthy_percent);
    percent("maximumPercent", want.maximum_percent, live.maximum_percent);
    if let Some(on) = want.circuit_breaker.filter(|on| *on != live.circuit_breaker.unwrap_or(false)) {
        part.note(REASON, FieldChange::new("circuitBreaker", live.circuit_breaker.unwrap_or(false), on));
    }
    if part.changes.len() > before {
        part.update.deployment = Some(*want);
    }
}

/// The network, live overlaid with declared, when it differs.
fn plan_network(desired: &Desired, observed: &Observed, part: &mut Part) {
    const REASON: &str = "the network is not as declared";
    let live = observed.network.as_ref();
    let mut sets = |field: &str, want: &Option<BTreeSet<String>>, live: Option<&BTreeSet<String>>| {
        let want = want.as_ref().filter(|want| Some(*want) != live)?;
        let list = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Value>();
        part.note(REASON, FieldChange::new(field, live.map_or(Value::Null, list), list(want)));
        Some(want.clone())
    };
    let subnets = sets("subnets", &desired.subnets, live.map(|live| &live.subnets));
    let groups = sets("securityGroups", &desired.security_groups, live.map(|live| &live.security_groups));
    let public = desired.assign_public_ip.filter(|on| live.is_none_or(|live| live.assign_public_ip != *on));
    if let Some(on) = public {
        part.note(REASON, FieldChange::new("assignPublicIp", live.map(|live| live.assign_public_ip), on));
    }
    if subnets.is_none() && groups.is_none() && public.is_none() {
        return;
    }
    let mut network = live.cloned().unwrap_or_default();
    network.subnets = subnets.unwrap_or(network.subnets);
    network.security_groups = groups.unwrap_or(network.security_groups);
    network.assign_public_ip = public.unwrap_or(network.assign_public_ip);
    part.update.network = Some(network);
}

/// The revision, when another one is wanted.
fn plan_revision(
    context: &PlanContext<'_>,
    desired: &Desired,
    observed: &Observed,
    part: &mut Part,
    plan: &mut ResourcePlan,
) {
    const REASON: &str = "another revision of the task definition is wanted";
    let live = observed.task_definition.as_str();
    match context.resolve(&desired.task_definition) {
        Resolved::Value(wanted) => {
            let wanted = wanted.as_str().unwrap_or_default();
            let failed = rollout::has_failed(context, observed, wanted);
            plan.remember = rollout::remember(context, observed, wanted, failed);
            if wanted == live {
                return;
            }
            if !is_made_from(context, desired, live) {
                // It was made from, or read at, what the service ran before: to roll it out would undo what came since.
                plan.waits.push(Wait::new(
                    WaitKind::Unknown,
                    "DependencyUnknown",
                    format!("{wanted} was not made from {live}, which the service runs now"),
                ));
                return;
            }
            if failed {
                plan.waits.push(Wait::new(
                    WaitKind::Stalled,
                    "RolloutFailed",
                    format!(
                        "the rollout of {wanted} failed and is not tried again with the same content; \
                         the service runs {live}"
                    ),
                ));
                return;
            }
            part.update.task_definition = Some(wanted.to_owned());
            part.note(REASON, FieldChange::new("taskDefinition", live, wanted));
        }
        Resolved::Pending { key, wait } => {
            if context.outputs.will_change(&key) {
                let to = "(known after the task definition is registered)";
                part.note(REASON, FieldChange::new("taskDefinition", live, to));
                part.after = Some(key);
            } else {
                plan.waits.push(wait);
            }
        }
    }
}

/// Whether the wanted revision was made from the live one. `live` is an ARN that ends in `/family:revision`.
fn is_made_from(context: &PlanContext<'_>, desired: &Desired, live: &str) -> bool {
    let Reference::Of { key, .. } = &desired.task_definition else { return true };
    match context.output(key, "base") {
        Observation::Present(Value::String(base)) => live.rsplit('/').next() == Some(&base),
        Observation::Present(_) | Observation::Absent | Observation::Unknown { .. } => false,
    }
}

impl Kind for EcsService {
    const NAME: &'static str = "EcsService";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Hot, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        let mut waits = Vec::new();
        let mut after = None;
        let Some(subnets) = desired.subnets.clone().filter(|subnets| !subnets.is_empty()) else {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Stalled,
                "SpecIncomplete",
                format!("{} needs subnets to be created", desired.name),
            ));
        };
        match context.output(&desired.cluster, "arn") {
            Observation::Present(_) => {}
            Observation::Absent if context.outputs.will_change(&desired.cluster) => {
                after = Some(desired.cluster.clone());
            }
            Observation::Absent => waits.push(Wait::new(
                WaitKind::Progressing,
                "DependencyNotReady",
                format!("{} is not there yet", desired.cluster),
            )),
            Observation::Unknown { .. } => waits.push(Wait::new(
                WaitKind::Unknown,
                "DependencyUnknown",
                format!("{} is not known now", desired.cluster),
            )),
        }
        let mut load_balancer = None;
        match desired.target_group.as_ref().map(|group| target(context, desired, group)) {
            None => {}
            Some(Target::Ready(ready)) => load_balancer = Some(ready),
            Some(Target::After(key)) => after = Some(key),
            Some(Target::Wait(wait)) => waits.push(wait),
        }
        let mut task_definition = String::new();
        match context.resolve_text(&desired.task_definition) {
            Ok(arn) => task_definition = arn,
            Err((key, _)) if context.outputs.will_change(&key) => after = Some(key),
            Err((_, wait)) => waits.push(wait),
        }
        if !waits.is_empty() && after.is_none() {
            return ResourcePlan { waits, ..ResourcePlan::default() };
        }
        let range = desired.range.unwrap_or(Range { min: 0, max: u32::MAX });
        let count = desired.desired_count.unwrap_or(desired.range.map_or(1, |range| range.min));
        let action = Action::CreateService(Create {
            task_definition,
            desired_count: count.clamp(range.min, range.max.max(range.min)),
            network: Network {
                subnets,
                security_groups: desired.security_groups.clone().unwrap_or_default(),
                assign_public_ip: desired.assign_public_ip.unwrap_or(false),
            },
            grace_s: desired.grace_s,
            deployment: desired.deployment,
            load_balancer,
            tags: desired.tags.clone(),
        });
        let body = if after.is_some() { Value::Null } else { action.body() };
        let mut step =
            Step::new("CreateService", Verb::Create, Risk::Safe, "does not exist", body).changing(created(desired));
        step.awaits = after;
        ResourcePlan { waits, ..ResourcePlan::step(step) }
    }

    fn plan_present(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        if observed.status != "ACTIVE" {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Progressing,
                "ServiceDraining",
                format!("the service is {}; it can be made again when it is gone", observed.status),
            ));
        }
        let mut plan = ResourcePlan::in_sync();
        let (mut count, mut quiet, mut deploy) = (Part::default(), Part::default(), Part::default());
        plan_count(context, desired, observed, &mut count, &mut plan);
        plan_settings(desired, observed, &mut quiet);
        plan_revision(context, desired, observed, &mut deploy, &mut plan);
        plan_network(desired, observed, &mut deploy);
        plan_load_balancer(context, desired, observed, &mut deploy, &mut plan);
        if observed.controller != Controller::Ecs {
            let foreign = std::mem::take(&mut deploy);
            plan.waits.retain(|wait| wait.reason != "RolloutFailed");
            if !foreign.is_empty() {
                plan.notes.push(Note {
                    changes: foreign.changes,
                    ..Note::new(
                        "DeploymentsNotOurs",
                        "another deployment controller owns this service's deployments: only reported",
                    )
                });
            }
        }
        if count.is_empty() && quiet.is_empty() && deploy.is_empty() {
            return plan;
        }
        plan.steps = update_steps(desired, observed, count, quiet, deploy);
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, observed: &Observed) -> ResourcePlan {
        if observed.status != "ACTIVE" {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Progressing,
                "ServiceDraining",
                format!("the service is {}", observed.status),
            ));
        }
        let body = Action::DeleteService.body();
        let reason = "no longer declared; its tasks are stopped";
        let change = FieldChange::new("desiredCount", observed.desired_count, Value::Null);
        ResourcePlan::step(
            Step::new("DeleteService", Verb::Delete, Risk::Destructive, reason, body).changing(vec![change]),
        )
    }

    fn health(context: &PlanContext<'_>, _desired: &Desired, observed: &Observed) -> Health {
        health::health(context.now, observed)
    }

    fn tags(observed: &Observed) -> Option<&Tags> {
        Some(&observed.tags)
    }

    fn tag_step_body(observed: &Observed, set: &Tags) -> Value {
        Action::TagResource { arn: observed.arn.clone(), tags: set.clone() }.body()
    }

    fn output(observed: &Observed, name: &str) -> Option<Output> {
        match name {
            "arn" => Some(Value::from(observed.arn.as_str())),
            "taskDefinition" => Some(Value::from(observed.task_definition.as_str())),
            "desiredCount" => Some(Value::from(observed.desired_count)),
            "runningCount" => Some(Value::from(observed.running_count)),
            _ => None,
        }
    }
}
