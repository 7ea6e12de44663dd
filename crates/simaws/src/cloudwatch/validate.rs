//! What PutMetricAlarm refuses beyond the shape (CloudWatch API Reference, PutMetricAlarm). Must not change anything.
use std::collections::BTreeSet;

use super::invalid;
use crate::{AwsError, Doc};

/// Checks an input whole.
pub(super) fn alarm(input: &Doc) -> Result<(), AwsError> {
    for list in ["AlarmActions", "OKActions", "InsufficientDataActions"] {
        let actions = input.texts(list);
        if let Some(bad) = actions.iter().find(|a| !a.starts_with("arn:") || a.split(':').count() < 6) {
            return Err(invalid(format!("Invalid arn syntax: {bad}")));
        }
        if actions.iter().collect::<BTreeSet<_>>().len() < actions.len() {
            return Err(invalid(format!("{list} holds an action twice")));
        }
    }
    let evaluated = input.int("EvaluationPeriods").unwrap_or(1);
    if input.int("DatapointsToAlarm").is_some_and(|n| n > evaluated) {
        return Err(invalid("DatapointsToAlarm must be less than or equal to EvaluationPeriods"));
    }
    let band = matches!(
        input.need("ComparisonOperator"),
        "LessThanLowerOrGreaterThanUpperThreshold" | "LessThanLowerThreshold" | "GreaterThanUpperThreshold"
    );
    if band != input.has("ThresholdMetricId") {
        return Err(invalid("ThresholdMetricId is for anomaly detection comparisons, which need it"));
    }
    if band == input.has("Threshold") {
        return Err(invalid("Threshold must be set, except for alarms based on anomaly detection"));
    }
    if input.has("Metrics") { queries(input) } else { single(input, evaluated) }
}

/// An alarm on one metric.
fn single(input: &Doc, evaluated: i64) -> Result<(), AwsError> {
    if let Some(missing) = ["MetricName", "Namespace", "Period"].iter().find(|f| !input.has(f)) {
        return Err(invalid(format!("The parameter {missing} must be set, or Metrics")));
    }
    if input.has("Statistic") == input.has("ExtendedStatistic") {
        return Err(invalid("Exactly one of the parameters Statistic and ExtendedStatistic must be set"));
    }
    if input.has("ThresholdMetricId") {
        return Err(invalid("ThresholdMetricId needs Metrics"));
    }
    period(input.int("Period").unwrap_or(60), evaluated)?;
    if input.has("EvaluateLowSampleCountPercentile") && !input.has("ExtendedStatistic") {
        return Err(invalid("EvaluateLowSampleCountPercentile is for alarms on percentiles"));
    }
    let names: BTreeSet<_> = input.list("Dimensions").iter().map(|d| d.need("Name")).collect();
    if names.len() < input.list("Dimensions").len() {
        return Err(invalid("A dimension is given twice"));
    }
    Ok(())
}

fn period(seconds: i64, evaluated: i64) -> Result<(), AwsError> {
    if !matches!(seconds, 10 | 20 | 30) && seconds % 60 != 0 {
        return Err(invalid("Period must be 10, 20, 30 or a multiple of 60"));
    }
    let longest = if seconds < 3600 { 86_400 } else { 604_800 };
    if seconds.saturating_mul(evaluated) > longest {
        return Err(invalid(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400), or a week for periods of an hour or more",
        ));
    }
    Ok(())
}

/// A metric math alarm.
fn queries(input: &Doc) -> Result<(), AwsError> {
    let single = ["MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic"];
    if let Some(also) = single.iter().find(|f| input.has(f)) {
        return Err(invalid(format!("Metrics and {also} are mutually exclusive")));
    }
    let queries = input.list("Metrics");
    let ids: BTreeSet<_> = queries.iter().map(|q| q.need("Id")).collect();
    if queries.is_empty() || ids.len() < queries.len() {
        return Err(invalid("Metrics must hold queries with an Id of their own each"));
    }
    if queries.iter().any(|q| q.has("MetricStat") == q.has("Expression")) {
        return Err(invalid("Each query has either MetricStat or Expression"));
    }
    let band = input.text("ThresholdMetricId");
    let returned =
        queries.iter().filter(|q| q.flag("ReturnData").unwrap_or(true) && Some(q.need("Id")) != band).count();
    if returned != 1 {
        return Err(invalid("Exactly one element of the metrics list should return data."));
    }
    if band.is_some_and(|id| !ids.contains(id)) {
        return Err(invalid("ThresholdMetricId names no element of the metrics list"));
    }
    let evaluated = input.int("EvaluationPeriods").unwrap_or(1);
    queries.iter().filter_map(|q| q.at("MetricStat").int("Period")).try_for_each(|p| period(p, evaluated))
}
