//! Planning a service. Pure.

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use model::plan::Verb;
use model::{Environment, FieldChange, Observation, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde_json::Value;

use super::count::plan_count;
use super::deploy::{note_foreign, plan_deployments, remember_meanwhile};
use super::desired::Range;
use super::observed::{Controller, DeploymentSettings, Network};
use super::target::{Target, target};
use super::update::{Action, Create, Part, update_steps};
use super::{Desired, Observed, desired, health};
use crate::changes::created;

/// The kind.
pub struct EcsService;

/// Deployment settings, which start no deployment: `part` has those that are ours, `foreign` those that ECS takes for a
/// service of its own deployment controller only. (Amazon ECS API Reference, UpdateService: an external controller has
/// no deployment configuration; the circuit breaker is of rolling updates.)
fn plan_settings(desired: &Desired, observed: &Observed, part: &mut Part, foreign: &mut Part) {
    const REASON: &str = "settings are not as declared";
    let (want, live) = (&desired.deployment, &observed.deployment);
    let mut settings = DeploymentSettings::default();
    let external = observed.controller == Controller::External;
    let percents = [
        ("minimumHealthyPercent", want.minimum_healthy_percent, live.minimum_healthy_percent),
        ("maximumPercent", want.maximum_percent, live.maximum_percent),
    ];
    for (field, want, live) in percents {
        if want.is_some() && want != live {
            (if external { &mut *foreign } else { &mut *part }).note(REASON, FieldChange::new(field, live, want));
        }
    }
    let differs = part.changes.iter().any(|change| percents.iter().any(|(field, ..)| *field == change.field));
    if differs {
        settings.minimum_healthy_percent = want.minimum_healthy_percent;
        settings.maximum_percent = want.maximum_percent;
    }
    let breaker = want.circuit_breaker.filter(|on| Some(*on) != live.circuit_breaker);
    if let Some(on) = breaker {
        let ours = observed.controller == Controller::Ecs;
        let to = if ours { &mut *part } else { foreign };
        to.note(REASON, FieldChange::new("circuitBreaker", live.circuit_breaker, on));
        settings.circuit_breaker = Some(on).filter(|_| ours);
    }
    if settings != DeploymentSettings::default() {
        part.update.deployment = Some(settings);
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
            grace_s: desired.grace_s.filter(|_| desired.target_group.is_some()),
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
        let (mut count, mut quiet, mut foreign) = (Part::default(), Part::default(), Part::default());
        plan_count(context, desired, observed, &mut count, &mut plan);
        plan_settings(desired, observed, &mut quiet, &mut foreign);
        plan.remember = remember_meanwhile(context, desired, observed);
        let deployments = if observed.controller == Controller::Ecs {
            plan_deployments(context, desired, observed, &count, &mut quiet, &mut plan)
        } else {
            note_foreign(context, desired, observed, foreign, &mut quiet, &mut plan);
            Vec::new()
        };
        plan.steps = update_steps(count, quiet, deployments);
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
        health::health(context, observed)
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
            // Under an external controller each task set has its own.
            "taskDefinition" if observed.task_definition.is_empty() => None,
            "taskDefinition" => Some(Value::from(observed.task_definition.as_str())),
            "controller" => serde_json::to_value(observed.controller).ok(),
            "desiredCount" => Some(Value::from(observed.desired_count)),
            "runningCount" => Some(Value::from(observed.running_count)),
            _ => None,
        }
    }
}
