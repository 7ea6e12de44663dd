//! Planning an alarm. Pure.

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use model::plan::{Note, Verb};
use model::{Environment, FieldChange, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Config, Desired, Form, Observed, desired};
use crate::changes::created;

/// The kind.
pub struct Alarm;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
pub enum Action {
    /// PutMetricAlarm where there is none.
    Create {
        /// The whole configuration.
        config: Config,
        /// Tags.
        tags: Tags,
    },
    /// PutMetricAlarm over one that is there.
    Replace {
        /// The whole configuration: the live one overlaid with what is declared.
        config: Config,
    },
    /// EnableAlarmActions.
    EnableActions,
    /// TagResource.
    TagResource {
        /// The alarm.
        arn: String,
        /// Tags to set.
        tags: Tags,
    },
    /// DeleteAlarms.
    DeleteAlarms,
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// The fields in which two canonical configurations differ, in the words of the spec.
fn differences(live: &Config, wanted: &Config) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    macro_rules! compare {
        ($($field:ident: $name:literal),* $(,)?) => {
            $(if live.$field != wanted.$field {
                changes.push(FieldChange::new($name, json(&live.$field), json(&wanted.$field)));
            })*
        };
    }
    compare! {
        description: "description",
        namespace: "namespace",
        metric: "metric",
        dimensions: "dimensions",
        statistic: "statistic",
        extended_statistic: "extendedStatistic",
        period_s: "period",
        evaluation_periods: "evaluationPeriods",
        datapoints_to_alarm: "datapointsToAlarm",
        comparison: "comparison",
        threshold: "threshold",
        treat_missing_data: "treatMissingData",
        alarm_actions: "notify",
        ok_actions: "notifyOk",
        actions_enabled: "actionsEnabled",
    }
    changes
}

/// Somebody switched the actions off after the alarm was ours: an alarm that tells nobody is worse than none.
fn tampering() -> Note {
    Note::new("Tampering", "AlarmActionsDisabled: someone switched the alarm's actions off; they are switched on again")
}

fn not_on_one_metric(observed: &Observed, changes: Vec<FieldChange>) -> ResourcePlan {
    let what = match observed.form {
        Form::Metric | Form::Expression => "metric math, anomaly detection or a query",
        Form::Composite => "other alarms",
    };
    let message = format!("the alarm of this name is on {what}, and the spec says one metric; it is left as it is");
    let mut plan = ResourcePlan::wait(Wait::new(WaitKind::Stalled, "AlarmNotOnOneMetric", message.clone()));
    plan.notes.push(Note { changes, ..Note::new("AlarmNotOnOneMetric", message) });
    plan
}

impl Kind for Alarm {
    const NAME: &'static str = "Alarm";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Hot, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(_context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        let missing = desired.missing();
        if !missing.is_empty() {
            let message = format!("an alarm cannot be made without {}", missing.join(", "));
            return ResourcePlan::wait(Wait::new(WaitKind::Stalled, "SpecIncomplete", message));
        }
        let config = desired.over(&Config::default());
        let body = Action::Create { config, tags: desired.tags.clone() }.body();
        ResourcePlan::step(
            Step::new("PutMetricAlarm", Verb::Create, Risk::Safe, "does not exist", body).changing(created(desired)),
        )
    }

    fn plan_present(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        let wanted = desired.over(&observed.config);
        let changes = differences(&observed.config.canonical(), &wanted.canonical());
        if changes.is_empty() {
            return ResourcePlan::in_sync();
        }
        let switched_off = changes.iter().any(|change| change.field == "actionsEnabled");
        let mut plan = if switched_off && changes.len() == 1 {
            let reason = "the alarm's actions are switched off";
            let step = Step::new("EnableAlarmActions", Verb::Update, Risk::Safe, reason, Action::EnableActions.body());
            ResourcePlan::step(step.changing(changes))
        } else if observed.form != Form::Metric {
            return not_on_one_metric(observed, changes);
        } else {
            let body = Action::Replace { config: wanted }.body();
            let reason = "the alarm is not as declared";
            ResourcePlan::step(Step::new("PutMetricAlarm", Verb::Update, Risk::Safe, reason, body).changing(changes))
        };
        if switched_off && !context.adopted_now {
            plan.notes.push(tampering());
        }
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, _observed: &Observed) -> ResourcePlan {
        let body = Action::DeleteAlarms.body();
        ResourcePlan::step(Step::new("DeleteAlarms", Verb::Delete, Risk::Destructive, "no longer declared", body))
    }

    /// An alarm that rings does its work: what rings is not its own health.
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
            "state" => Some(Value::from(observed.state.as_str())),
            _ => None,
        }
    }
}
