//! The target group that a service registers its tasks in. Pure.

use engine::{PlanContext, Reference};
use model::{FieldChange, Observation, ResourceKey, ResourcePlan, Wait, WaitKind};
use serde_json::Value;

use super::desired::TargetGroup;
use super::observed::LoadBalancer;
use super::update::Part;
use super::{Desired, Observed};

/// What is known of the declared target group.
pub(super) enum Target {
    /// To be registered in.
    Ready(LoadBalancer),
    /// To be made first.
    After(ResourceKey),
    /// Not to be used yet.
    Wait(Wait),
}

pub(super) fn target(context: &PlanContext<'_>, desired: &Desired, group: &TargetGroup) -> Target {
    let arn = match context.output(&group.key, "arn") {
        Observation::Present(Value::String(arn)) => arn,
        Observation::Present(_) | Observation::Absent if context.outputs.will_change(&group.key) => {
            return Target::After(group.key.clone());
        }
        Observation::Present(_) | Observation::Absent => {
            let message = format!("{} is not there yet", group.key);
            return Target::Wait(Wait::new(WaitKind::Progressing, "DependencyNotReady", message));
        }
        Observation::Unknown { .. } => {
            let message = format!("{} is not known now", group.key);
            return Target::Wait(Wait::new(WaitKind::Unknown, "DependencyUnknown", message));
        }
    };
    if context.output(&group.key, "attached") != Observation::Present(Value::Bool(true)) {
        return Target::Wait(Wait::new(
            WaitKind::Progressing,
            "TargetGroupNotAttached",
            format!("{} is not attached to a load balancer yet, and ECS refuses it before", group.key),
        ));
    }
    Target::Ready(LoadBalancer { target_group_arn: arn, container: container(context, desired), port: group.port })
}

/// The container that takes the traffic: the one named like the service, else the only one of the revision.
fn container(context: &PlanContext<'_>, desired: &Desired) -> String {
    let Reference::Of { key, .. } = &desired.task_definition else { return desired.container.clone() };
    match context.output(key, "containers") {
        Observation::Present(Value::Array(names)) => match names.as_slice() {
            [Value::String(only)] => only.clone(),
            _ => desired.container.clone(),
        },
        Observation::Present(_) | Observation::Absent | Observation::Unknown { .. } => desired.container.clone(),
    }
}

/// The target group, when the service is not registered in it. Others are left alone. Whether all of it is known.
pub(super) fn plan_load_balancer(
    context: &PlanContext<'_>,
    desired: &Desired,
    observed: &Observed,
    part: &mut Part,
    plan: &mut ResourcePlan,
) -> bool {
    const REASON: &str = "the service does not register its tasks in the declared target group";
    let Some(group) = &desired.target_group else { return true };
    let field = |live: Option<&LoadBalancer>, to: Value| {
        let from = live.map_or(Value::Null, |live| format!("{}:{}", live.container, live.port).into());
        FieldChange::new(format!("targetGroup[{:?}]", &*group.key.identity), from, to)
    };
    if let Observation::Present(Value::String(arn)) = context.output(&group.key, "arn") {
        let same = |live: &&LoadBalancer| live.target_group_arn == arn && live.port == group.port;
        if let Some(live) = observed.load_balancers.iter().find(same)
            && (live.container == desired.container || live.container == container(context, desired))
        {
            return true;
        }
    }
    match target(context, desired, group) {
        Target::Ready(wanted) => {
            let live = observed.load_balancers.iter().find(|live| live.target_group_arn == wanted.target_group_arn);
            part.note(REASON, field(live, format!("{}:{}", wanted.container, wanted.port).into()));
            part.update.load_balancer = Some(wanted);
        }
        Target::After(key) => {
            part.note(REASON, field(None, "(known after the target group is there)".into()));
            part.after = Some(key);
        }
        Target::Wait(wait) => {
            let known = wait.kind != WaitKind::Unknown;
            plan.waits.push(wait);
            return known;
        }
    }
    true
}
