//! What AWS says of an alarm.

use std::collections::BTreeMap;

use model::Tags;
use serde::{Deserialize, Serialize};

/// What AWS says of an alarm.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// ARN.
    pub arn: String,
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`.
    pub state: String,
    /// On what it is.
    pub form: Form,
    /// Its configuration.
    pub config: Config,
    /// Tags; `None` while they are not known.
    pub tags: Option<Tags>,
}

/// On what an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// On one metric.
    Metric,
    /// On metric math, anomaly detection or a query.
    Expression,
    /// On other alarms.
    Composite,
}

/// The configuration of an alarm on one metric, whole: what PutMetricAlarm replaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "PutMetricAlarm's own parameters, in the words of the spec")]
pub struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub actions_enabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alarm_actions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ok_actions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub insufficient_data_actions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_statistic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_periods: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datapoints_to_alarm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub treat_missing_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_sample_percentile: Option<String>,
}

impl Default for Config {
    /// A new alarm before anything is said of it.
    fn default() -> Self {
        Self {
            description: None,
            actions_enabled: true,
            alarm_actions: Vec::new(),
            ok_actions: Vec::new(),
            insufficient_data_actions: Vec::new(),
            namespace: None,
            metric: None,
            dimensions: BTreeMap::new(),
            statistic: None,
            extended_statistic: None,
            period_s: None,
            unit: None,
            evaluation_periods: None,
            datapoints_to_alarm: None,
            threshold: None,
            comparison: None,
            treat_missing_data: None,
            low_sample_percentile: None,
        }
    }
}

impl Config {
    /// What two configurations that mean the same have in common: defaults written out, lists in order.
    /// (CloudWatch API Reference, PutMetricAlarm: TreatMissingData, DatapointsToAlarm, AlarmActions.)
    pub(super) fn canonical(&self) -> Self {
        let mut canonical = self.clone();
        canonical.description = self.description.clone().filter(|text| !text.is_empty());
        canonical.treat_missing_data.get_or_insert_with(|| "missing".to_owned());
        canonical.datapoints_to_alarm = self.datapoints_to_alarm.or(self.evaluation_periods);
        for actions in
            [&mut canonical.alarm_actions, &mut canonical.ok_actions, &mut canonical.insufficient_data_actions]
        {
            actions.sort();
            actions.dedup();
        }
        canonical
    }
}
