//! Planning a target group. Pure.

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use model::plan::{Note, Verb};
use model::{Environment, FieldChange, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Desired, HealthCheck, Observed, desired};
use crate::changes::{Changes, created};

/// The kind.
pub struct TargetGroup;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    CreateTargetGroup { port: u16, vpc: String, health_check: HealthCheck, tags: Tags },
    ModifyTargetGroup { arn: String, health_check: HealthCheck },
    ModifyTargetGroupAttributes { arn: String, deregistration_delay_s: u32 },
    TagResource { arn: String, tags: Tags },
    DeleteTargetGroup { arn: String },
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

/// Fargate tasks are registered by address (ECS Developer Guide, "Use load balancing", target type).
const TARGET_TYPE: &str = "ip";
const PROTOCOL: &str = "HTTP";

/// What only a new group could change.
fn immutable(desired: &Desired, observed: &Observed, plan: &mut ResourcePlan) {
    let mut fatal = Changes::new();
    fatal.field("vpc", desired.vpc.as_ref(), observed.vpc.as_ref());
    fatal.field("targetType", Some(&TARGET_TYPE.to_owned()), observed.target_type.as_ref());
    if !fatal.is_empty() {
        let changes = fatal.into_vec();
        let fields: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
        let message = format!(
            "{} differs and is fixed when a target group is made: give another name to have a new group made",
            fields.join(", ")
        );
        plan.waits.push(Wait::new(WaitKind::Stalled, "ReplacementNeeded", message.clone()));
        plan.notes.push(Note { changes, ..Note::new("ReplacementNeeded", message) });
    }
    // ECS registers each task with the port of its container, whatever the group's own is.
    let mut harmless = Changes::new();
    harmless.field("port", desired.port.as_ref(), observed.port.as_ref());
    harmless.field("protocol", Some(&PROTOCOL.to_owned()), observed.protocol.as_ref());
    if !harmless.is_empty() {
        let message = "fixed when a target group is made; only a new group, under another name, could change it";
        plan.notes.push(Note { changes: harmless.into_vec(), ..Note::new("FixedAtCreation", message) });
    }
}

fn health_check(desired: &HealthCheck, observed: &HealthCheck) -> (HealthCheck, Vec<FieldChange>) {
    let mut changes = Changes::new();
    // Only what differs is sent: ModifyTargetGroup leaves the rest as it is.
    macro_rules! differing {
        ($($field:ident: $name:literal),* $(,)?) => {
            HealthCheck {
                $($field: changes
                    .field(concat!("healthCheck.", $name), desired.$field.as_ref(), observed.$field.as_ref())
                    .then(|| desired.$field.clone())
                    .flatten(),)*
            }
        };
    }
    let send = differing! {
        path: "path",
        interval_s: "interval",
        timeout_s: "timeout",
        healthy_threshold: "healthyThreshold",
        unhealthy_threshold: "unhealthyThreshold",
        matcher: "matcher",
    };
    (send, changes.into_vec())
}

impl Kind for TargetGroup {
    const NAME: &'static str = "TargetGroup";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Hot, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(_context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        let (Some(port), Some(vpc)) = (desired.port, desired.vpc.clone()) else {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Stalled,
                "SpecIncomplete",
                "a target group cannot be made without the service's port and spec.network.vpc",
            ));
        };
        // The deregistration delay follows in a step of its own, planned once the group is seen.
        let (health_check, tags) = (desired.health_check.clone(), desired.tags.clone());
        let body = Action::CreateTargetGroup { port, vpc, health_check, tags }.body();
        ResourcePlan::step(
            Step::new("CreateTargetGroup", Verb::Create, Risk::Safe, "does not exist", body).changing(created(desired)),
        )
    }

    fn plan_present(_context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        let mut plan = ResourcePlan::in_sync();
        immutable(desired, observed, &mut plan);
        let arn = observed.arn.clone();
        let (send, changes) = health_check(&desired.health_check, &observed.health_check);
        if !changes.is_empty() {
            let body = Action::ModifyTargetGroup { arn: arn.clone(), health_check: send }.body();
            let reason = "the health check is not as declared";
            let step = Step::new("ModifyTargetGroup", Verb::Update, Risk::Safe, reason, body);
            plan.steps.push(step.changing(changes));
        }
        match (desired.deregistration_delay_s, observed.deregistration_delay_s) {
            (Some(_), None) => plan.waits.push(Wait::new(
                WaitKind::Unknown,
                "AttributesUnknown",
                "the deregistration delay has not been read yet",
            )),
            (Some(wanted), Some(live)) if wanted != live => {
                let body = Action::ModifyTargetGroupAttributes { arn, deregistration_delay_s: wanted }.body();
                let reason = "the deregistration delay is not as declared";
                let step = Step::new("ModifyTargetGroupAttributes", Verb::Update, Risk::Safe, reason, body);
                let change = FieldChange::new("deregistrationDelay", format!("{live}s"), format!("{wanted}s"));
                plan.steps.push(step.changing(vec![change]));
            }
            (Some(_) | None, _) => {}
        }
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, observed: &Observed) -> ResourcePlan {
        if !observed.load_balancers.is_empty() {
            let message = format!("a listener of {} still forwards to it", observed.load_balancers.join(", "));
            return ResourcePlan::wait(Wait::new(WaitKind::Progressing, "TargetGroupInUse", message));
        }
        let body = Action::DeleteTargetGroup { arn: observed.arn.clone() }.body();
        ResourcePlan::step(Step::new("DeleteTargetGroup", Verb::Delete, Risk::Destructive, "no longer declared", body))
    }

    fn health(_context: &PlanContext<'_>, _desired: &Desired, _observed: &Observed) -> Health {
        Health::Ready
    }

    fn tags(observed: &Observed) -> Option<&Tags> {
        observed.tags.as_ref()
    }

    fn tag_step_body(observed: &Observed, set: &Tags) -> Value {
        Action::TagResource { arn: observed.arn.clone(), tags: set.clone() }.body()
    }

    fn output(observed: &Observed, name: &str) -> Option<Output> {
        match name {
            "arn" => Some(Value::from(observed.arn.as_str())),
            "name" => Some(Value::from(observed.name.as_str())),
            // CreateService is refused while no listener forwards to the group.
            "attached" => Some(Value::from(!observed.load_balancers.is_empty())),
            _ => None,
        }
    }
}
