//! Planning a log group. Pure.

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use model::plan::Verb;
use model::{Environment, ResourcePlan, Risk, Step, Tags};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Desired, Observed, desired};
use crate::changes::{Changes, created};

/// The kind.
pub struct LogGroup;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    CreateLogGroup { tags: Tags },
    PutRetentionPolicy { days: u32 },
    TagResource { arn: String, tags: Tags },
    DeleteLogGroup,
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

/// An event may be back-dated by 14 days at most when it is put (CloudWatch Logs API Reference, PutLogEvents), so a
/// group younger than the retention less 14 days holds none that is older. A group made within the hour that holds
/// nothing yet loses nothing either.
fn loses_nothing(context: &PlanContext<'_>, observed: &Observed, days: u32) -> bool {
    const BACKDATED_DAYS: i64 = 14;
    let Some(created) = observed.created_at else { return false };
    let age = context.now.duration_since(created);
    let young = age.as_hours() / 24 + BACKDATED_DAYS < i64::from(days);
    young || (observed.empty && age.as_hours() < 1)
}

impl Kind for LogGroup {
    const NAME: &'static str = "LogGroup";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Hot, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(_context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        // The retention follows in a step of its own, planned once the group is seen.
        let body = Action::CreateLogGroup { tags: desired.tags.clone() }.body();
        ResourcePlan::step(
            Step::new("CreateLogGroup", Verb::Create, Risk::Safe, "does not exist", body).changing(created(desired)),
        )
    }

    fn plan_present(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        let mut changes = Changes::new();
        if !changes.field("retentionDays", desired.retention_days.as_ref(), observed.retention_days.as_ref()) {
            return ResourcePlan::in_sync();
        }
        let days = desired.retention_days.unwrap_or_default();
        let shorter = observed.retention_days.is_none_or(|live| days < live);
        let (risk, reason) = if !shorter {
            (Risk::Safe, "retention is shorter than declared")
        } else if loses_nothing(context, observed, days) {
            (Risk::Safe, "retention is longer than declared; no event is old enough to be lost")
        } else {
            (Risk::Destructive, "retention is longer than declared; a shorter one destroys older events")
        };
        let body = Action::PutRetentionPolicy { days }.body();
        ResourcePlan::step(
            Step::new("PutRetentionPolicy", Verb::Update, risk, reason, body).changing(changes.into_vec()),
        )
    }

    fn plan_delete(_context: &PlanContext<'_>, _observed: &Observed) -> ResourcePlan {
        let body = Action::DeleteLogGroup.body();
        ResourcePlan::step(Step::new("DeleteLogGroup", Verb::Delete, Risk::Destructive, "no longer declared", body))
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
        (name == "arn").then(|| Value::from(observed.arn.as_str()))
    }
}
