//! Planning a scalable target. Pure.

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use model::plan::Verb;
use model::{Environment, FieldChange, Note, Observation, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Desired, Observed, Suspended, desired};
use crate::changes::created;

/// The kind.
pub struct ScalableTarget;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    /// `tags` only for a target that does not exist.
    RegisterScalableTarget {
        min: u32,
        max: u32,
        tags: Option<Tags>,
    },
    TagResource {
        arn: String,
        tags: Tags,
    },
    DeregisterScalableTarget,
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

/// What registering a range does to the count of the service right away: from, to, and its risk.
fn moved(context: &PlanContext<'_>, desired: &Desired) -> Option<(u32, u32, Risk)> {
    let Observation::Present(count) = context.output(&desired.service, "desiredCount") else { return None };
    let count = u32::try_from(count.as_u64()?).ok()?;
    let to = count.clamp(desired.min, desired.max.max(desired.min));
    if to == count {
        return None;
    }
    let risk = if to == 0 { Risk::Disruptive } else { Risk::Safe };
    Some((count, to, risk))
}

fn register(context: &PlanContext<'_>, desired: &Desired, live: Option<&Observed>) -> Step {
    let tags = live.is_none().then(|| desired.tags.clone());
    let body = Action::RegisterScalableTarget { min: desired.min, max: desired.max, tags }.body();
    let (verb, reason) = match live {
        Some(_) => (Verb::Update, "the range is not as declared"),
        None => (Verb::Create, "does not exist"),
    };
    let mut changes = match live {
        Some(live) => {
            let mut changes = Vec::new();
            if live.min != desired.min {
                changes.push(FieldChange::new("min", live.min, desired.min));
            }
            if live.max != desired.max {
                changes.push(FieldChange::new("max", live.max, desired.max));
            }
            changes
        }
        None => created(desired),
    };
    let moved =
        moved(context, desired).filter(|(from, to, _)| live.is_none_or(|live| !live.suspended.holds(*from, *to)));
    let (reason, risk) = match &moved {
        Some((from, to, risk)) => (format!("{reason}; this moves the count of tasks from {from} to {to}"), *risk),
        None => (reason.to_owned(), Risk::Safe),
    };
    changes.extend(moved.map(|(from, to, _)| FieldChange::new("desiredCount", from, to)));
    Step::new("RegisterScalableTarget", verb, risk, reason, body).changing(changes)
}

impl Kind for ScalableTarget {
    const NAME: &'static str = "ScalableTarget";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Hot, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        let key = &desired.service;
        let wait = |kind, reason, message| ResourcePlan::wait(Wait::new(kind, reason, message));
        match context.output(key, "arn") {
            Observation::Present(_) => ResourcePlan::step(register(context, desired, None)),
            Observation::Absent if context.outputs.will_change(key) => {
                ResourcePlan::step(register(context, desired, None).after(key.clone()))
            }
            Observation::Absent => wait(WaitKind::Progressing, "DependencyNotReady", format!("{key} is not there yet")),
            Observation::Unknown { .. } => {
                wait(WaitKind::Unknown, "DependencyUnknown", format!("{key} is not known now"))
            }
        }
    }

    fn plan_present(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        let mut plan = ResourcePlan::in_sync();
        if observed.min != desired.min || observed.max != desired.max {
            plan.steps.push(register(context, desired, Some(observed)));
        }
        if observed.suspended.is_dynamic() || observed.suspended.scheduled {
            let off: Vec<&str> = [
                ("scaling in", observed.suspended.scale_in),
                ("scaling out", observed.suspended.scale_out),
                ("scheduled scaling", observed.suspended.scheduled),
            ]
            .into_iter()
            .filter_map(|(what, off)| off.then_some(what))
            .collect();
            plan.notes.push(Note::new("AutoscalingSuspended", format!("someone suspended {}", off.join(", "))));
        }
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, _observed: &Observed) -> ResourcePlan {
        let body = Action::DeregisterScalableTarget.body();
        let reason = "no longer declared; its scaling policies go with it";
        ResourcePlan::step(Step::new("DeregisterScalableTarget", Verb::Delete, Risk::Destructive, reason, body))
    }

    fn health(_context: &PlanContext<'_>, _desired: &Desired, _observed: &Observed) -> Health {
        Health::Ready
    }

    fn tags(observed: &Observed) -> Option<&Tags> {
        observed.tags.as_ref()
    }

    fn tag_step_body(observed: &Observed, set: &Tags) -> Value {
        match observed.arn.clone() {
            Some(arn) => Action::TagResource { arn, tags: set.clone() },
            // AWS gives a target that is registered again one, and takes tags after that. The range stays the live one.
            None => Action::RegisterScalableTarget { min: observed.min, max: observed.max, tags: None },
        }
        .body()
    }

    fn output(observed: &Observed, name: &str) -> Option<Output> {
        match name {
            "arn" => observed.arn.as_deref().map(Value::from),
            "exists" => Some(Value::Bool(true)),
            "min" => Some(Value::from(observed.min)),
            "max" => Some(Value::from(observed.max)),
            "suspended" => Some(Value::Bool(observed.suspended.is_dynamic())),
            // All at once, for the plan of the service.
            "bounds" => {
                let Suspended { scale_in, scale_out, .. } = observed.suspended;
                Some(json!([observed.min, observed.max, scale_in, scale_out]))
            }
            _ => None,
        }
    }
}
