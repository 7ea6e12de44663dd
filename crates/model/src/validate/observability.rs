//! Checks of `spec.secrets` and `spec.alarms`.

use super::{names, range};
use crate::env::{AlarmSpec, Environment};
use crate::problem::{Problems, Reason, join};

pub(super) fn secrets(environment: &Environment, problems: &mut Problems) {
    for (name, secret) in &environment.spec.secrets {
        let path = join("spec.secrets", name);
        if !names::is_secret_name(name) {
            problems.add(&path, Reason::FieldValueInvalid, names::SECRET_NAME);
        }
        if secret.description.as_ref().is_some_and(|text| text.chars().count() > 2_048) {
            problems.add(format!("{path}.description"), Reason::FieldValueInvalid, "has at most 2048 characters");
        }
        if let Some(rotation) = &secret.rotation {
            range(problems, format!("{path}.rotation.everyDays"), Some(rotation.every_days), 1, 1_000);
            if names::arn(&rotation.lambda_arn).is_none_or(|arn| arn.service != "lambda") {
                problems.add(
                    format!("{path}.rotation.lambdaArn"),
                    Reason::FieldValueInvalid,
                    "must be the ARN of a Lambda function",
                );
            }
        }
    }
}

pub(super) fn alarms(environment: &Environment, problems: &mut Problems) {
    for (name, alarm) in &environment.spec.alarms {
        let path = join("spec.alarms", name);
        if name.is_empty() || name.chars().count() > 255 {
            problems.add(&path, Reason::FieldValueInvalid, "an alarm's name has 1 to 255 characters");
        }
        check_alarm(alarm, &path, problems);
    }
}

/// CloudWatch API Reference, PutMetricAlarm.
fn check_alarm(alarm: &AlarmSpec, path: &str, problems: &mut Problems) {
    if alarm.statistic.is_some() && alarm.extended_statistic.is_some() {
        problems.add(format!("{path}.extendedStatistic"), Reason::FieldValueForbidden, "excludes statistic");
    }
    if let Some(text) = &alarm.extended_statistic {
        let percentile = text.strip_prefix('p').and_then(|n| n.parse::<f64>().ok());
        if percentile.is_none_or(|n| !(0.0..=100.0).contains(&n)) {
            problems.add(
                format!("{path}.extendedStatistic"),
                Reason::FieldValueInvalid,
                "must be a percentile such as p99.9",
            );
        }
    }
    if let Some(period) = alarm.period {
        let seconds = period.as_secs();
        if ![10, 20, 30].contains(&seconds) && (seconds == 0 || seconds % 60 != 0) {
            problems.add(
                format!("{path}.period"),
                Reason::FieldValueInvalid,
                "must be 10s, 20s, 30s or a multiple of 60s",
            );
        }
    }
    range(problems, format!("{path}.evaluationPeriods"), alarm.evaluation_periods, 1, 10_080);
    range(problems, format!("{path}.datapointsToAlarm"), alarm.datapoints_to_alarm, 1, 10_080);
    if let (Some(points), Some(periods)) = (alarm.datapoints_to_alarm, alarm.evaluation_periods)
        && points > periods
    {
        problems.add(
            format!("{path}.datapointsToAlarm"),
            Reason::FieldValueInvalid,
            "is greater than evaluationPeriods",
        );
    }
    if alarm.threshold.is_some_and(|threshold| !threshold.is_finite()) {
        problems.add(format!("{path}.threshold"), Reason::FieldValueInvalid, "must be a number");
    }
    if alarm.dimensions.as_ref().is_some_and(|dimensions| dimensions.len() > 30) {
        problems.add(format!("{path}.dimensions"), Reason::FieldValueInvalid, "at most 30 dimensions");
    }
    for (field, list) in [("notify", &alarm.notify), ("notifyOk", &alarm.notify_ok)] {
        if list.as_ref().is_some_and(|list| list.len() > 5) {
            problems.add(format!("{path}.{field}"), Reason::FieldValueInvalid, "at most 5 actions");
        }
        for (n, arn) in list.iter().flatten().enumerate() {
            if names::arn(arn).is_none() {
                problems.add(format!("{path}.{field}[{n}]"), Reason::FieldValueInvalid, "must be an ARN");
            }
        }
    }
}
