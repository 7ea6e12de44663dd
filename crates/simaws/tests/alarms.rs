//! CloudWatch alarms, as documented, over each of the three protocols.
use serde_json::{Value, json};
use simaws::testing::{Reply, cbor, json as call, query};
use simaws::{Doc, Sim, doc};

use crate::cli::Cli;
use crate::support::still;

fn cpu(name: &str) -> Value {
    json!({
        "AlarmName": name, "Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "Statistic": "Average", "Period": 300,
        "EvaluationPeriods": 2, "Threshold": 80.0, "ComparisonOperator": "GreaterThanThreshold",
        "Dimensions": [{ "Name": "ServiceName", "Value": "api" }],
    })
}

fn with(mut body: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().expect("an object") {
        body[key] = value.clone();
    }
    body
}

async fn put(sim: &Sim, body: Value) -> Reply {
    call(sim, "monitoring", "PutMetricAlarm", body).await
}

async fn alarms(sim: &Sim, body: Value) -> Vec<Value> {
    let reply = call(sim, "monitoring", "DescribeAlarms", body).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    reply.body["MetricAlarms"].as_array().expect("a list").clone()
}

const ARN: &str = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:a";

#[tokio::test]
async fn a_new_alarm_has_insufficient_data_and_its_actions_enabled() {
    let sim = still();
    assert_eq!(put(&sim, cpu("a")).await.status, 200);
    let alarm = alarms(&sim, json!({})).await.remove(0);
    assert_eq!(
        (alarm["StateValue"].as_str(), alarm["ActionsEnabled"].as_bool()),
        (Some("INSUFFICIENT_DATA"), Some(true))
    );
    assert_eq!(alarm["AlarmArn"], ARN);
    assert_eq!(alarm.get("TreatMissingData"), None);
}

#[tokio::test]
async fn a_put_replaces_the_whole_configuration_and_keeps_the_state() {
    let sim = still();
    let first =
        with(cpu("a"), json!({ "AlarmDescription": "busy", "ActionsEnabled": false, "TreatMissingData": "breaching" }));
    put(&sim, first).await;
    let state = json!({ "AlarmName": "a", "StateValue": "ALARM", "StateReason": "test" });
    call(&sim, "monitoring", "SetAlarmState", state).await;
    put(&sim, cpu("a")).await;
    let alarm = alarms(&sim, json!({})).await.remove(0);
    assert_eq!(alarm.get("AlarmDescription"), None);
    assert_eq!(alarm.get("TreatMissingData"), None);
    assert_eq!(alarm["ActionsEnabled"], true);
    assert_eq!(alarm["StateValue"], "ALARM");
}

#[tokio::test]
async fn only_documented_periods_are_taken() {
    let sim = still();
    for (period, status) in [(10, 200), (20, 200), (30, 200), (60, 200), (300, 200), (15, 400), (90, 400), (0, 400)] {
        let put = put(&sim, with(cpu("a"), json!({ "Period": period }))).await;
        assert_eq!(put.status, status, "{period}: {:?}", put.body);
    }
    for (period, evaluated, status) in [(60, 1440, 200), (60, 1441, 400), (3600, 168, 200), (3600, 169, 400)] {
        let put = put(&sim, with(cpu("a"), json!({ "Period": period, "EvaluationPeriods": evaluated }))).await;
        assert_eq!(put.status, status, "{period} x {evaluated}");
    }
}

#[tokio::test]
async fn contradictions_are_refused_and_change_nothing() {
    let sim = still();
    let stats = [
        json!({ "ExtendedStatistic": "p99" }),
        json!({ "Statistic": null }),
        json!({ "Statistic": null, "ExtendedStatistic": "p101" }),
        json!({ "Metrics": [{ "Id": "a", "Expression": "1" }] }),
        json!({ "DatapointsToAlarm": 3 }),
        json!({ "Threshold": null }),
        json!({ "ComparisonOperator": "GreaterThanUpperThreshold" }),
        json!({ "AlarmActions": ["not an arn"] }),
        json!({ "AlarmActions": ["arn:aws:sns:a:b:1", "arn:aws:sns:a:b:2", "arn:aws:sns:a:b:3", "arn:aws:sns:a:b:4", "arn:aws:sns:a:b:5", "arn:aws:sns:a:b:6"] }),
        json!({ "TreatMissingData": "never" }),
    ];
    for change in stats {
        let reply = put(&sim, with(cpu("a"), change.clone())).await;
        assert_eq!(reply.code(), "ValidationError", "{change}");
    }
    assert_eq!(alarms(&sim, json!({})).await.len(), 0);
    let percentile = with(cpu("a"), json!({ "Statistic": null, "ExtendedStatistic": "p99.9" }));
    assert_eq!(put(&sim, percentile).await.status, 200);
}

#[tokio::test]
async fn a_metric_math_alarm_returns_exactly_one_series() {
    let sim = still();
    let query = |id: &str, returns: bool| {
        json!({ "Id": id, "ReturnData": returns, "MetricStat": { "Stat": "Sum", "Period": 60,
            "Metric": { "Namespace": "AWS/ECS", "MetricName": id } } })
    };
    let math = |metrics: Value| {
        json!({ "AlarmName": "m", "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
            "Metrics": metrics })
    };
    let rate = json!({ "Id": "rate", "Expression": "a/b" });
    assert_eq!(put(&sim, math(json!([query("a", true), query("b", false), rate]))).await.code(), "ValidationError");
    assert_eq!(put(&sim, math(json!([query("a", false), query("a", false), rate]))).await.code(), "ValidationError");
    assert_eq!(put(&sim, math(json!([query("a", false), query("b", false), rate]))).await.status, 200);
    let alarm = alarms(&sim, json!({})).await.remove(0);
    assert_eq!(alarm["Metrics"][1]["MetricStat"]["Metric"]["MetricName"], "b");
}

#[tokio::test]
async fn alarms_are_found_by_a_hundred_names_or_a_prefix_or_all_in_pages() {
    let sim = still();
    for n in 0..120 {
        put(&sim, cpu(&format!("a{n:03}"))).await;
    }
    let names: Vec<String> = (60..160).map(|n| format!("a{n:03}")).collect();
    let found = alarms(&sim, json!({ "AlarmNames": names, "MaxRecords": 100 })).await;
    assert_eq!(found.len(), 60, "missing names are left out");
    let more: Vec<String> = (0..101).map(|n| format!("a{n:03}")).collect();
    let reply = call(&sim, "monitoring", "DescribeAlarms", json!({ "AlarmNames": more })).await;
    assert_eq!(reply.code(), "ValidationError");
    assert_eq!(alarms(&sim, json!({ "AlarmNamePrefix": "a11" })).await.len(), 10);
    let both = json!({ "AlarmNames": ["a001"], "AlarmNamePrefix": "a" });
    assert_eq!(call(&sim, "monitoring", "DescribeAlarms", both).await.code(), "ValidationError");
    let page = call(&sim, "monitoring", "DescribeAlarms", json!({ "MaxRecords": 100 })).await.body;
    assert_eq!(page["MetricAlarms"].as_array().map(Vec::len), Some(100));
    let rest = alarms(&sim, json!({ "MaxRecords": 100, "NextToken": page["NextToken"] })).await;
    assert_eq!(rest.len(), 20);
    let garbage = call(&sim, "monitoring", "DescribeAlarms", json!({ "NextToken": "made-up" })).await;
    assert_eq!(garbage.code(), "InvalidNextToken");
    assert_eq!(alarms(&sim, json!({ "AlarmTypes": ["CompositeAlarm"] })).await.len(), 0);
}

#[tokio::test]
async fn deleting_is_all_or_nothing() {
    let sim = still();
    put(&sim, cpu("a")).await;
    put(&sim, cpu("b")).await;
    let missing = call(&sim, "monitoring", "DeleteAlarms", json!({ "AlarmNames": ["a", "none"] })).await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "ResourceNotFound"));
    assert_eq!(alarms(&sim, json!({})).await.len(), 2);
    assert_eq!(call(&sim, "monitoring", "DeleteAlarms", json!({ "AlarmNames": ["a", "b"] })).await.status, 200);
    assert_eq!(alarms(&sim, json!({})).await.len(), 0);
    let tags = call(&sim, "monitoring", "ListTagsForResource", json!({ "ResourceARN": ARN })).await;
    assert_eq!((tags.status, tags.code().as_str()), (404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn tags_count_at_creation_only_and_then_by_tag_operations() {
    let sim = still();
    put(&sim, with(cpu("a"), json!({ "Tags": [{ "Key": "Team", "Value": "x" }] }))).await;
    put(&sim, with(cpu("a"), json!({ "Tags": [{ "Key": "Other", "Value": "y" }] }))).await;
    let tags = async || {
        call(&sim, "monitoring", "ListTagsForResource", json!({ "ResourceARN": ARN })).await.body["Tags"].clone()
    };
    assert_eq!(tags().await, json!([{ "Key": "Team", "Value": "x" }]));
    let add = json!({ "ResourceARN": ARN, "Tags": [{ "Key": "Env", "Value": "prod" }] });
    call(&sim, "monitoring", "TagResource", add).await;
    call(&sim, "monitoring", "UntagResource", json!({ "ResourceARN": ARN, "TagKeys": ["Team"] })).await;
    assert_eq!(tags().await, json!([{ "Key": "Env", "Value": "prod" }]));
}

#[tokio::test]
async fn switching_actions_is_seen_and_recorded_newest_first() {
    let sim = still();
    put(&sim, cpu("a")).await;
    call(&sim, "monitoring", "DisableAlarmActions", json!({ "AlarmNames": ["a", "none"] })).await;
    assert_eq!(alarms(&sim, json!({})).await[0]["ActionsEnabled"], false);
    let state = json!({ "AlarmName": "a", "StateValue": "OK", "StateReason": "test" });
    call(&sim, "monitoring", "SetAlarmState", state).await;
    let history =
        call(&sim, "monitoring", "DescribeAlarmHistory", json!({ "AlarmName": "a", "MaxRecords": 2 })).await.body;
    let kinds: Vec<_> =
        history["AlarmHistoryItems"].as_array().expect("a list").iter().map(|i| i["HistoryItemType"].clone()).collect();
    assert_eq!(kinds, ["StateUpdate", "ConfigurationUpdate"]);
    let rest = json!({ "AlarmName": "a", "MaxRecords": 2, "NextToken": history["NextToken"] });
    let rest = call(&sim, "monitoring", "DescribeAlarmHistory", rest).await.body;
    assert!(rest["AlarmHistoryItems"][0]["HistorySummary"].as_str().expect("a text").contains("created"));
    let missing = json!({ "AlarmName": "none", "StateValue": "OK", "StateReason": "test" });
    assert_eq!(call(&sim, "monitoring", "SetAlarmState", missing).await.code(), "ResourceNotFound");
}

#[tokio::test]
async fn alarms_of_a_metric_match_its_dimensions_exactly() {
    let sim = still();
    put(&sim, cpu("a")).await;
    put(&sim, with(cpu("b"), json!({ "Dimensions": [{ "Name": "ServiceName", "Value": "web" }] }))).await;
    let metric = json!({ "Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "Dimensions": [{ "Name": "ServiceName", "Value": "api" }] });
    let found = call(&sim, "monitoring", "DescribeAlarmsForMetric", metric).await.body;
    assert_eq!(found["MetricAlarms"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["MetricAlarms"][0]["AlarmName"], "a");
}

#[tokio::test]
async fn the_same_alarm_goes_in_and_out_over_cbor_and_query() {
    let sim = still();
    let dimension = doc! { "Name" => "ServiceName", "Value" => "api" };
    let body = doc! {
        "AlarmName" => "a", "Namespace" => "AWS/ECS", "MetricName" => "CPUUtilization", "Statistic" => "Average",
        "Period" => 60, "EvaluationPeriods" => 1, "Threshold" => 80.0, "ComparisonOperator" => "GreaterThanThreshold",
        "Dimensions" => vec![dimension],
    };
    assert_eq!(cbor(&sim, "monitoring", "PutMetricAlarm", body).await.status, 200);
    let shown = cbor(&sim, "monitoring", "DescribeAlarms", Doc::empty()).await.body;
    assert_eq!(shown["MetricAlarms"][0]["Threshold"], json!(80.0));
    let parameters = [
        ("AlarmName", "q"),
        ("Namespace", "AWS/ECS"),
        ("MetricName", "CPUUtilization"),
        ("Statistic", "Average"),
        ("Period", "60"),
        ("EvaluationPeriods", "1"),
        ("Threshold", "80"),
        ("ComparisonOperator", "GreaterThanThreshold"),
        ("Dimensions.member.1.Name", "ServiceName"),
        ("Dimensions.member.1.Value", "api"),
    ];
    assert_eq!(query(&sim, "monitoring", "PutMetricAlarm", &parameters).await.status, 200);
    let shown = query(&sim, "monitoring", "DescribeAlarms", &[("AlarmNames.member.1", "q")]).await;
    assert!(shown.xml().contains("<Threshold>80.0</Threshold>"), "{}", shown.xml());
    assert!(shown.xml().contains("<Name>ServiceName</Name>"));
    let missing = query(&sim, "monitoring", "DeleteAlarms", &[("AlarmNames.member.1", "none")]).await;
    assert_eq!(missing.code(), "ResourceNotFound");
}

#[tokio::test]
async fn the_cli_puts_describes_switches_and_deletes_alarms() {
    let sim = Sim::default();
    let Some(cli) = Cli::start(&sim).await else { return };
    let metric =
        ["--namespace", "AWS/ECS", "--metric-name", "CPUUtilization", "--statistic", "Average", "--period", "300"];
    let rule = ["--evaluation-periods", "2", "--threshold", "80", "--comparison-operator", "GreaterThanThreshold"];
    let more =
        ["--dimensions", "Name=ServiceName,Value=api", "--alarm-actions", "arn:aws:sns:us-east-1:123456789012:ops"];
    let put = ["cloudwatch", "put-metric-alarm", "--alarm-name", "a"];
    cli.ok(&[&put[..], &metric, &rule, &more].concat()).await;
    cli.ok(&["cloudwatch", "disable-alarm-actions", "--alarm-names", "a"]).await;
    let shown = cli.ok(&["cloudwatch", "describe-alarms", "--alarm-names", "a"]).await;
    let alarm = &shown["MetricAlarms"][0];
    assert_eq!((alarm["Threshold"].as_f64(), alarm["ActionsEnabled"].as_bool()), (Some(80.0), Some(false)));
    cli.ok(&["cloudwatch", "delete-alarms", "--alarm-names", "a"]).await;
    let error = cli.run(&["cloudwatch", "delete-alarms", "--alarm-names", "a"]).await;
    assert!(error.expect_err("gone").contains("ResourceNotFound"));
}
