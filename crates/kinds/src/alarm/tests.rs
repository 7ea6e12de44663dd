//! The suite every kind passes, and what is this kind's own.

use engine::{Kind, PlanContext};
use model::{ResourcePlan, Risk, Tags, WaitKind};

use super::{Action, Alarm, Config, Desired, Form, Observed};
use crate::testing::context;

testkit::kind_suite!(
    Alarm,
    json!({ "spec": { "alarms": { "EventChain-High-CPU": { "threshold": 90.5, "datapointsToAlarm": 1 } } } }),
    json!({ "spec": { "alarms": { "EventChain-High-CPU": { "statistic": null, "extendedStatistic": "p99.9" } } } }),
    json!({ "spec": { "alarms": { "EventChain-High-CPU": { "dimensions": { "ClusterName": "x" }, "notify": [], "treatMissingData": "breaching" } } } }),
    json!({ "spec": { "alarms": { "EventChain-Errors": {
        "namespace": "AWS/ApplicationELB", "metric": "HTTPCode_Target_5XX_Count", "statistic": "Sum", "period": "60s",
        "evaluationPeriods": 1, "comparison": "GreaterThanThreshold", "threshold": 10 } } } }),
);

const OPS: &str = "arn:aws:sns:us-east-1:123456789012:ops";
const DEV: &str = "arn:aws:sns:us-east-1:123456789012:dev";

fn nothing() -> Desired {
    Desired {
        description: None,
        namespace: None,
        metric: None,
        dimensions: None,
        statistic: None,
        extended_statistic: None,
        period_s: None,
        evaluation_periods: None,
        datapoints_to_alarm: None,
        comparison: None,
        threshold: None,
        treat_missing_data: None,
        notify: None,
        notify_ok: None,
        tags: Tags::default(),
    }
}

fn live() -> Config {
    Config {
        description: Some("set by hand".to_owned()),
        alarm_actions: vec![OPS.to_owned(), DEV.to_owned()],
        insufficient_data_actions: vec![DEV.to_owned()],
        namespace: Some("AWS/ECS".to_owned()),
        metric: Some("CPUUtilization".to_owned()),
        dimensions: [("ServiceName".to_owned(), "api".to_owned())].into_iter().collect(),
        statistic: Some("Average".to_owned()),
        period_s: Some(300),
        unit: Some("Percent".to_owned()),
        evaluation_periods: Some(2),
        threshold: Some(80.0),
        comparison: Some("GreaterThanThreshold".to_owned()),
        ..Config::default()
    }
}

fn observed(config: Config) -> Observed {
    Observed { arn: "arn:alarm".to_owned(), state: "ALARM".to_owned(), form: Form::Metric, config, tags: None }
}

fn plan(desired: &Desired, config: Config) -> ResourcePlan {
    Alarm::plan_present(&context(), desired, &observed(config))
}

fn replaced(plan: &ResourcePlan) -> Config {
    let [step] = &plan.steps[..] else { panic!("{plan}") };
    match serde_json::from_value(step.body.clone()).unwrap() {
        Action::Replace { config } => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_put_carries_the_live_alarm_overlaid_with_what_is_declared() {
    let plan = plan(&Desired { threshold: Some(90.0), ..nothing() }, live());
    assert_eq!(replaced(&plan), Config { threshold: Some(90.0), ..live() });
    assert_eq!((plan.risk(), plan.steps[0].changes.len()), (Some(Risk::Safe), 1));
}

#[test]
fn defaults_written_out_equal_defaults_left_out() {
    let desired = Desired {
        treat_missing_data: Some("missing".to_owned()),
        datapoints_to_alarm: Some(2),
        evaluation_periods: Some(2),
        ..nothing()
    };
    assert_eq!(plan(&desired, live()), ResourcePlan::in_sync());
    let described = Config { description: None, ..live() };
    assert_eq!(plan(&Desired { description: Some(String::new()), ..nothing() }, described), ResourcePlan::in_sync());
}

#[test]
fn the_order_of_actions_is_no_difference() {
    let desired = Desired { notify: Some(vec![DEV.to_owned(), OPS.to_owned()]), ..nothing() };
    assert_eq!(plan(&desired, live()), ResourcePlan::in_sync());
    let fewer = Desired { notify: Some(vec![OPS.to_owned()]), ..nothing() };
    assert_eq!(replaced(&plan(&fewer, live())).alarm_actions, [OPS]);
    let none = Desired { notify: Some(Vec::new()), ..nothing() };
    assert!(replaced(&plan(&none, live())).alarm_actions.is_empty(), "an empty list enforces empty");
}

#[test]
fn a_statistic_and_a_percentile_replace_each_other() {
    let percentile = Desired { extended_statistic: Some("p99".to_owned()), ..nothing() };
    let body = replaced(&plan(&percentile, live()));
    assert_eq!((body.statistic, body.extended_statistic.as_deref()), (None, Some("p99")));
    let on_percentile = Config {
        statistic: None,
        extended_statistic: Some("p99".to_owned()),
        low_sample_percentile: Some("ignore".to_owned()),
        ..live()
    };
    let average = Desired { statistic: Some("Average".to_owned()), ..nothing() };
    let body = replaced(&plan(&average, on_percentile));
    assert_eq!(
        (body.statistic.as_deref(), body.extended_statistic, body.low_sample_percentile),
        (Some("Average"), None, None)
    );
}

#[test]
fn fewer_periods_than_live_datapoints_want_all_of_them() {
    let config = Config { evaluation_periods: Some(5), datapoints_to_alarm: Some(4), ..live() };
    let body = replaced(&plan(&Desired { evaluation_periods: Some(3), ..nothing() }, config));
    assert_eq!((body.evaluation_periods, body.datapoints_to_alarm), (Some(3), None));
}

#[test]
fn actions_switched_off_are_tampering_where_someone_is_to_be_notified() {
    let off = Config { actions_enabled: false, ..live() };
    let notify = Desired { notify: Some(vec![OPS.to_owned(), DEV.to_owned()]), ..nothing() };
    let back = plan(&notify, off.clone());
    assert_eq!(back.steps[0].operation, "EnableAlarmActions");
    assert_eq!(&*back.notes[0].reason, "Tampering");
    assert_eq!(plan(&nothing(), off.clone()), ResourcePlan::in_sync(), "nobody declared whom to notify");
    let adopting = PlanContext { adopted_now: true, ..context() };
    let adopted = Alarm::plan_present(&adopting, &notify, &observed(off.clone()));
    assert!(adopted.notes.is_empty(), "what was so before us is no tampering");
    let both = plan(&Desired { threshold: Some(1.0), ..notify }, off);
    assert!(replaced(&both).actions_enabled);
    assert_eq!(&*both.notes[0].reason, "Tampering");
}

#[test]
fn an_alarm_that_is_not_on_one_metric_is_reported_and_not_touched() {
    let desired = Desired { threshold: Some(1.0), ..nothing() };
    for form in [Form::Expression, Form::Composite] {
        let plan = Alarm::plan_present(&context(), &desired, &Observed { form, ..observed(live()) });
        assert!(plan.steps.is_empty(), "{plan}");
        assert_eq!((plan.waits[0].kind, &*plan.waits[0].reason), (WaitKind::Stalled, "AlarmNotOnOneMetric"));
        assert_eq!(plan.notes[0].changes.len(), 1);
    }
}

#[test]
fn an_alarm_is_not_made_before_the_document_says_enough() {
    let plan = Alarm::plan_absent(&context(), &Desired { metric: Some("CPUUtilization".to_owned()), ..nothing() });
    assert!(plan.steps.is_empty());
    assert_eq!(&*plan.waits[0].reason, "SpecIncomplete");
    assert!(plan.waits[0].message.contains("namespace") && !plan.waits[0].message.contains("metric,"), "{plan}");
}

/// What the provider does with AWS: adoption, batches, tampering.
mod on_aws {
    use serde_json::{Value, json};
    use simaws::testing::json as call;
    use testkit::fixtures;
    use testkit::world::World;

    const ALARM: &str = "EventChain-High-CPU";

    async fn live(world: &World) -> Value {
        let reply = call(&world.sim, "monitoring", "DescribeAlarms", json!({ "AlarmNames": [ALARM] })).await;
        reply.body["MetricAlarms"][0].clone()
    }

    #[tokio::test]
    async fn adoption_keeps_what_was_set_by_hand() {
        let mut world = World::new().await;
        let by_hand = json!({
            "AlarmName": ALARM, "Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "Statistic": "Maximum",
            "Period": 60, "EvaluationPeriods": 5, "DatapointsToAlarm": 3, "Threshold": 50.0,
            "ComparisonOperator": "GreaterThanThreshold", "Unit": "Percent", "TreatMissingData": "notBreaching",
            "InsufficientDataActions": ["arn:aws:sns:us-east-1:123456789012:hand"],
            "OKActions": ["arn:aws:sns:us-east-1:123456789012:hand"],
            "Tags": [{ "Key": "by", "Value": "hand" }],
        });
        assert_eq!(call(&world.sim, "monitoring", "PutMetricAlarm", by_hand).await.status, 200);
        let environment = fixtures::environment(fixtures::document(&world.load_balancer));
        let graph = world.graph_of(&environment, "Alarm");
        world.converge(&environment, &graph).await;
        let alarm = live(&world).await;
        assert_eq!((alarm["Threshold"].as_f64(), alarm["Statistic"].as_str()), (Some(80.0), Some("Average")));
        assert_eq!(alarm["Unit"], "Percent");
        assert_eq!(alarm["TreatMissingData"], "notBreaching");
        assert_eq!(alarm["InsufficientDataActions"][0], "arn:aws:sns:us-east-1:123456789012:hand");
        assert_eq!(alarm["OKActions"][0], "arn:aws:sns:us-east-1:123456789012:hand");
        assert_eq!(alarm["EvaluationPeriods"], 2);
        assert_eq!(alarm.get("DatapointsToAlarm"), None, "three of two is impossible");
        let tags = json!({ "ResourceARN": alarm["AlarmArn"] });
        let tags = call(&world.sim, "monitoring", "ListTagsForResource", tags).await.body["Tags"].to_string();
        assert!(tags.contains("hand") && tags.contains("eventchain.io/environment"), "{tags}");
    }

    #[tokio::test]
    async fn actions_that_someone_switches_off_are_tampering_and_are_switched_on_again() {
        let mut world = World::new().await;
        let environment = fixtures::environment(fixtures::document(&world.load_balancer));
        let graph = world.graph_of(&environment, "Alarm");
        world.converge(&environment, &graph).await;
        call(&world.sim, "monitoring", "DisableAlarmActions", json!({ "AlarmNames": [ALARM] })).await;
        world.sweep(&graph).await;
        let plan = world.plan(&environment, &graph).remove(0).plan;
        assert_eq!(plan.steps[0].operation, "EnableAlarmActions");
        assert_eq!(plan.notes[0].reason, "Tampering");
        world.converge(&environment, &graph).await;
        assert_eq!(live(&world).await["ActionsEnabled"], true);
    }

    #[tokio::test]
    async fn a_hundred_alarms_are_one_call() {
        let mut world = World::new().await;
        let alarms: serde_json::Map<String, Value> = (0..150)
            .map(|n| {
                let alarm = json!({ "namespace": "X", "metric": "Y", "statistic": "Sum", "period": "60s",
                    "evaluationPeriods": 1, "comparison": "LessThanThreshold", "threshold": n });
                (format!("alarm-{n:03}"), alarm)
            })
            .collect();
        let document =
            fixtures::patched(fixtures::document(&world.load_balancer), &json!({ "spec": { "alarms": alarms } }));
        let environment = fixtures::environment(document);
        let graph = world.graph_of(&environment, "Alarm");
        world.converge(&environment, &graph).await;
        world.sim.reset_calls();
        world.sweep(&graph).await;
        assert_eq!(world.sim.calls().count("monitoring", "DescribeAlarms"), 2, "151 alarms");
        assert_eq!(world.sim.calls().count("monitoring", "ListTagsForResource"), 0, "the tag sweep has them");
    }

    #[tokio::test]
    async fn a_metric_math_alarm_of_that_name_is_left_as_it_is() {
        let mut world = World::new().await;
        let math = json!({
            "AlarmName": ALARM, "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
            "Metrics": [{ "Id": "m", "Expression": "1 + 1" }],
        });
        assert_eq!(call(&world.sim, "monitoring", "PutMetricAlarm", math).await.status, 200);
        let environment = fixtures::environment(fixtures::document(&world.load_balancer));
        let graph = world.graph_of(&environment, "Alarm");
        world.sweep(&graph).await;
        world.pass(&environment, &graph, usize::MAX).await;
        let plan = world.plan(&environment, &graph).remove(0).plan;
        assert_eq!(plan.waits[0].reason, "AlarmNotOnOneMetric", "{plan}");
        let alarm = live(&world).await;
        assert_eq!((alarm["Threshold"].as_f64(), alarm["Metrics"][0]["Id"].as_str()), (Some(1.0), Some("m")));
    }

    #[tokio::test]
    async fn one_alarm_whose_tags_cannot_be_read_hides_no_other() {
        use simaws::{Effect, Fault};
        let mut world = World::new().await;
        let patch = json!({ "spec": { "alarms": { "other": { "namespace": "X", "metric": "Y", "statistic": "Sum",
            "period": "60s", "evaluationPeriods": 1, "comparison": "LessThanThreshold", "threshold": 1 } } } });
        let document = fixtures::patched(fixtures::document(&world.load_balancer), &patch);
        let environment = fixtures::environment(document);
        let graph = world.graph_of(&environment, "Alarm");
        for name in [ALARM, "other"] {
            let alarm = json!({ "AlarmName": name, "Namespace": "X", "MetricName": "Y", "Statistic": "Sum", "Period": 60,
                "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold" });
            assert_eq!(call(&world.sim, "monitoring", "PutMetricAlarm", alarm).await.status, 200);
        }
        let denied = Effect::Error { status: 403, code: "AccessDenied".to_owned(), message: String::new() };
        world.sim.faults().add(Fault::new(denied).on("monitoring", "ListTagsForResource").times(1));
        world.sweep(&graph).await;
        let tags: Vec<bool> = graph
            .nodes()
            .iter()
            .filter(|node| node.key.kind.as_str() == "Alarm")
            .map(|node| world.known(&node.key).present().expect("it is seen").to_json()["tags"].is_object())
            .collect();
        assert_eq!((tags.len(), tags.iter().filter(|known| **known).count()), (2, 1));
    }
}
