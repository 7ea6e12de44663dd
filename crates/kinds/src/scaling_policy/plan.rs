//! Planning a scaling policy. Pure.

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use model::plan::Verb;
use model::{
    Environment, FieldChange, KindName, Note, Observation, ResourceKey, ResourcePlan, Risk, Step, Tags, Wait, WaitKind,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::observed::Metric;
use super::{Desired, Observed, POLICY_NAME, desired};
use crate::changes::created;

/// The kind.
pub struct ScalingPolicy;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    /// The declared fields; the provider lays them over the live policy of that name.
    PutScalingPolicy {
        name: String,
        target_value: f64,
        scale_out_cooldown_s: Option<u32>,
        scale_in_cooldown_s: Option<u32>,
    },
    DeleteScalingPolicy {
        name: String,
    },
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

fn put(desired: &Desired, name: &str, verb: Verb, reason: &'static str, changes: Vec<FieldChange>) -> Step {
    let body = Action::PutScalingPolicy {
        name: name.to_owned(),
        target_value: desired.cpu_target_percent,
        scale_out_cooldown_s: desired.scale_out_cooldown_s,
        scale_in_cooldown_s: desired.scale_in_cooldown_s,
    }
    .body();
    Step::new("PutScalingPolicy", verb, Risk::Safe, reason, body).changing(changes)
}

impl Kind for ScalingPolicy {
    const NAME: &'static str = "ScalingPolicy";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Slow, ownership: Ownership::Parent, stale_after_periods: 3 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        let step = put(desired, POLICY_NAME, Verb::Create, "does not exist", created(desired));
        let key = &desired.target;
        let wait = |kind, reason, message| ResourcePlan::wait(Wait::new(kind, reason, message));
        match context.output(key, "exists") {
            Observation::Present(_) => ResourcePlan::step(step),
            Observation::Absent if context.outputs.will_change(key) => ResourcePlan::step(step.after(key.clone())),
            Observation::Absent => wait(WaitKind::Progressing, "DependencyNotReady", format!("{key} is not there yet")),
            Observation::Unknown { .. } => {
                wait(WaitKind::Unknown, "DependencyUnknown", format!("{key} is not known now"))
            }
        }
    }

    fn plan_present(_context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        if let Metric::NotTracking(policy_type) = &observed.metric {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Stalled,
                "PolicyOfAnotherType",
                format!("the policy {} is a {policy_type}, which cannot be turned into target tracking", observed.name),
            ));
        }
        let mut changes = Vec::new();
        if let Metric::Other(metric) = &observed.metric {
            changes.push(FieldChange::new("metric", metric.as_str(), "ECSServiceAverageCPUUtilization"));
        }
        // Both sides are numbers as people write them: a difference below what anybody writes is none.
        if (observed.target_value - desired.cpu_target_percent).abs() > 1e-9 {
            changes.push(FieldChange::new("cpuTargetPercent", observed.target_value, desired.cpu_target_percent));
        }
        let mut cooldown = |field: &str, declared: Option<u32>, live: u32| {
            if let Some(declared) = declared.filter(|declared| *declared != live) {
                changes.push(FieldChange::new(field, format!("{live}s"), format!("{declared}s")));
            }
        };
        cooldown("scaleOutCooldown", desired.scale_out_cooldown_s, observed.scale_out_cooldown_s);
        cooldown("scaleInCooldown", desired.scale_in_cooldown_s, observed.scale_in_cooldown_s);
        let mut plan = ResourcePlan::in_sync();
        if !changes.is_empty() {
            plan.steps.push(put(desired, &observed.name, Verb::Update, "the policy is not as declared", changes));
        }
        if observed.scale_in_disabled {
            plan.notes.push(Note::new("ScaleInDisabled", "someone made the policy scale out only: left alone"));
        }
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, observed: &Observed) -> ResourcePlan {
        let body = Action::DeleteScalingPolicy { name: observed.name.clone() }.body();
        let reason = "no longer declared";
        ResourcePlan::step(Step::new("DeleteScalingPolicy", Verb::Delete, Risk::Destructive, reason, body))
    }

    fn health(_context: &PlanContext<'_>, _desired: &Desired, _observed: &Observed) -> Health {
        Health::Ready
    }

    fn tags(_observed: &Observed) -> Option<&Tags> {
        None
    }

    fn tag_step_body(_observed: &Observed, _set: &Tags) -> Value {
        Value::Null
    }

    fn parent_of(key: &ResourceKey) -> Option<ResourceKey> {
        let (resource, _) = key.identity.rsplit_once('/')?;
        Some(ResourceKey { kind: KindName::of("ScalableTarget"), identity: resource.into(), ..key.clone() })
    }

    fn output(observed: &Observed, name: &str) -> Option<Output> {
        match name {
            "arn" => Some(Value::from(observed.arn.as_str())),
            "name" => Some(Value::from(observed.name.as_str())),
            _ => None,
        }
    }
}
