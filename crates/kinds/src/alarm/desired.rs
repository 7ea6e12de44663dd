//! What the document wants of an alarm.

use std::collections::BTreeMap;

use engine::Expansion;
use model::env::AlarmSpec;
use model::{Environment, Tags};
use serde::Serialize;

use super::Config;

/// What the document wants of an alarm: only what is declared is managed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Namespace of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Dimensions of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<BTreeMap<String, String>>,
    /// Statistic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistic: Option<String>,
    /// Percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_statistic: Option<String>,
    /// Seconds of a period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_s: Option<u32>,
    /// Periods compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_periods: Option<u32>,
    /// Of those, how many must breach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datapoints_to_alarm: Option<u32>,
    /// Comparison with the threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<String>,
    /// Threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// What missing data means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub treat_missing_data: Option<String>,
    /// ARNs notified on ALARM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Vec<String>>,
    /// ARNs notified on OK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_ok: Option<Vec<String>>,
    /// Tags given at creation.
    pub tags: Tags,
}

impl Desired {
    fn new(spec: &AlarmSpec, tags: Tags) -> Self {
        Self {
            description: spec.description.clone(),
            namespace: spec.namespace.clone(),
            metric: spec.metric.clone(),
            dimensions: spec.dimensions.clone(),
            statistic: spec.statistic.map(|statistic| statistic.to_string()),
            extended_statistic: spec.extended_statistic.clone(),
            period_s: spec.period.map(model::Span::as_secs),
            evaluation_periods: spec.evaluation_periods,
            datapoints_to_alarm: spec.datapoints_to_alarm,
            comparison: spec.comparison.map(|comparison| comparison.to_string()),
            threshold: spec.threshold,
            treat_missing_data: spec.treat_missing_data.map(|treatment| treatment.to_string()),
            notify: spec.notify.clone(),
            notify_ok: spec.notify_ok.clone(),
            tags,
        }
    }

    /// What a new alarm cannot be made without, and the document does not say.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let needs = [
            ("namespace", self.namespace.is_some()),
            ("metric", self.metric.is_some()),
            ("statistic", self.statistic.is_some() || self.extended_statistic.is_some()),
            ("period", self.period_s.is_some()),
            ("evaluationPeriods", self.evaluation_periods.is_some()),
            ("comparison", self.comparison.is_some()),
            ("threshold", self.threshold.is_some()),
        ];
        needs.into_iter().filter(|(_, given)| !given).map(|(field, _)| field).collect()
    }

    /// A live configuration overlaid with the declared fields.
    pub(super) fn over(&self, live: &Config) -> Config {
        let mut body = live.clone();
        let or = |declared: &Option<String>, live: &Option<String>| declared.clone().or_else(|| live.clone());
        body.description = or(&self.description, &live.description);
        body.namespace = or(&self.namespace, &live.namespace);
        body.metric = or(&self.metric, &live.metric);
        body.comparison = or(&self.comparison, &live.comparison);
        body.treat_missing_data = or(&self.treat_missing_data, &live.treat_missing_data);
        if let Some(dimensions) = &self.dimensions {
            body.dimensions.clone_from(dimensions);
        }
        // One excludes the other, and a percentile's own setting goes with it.
        if self.statistic.is_some() {
            body.statistic.clone_from(&self.statistic);
            body.extended_statistic = None;
            body.low_sample_percentile = None;
        }
        if self.extended_statistic.is_some() {
            body.extended_statistic.clone_from(&self.extended_statistic);
            body.statistic = None;
        }
        body.period_s = self.period_s.or(live.period_s);
        body.evaluation_periods = self.evaluation_periods.or(live.evaluation_periods);
        body.threshold = self.threshold.or(live.threshold);
        body.datapoints_to_alarm = self.datapoints_to_alarm.or(live.datapoints_to_alarm);
        if self.datapoints_to_alarm.is_none() && body.datapoints_to_alarm > body.evaluation_periods {
            // Fewer periods than the live alarm wants breached: all of them is what is left, and the default.
            body.datapoints_to_alarm = None;
        }
        if let Some(notify) = &self.notify {
            body.alarm_actions.clone_from(notify);
            body.actions_enabled = true;
        }
        if let Some(notify) = &self.notify_ok {
            body.ok_actions.clone_from(notify);
        }
        body
    }
}

/// One alarm for each that is declared.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    for (name, spec) in &environment.spec.alarms {
        let desired = Desired::new(spec, expansion.tags().clone());
        expansion.add(name, model::problem::join("spec.alarms", name), desired);
    }
}
