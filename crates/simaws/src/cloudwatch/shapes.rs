//! Input shapes (CloudWatch API Reference, the data types).
use crate::shape::{Field, Shape, boolean, float, int, list, opt, req, structure, tag_list, text};

const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

pub(super) fn alarm_name() -> Shape {
    text().len(1, 255)
}

pub(super) fn state_value() -> Shape {
    text().one_of(["OK", "ALARM", "INSUFFICIENT_DATA"])
}

fn dimensions() -> Shape {
    list(structure([req("Name", text().len(1, 255)), req("Value", text().len(1, 1024))])).max(30)
}

fn namespace() -> Shape {
    text().len(1, 255).pattern("[^:].*")
}

fn unit() -> Shape {
    text().one_of(UNITS)
}

fn statistic() -> Shape {
    text().one_of(["SampleCount", "Average", "Sum", "Minimum", "Maximum"])
}

/// CloudWatch User Guide, "CloudWatch statistics definitions".
fn extended_statistic() -> Shape {
    text().pattern(r"(p|tm|tc|ts|wm)(\d{1,2}(\.\d{0,10})?|100)|IQM|(TM|TC|TS|WM|PR)\(.*\)")
}

fn actions() -> Shape {
    list(text().len(1, 1024)).max(5)
}

fn queries() -> Shape {
    let metric = structure([
        req("Namespace", namespace()),
        req("MetricName", text().len(1, 255)),
        opt("Dimensions", dimensions()),
    ]);
    let stat = structure([
        req("Metric", metric),
        req("Period", int().min(1)),
        req("Stat", text().min(1)),
        opt("Unit", unit()),
    ]);
    list(structure([
        req("Id", text().len(1, 255).pattern("[a-z][a-zA-Z0-9_]*")),
        opt("MetricStat", stat),
        opt("Expression", text().len(1, 2048)),
        opt("Label", text()),
        opt("ReturnData", boolean()),
        opt("Period", int().min(1)),
        opt("AccountId", text().len(1, 255)),
    ]))
    .max(20)
}

/// API Reference, PutMetricAlarm.
pub(super) fn put_metric_alarm() -> Vec<Field> {
    let comparisons = [
        "GreaterThanOrEqualToThreshold",
        "GreaterThanThreshold",
        "LessThanThreshold",
        "LessThanOrEqualToThreshold",
        "LessThanLowerOrGreaterThanUpperThreshold",
        "LessThanLowerThreshold",
        "GreaterThanUpperThreshold",
    ];
    vec![
        req("AlarmName", alarm_name()),
        opt("AlarmDescription", text().max(1024)),
        opt("ActionsEnabled", boolean()),
        opt("OKActions", actions()),
        opt("AlarmActions", actions()),
        opt("InsufficientDataActions", actions()),
        opt("MetricName", text().len(1, 255)),
        opt("Namespace", namespace()),
        opt("Statistic", statistic()),
        opt("ExtendedStatistic", extended_statistic()),
        opt("Dimensions", dimensions()),
        opt("Period", int().min(1)),
        opt("Unit", unit()),
        req("EvaluationPeriods", int().min(1)),
        opt("DatapointsToAlarm", int().min(1)),
        opt("Threshold", float()),
        req("ComparisonOperator", text().one_of(comparisons)),
        opt("TreatMissingData", text().one_of(["breaching", "notBreaching", "ignore", "missing"])),
        opt("EvaluateLowSampleCountPercentile", text().one_of(["evaluate", "ignore"])),
        opt("Metrics", queries()),
        opt("Tags", tag_list("Key", "Value").max(50)),
        opt("ThresholdMetricId", text().len(1, 255)),
    ]
}

/// API Reference, DescribeAlarmsForMetric.
pub(super) fn alarms_for_metric() -> Vec<Field> {
    vec![
        req("MetricName", text().len(1, 255)),
        req("Namespace", namespace()),
        opt("Statistic", statistic()),
        opt("ExtendedStatistic", extended_statistic()),
        opt("Dimensions", dimensions()),
        opt("Period", int().min(1)),
        opt("Unit", unit()),
    ]
}
