//! Planning the cluster. Pure.

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use model::plan::Verb;
use model::{Environment, FieldChange, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Desired, Observed, desired};
use crate::changes::created;

/// The kind.
pub struct EcsCluster;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    CreateCluster { container_insights: Option<bool>, tags: Tags },
    UpdateClusterSettings { container_insights: bool },
    TagResource { arn: String, tags: Tags },
    DeleteCluster,
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

impl Kind for EcsCluster {
    const NAME: &'static str = "EcsCluster";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Hot, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(_context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        let body =
            Action::CreateCluster { container_insights: desired.container_insights, tags: desired.tags.clone() }.body();
        ResourcePlan::step(
            Step::new("CreateCluster", Verb::Create, Risk::Safe, "does not exist", body).changing(created(desired)),
        )
    }

    fn plan_present(_context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        match desired.container_insights {
            Some(on) if on != observed.container_insights.is_on() => {
                if observed.status != "ACTIVE" {
                    return ResourcePlan::wait(Wait::new(
                        WaitKind::Progressing,
                        "ClusterNotActive",
                        format!("the cluster is {}", observed.status),
                    ));
                }
                let body = Action::UpdateClusterSettings { container_insights: on }.body();
                let reason = "Container Insights is not as declared";
                let change = FieldChange::new("containerInsights", observed.container_insights.is_on(), on);
                ResourcePlan::step(
                    Step::new("UpdateClusterSettings", Verb::Update, Risk::Safe, reason, body).changing(vec![change]),
                )
            }
            Some(_) | None => ResourcePlan::in_sync(),
        }
    }

    fn plan_delete(_context: &PlanContext<'_>, observed: &Observed) -> ResourcePlan {
        if observed.status == "DEPROVISIONING" {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Progressing,
                "ClusterDeprovisioning",
                "the cluster is being deleted",
            ));
        }
        let body = Action::DeleteCluster.body();
        ResourcePlan::step(Step::new("DeleteCluster", Verb::Delete, Risk::Destructive, "no longer declared", body))
    }

    fn health(_context: &PlanContext<'_>, _desired: &Desired, observed: &Observed) -> Health {
        match observed.status.as_str() {
            "ACTIVE" => Health::Ready,
            "FAILED" => {
                Health::Stalled { reason: "ClusterFailed", message: "ECS could not set the cluster up".to_owned() }
            }
            status => Health::Progressing { reason: "ClusterNotActive", message: format!("the cluster is {status}") },
        }
    }

    fn tags(observed: &Observed) -> Option<&Tags> {
        Some(&observed.tags)
    }

    fn tag_step_body(observed: &Observed, set: &Tags) -> Value {
        Action::TagResource { arn: observed.arn.clone(), tags: set.clone() }.body()
    }

    fn output(observed: &Observed, name: &str) -> Option<Output> {
        (name == "arn" && observed.status == "ACTIVE").then(|| Value::from(observed.arn.as_str()))
    }
}
