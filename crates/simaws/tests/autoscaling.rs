//! Application Auto Scaling, as documented.
use serde_json::{Value, json};
use simaws::Sim;
use simaws::testing::json as call;

use crate::ecs::{control, ecs, pass, serving, show};

const AAS: &str = "application-autoscaling";

fn of(resource: &str, more: Value) -> Value {
    let mut body =
        json!({ "ServiceNamespace": "ecs", "ResourceId": resource, "ScalableDimension": "ecs:service:DesiredCount" });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

async fn ok(sim: &Sim, operation: &str, more: Value) -> Value {
    let reply = call(sim, AAS, operation, of("service/main/web", more)).await;
    assert_eq!(reply.status, 200, "{operation}: {}", reply.body);
    reply.body
}

async fn refused(sim: &Sim, operation: &str, body: Value) -> String {
    let reply = call(sim, AAS, operation, body).await;
    assert_eq!(reply.status, 400, "{operation}: {}", reply.body);
    reply.code()
}

async fn describe(sim: &Sim, operation: &str, more: Value) -> Value {
    let mut body = json!({ "ServiceNamespace": "ecs" });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let reply = call(sim, AAS, operation, body).await;
    assert_eq!(reply.status, 200, "{operation}: {}", reply.body);
    reply.body
}

async fn desired(sim: &Sim) -> i64 {
    show(sim).await["desiredCount"].as_i64().expect("a number")
}

async fn set(sim: &Sim, count: i64) {
    ecs(sim, "UpdateService", json!({ "cluster": "main", "service": "web", "desiredCount": count })).await;
}

fn tracking(more: Value) -> Value {
    let mut configuration = json!({
        "TargetValue": 70.0, "ScaleOutCooldown": 300, "ScaleInCooldown": 300,
        "PredefinedMetricSpecification": { "PredefinedMetricType": "ECSServiceAverageCPUUtilization" },
    });
    configuration.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({ "PolicyName": "cpu", "PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": configuration })
}

/// A service of so many tasks that scales between 2 and 10 on CPU.
async fn scaling(count: i64) -> Sim {
    let sim = serving(count).await;
    ok(&sim, "RegisterScalableTarget", json!({ "MinCapacity": 2, "MaxCapacity": 10 })).await;
    ok(&sim, "PutScalingPolicy", tracking(json!({}))).await;
    sim
}

async fn metric(sim: &Sim, what: Value) {
    let mut body = json!({ "resourceId": "service/main/web" });
    body.as_object_mut().expect("an object").extend(what.as_object().expect("an object").clone());
    let (status, answer) = control(sim, "application-autoscaling/metric", body).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn registering_moves_the_count_into_range_and_nothing_else_does() {
    let sim = serving(1).await;
    ok(&sim, "RegisterScalableTarget", json!({ "MinCapacity": 2, "MaxCapacity": 10 })).await;
    assert_eq!(desired(&sim).await, 2);
    set(&sim, 14).await;
    pass(&sim, 3600);
    assert_eq!(desired(&sim).await, 14, "a count out of range stays until someone acts");
    let again = ok(&sim, "RegisterScalableTarget", json!({ "MaxCapacity": 10 })).await;
    assert_eq!(desired(&sim).await, 10);
    let known = describe(&sim, "DescribeScalableTargets", json!({})).await["ScalableTargets"][0].clone();
    assert_eq!((&known["MinCapacity"], &known["ScalableTargetARN"]), (&json!(2), &again["ScalableTargetARN"]));
    set(&sim, 1).await;
    let held = json!({ "SuspendedState": { "DynamicScalingOutSuspended": true } });
    ok(&sim, "RegisterScalableTarget", held).await;
    assert_eq!(desired(&sim).await, 1, "suspended in that direction");
    let state =
        describe(&sim, "DescribeScalableTargets", json!({})).await["ScalableTargets"][0]["SuspendedState"].clone();
    assert_eq!(
        (&state["DynamicScalingOutSuspended"], &state["DynamicScalingInSuspended"]),
        (&json!(true), &json!(false))
    );
}

#[tokio::test]
async fn a_target_needs_a_service_a_range_and_known_names() {
    let sim = serving(1).await;
    let range = |min: i64, max: i64| json!({ "MinCapacity": min, "MaxCapacity": max });
    for body in [
        of("service/main/none", range(1, 2)),
        of("service/web", range(1, 2)),
        of("service/main/web", json!({ "MinCapacity": 1 })),
        of("service/main/web", range(3, 2)),
        of("service/main/web", range(-1, 2)),
        json!({ "ServiceNamespace": "ecs", "ResourceId": "service/main/web", "ScalableDimension": "x" }),
    ] {
        assert_eq!(refused(&sim, "RegisterScalableTarget", body).await, "ValidationException");
    }
    assert_eq!(describe(&sim, "DescribeScalableTargets", json!({})).await["ScalableTargets"], json!([]));
    assert_eq!(refused(&sim, "DescribeScalableTargets", json!({})).await, "ValidationException");
}

#[tokio::test]
async fn targets_come_fifty_a_page_or_by_up_to_fifty_ids() {
    let sim = serving(1).await;
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-a"] } });
    for n in 0..120 {
        let name = format!("s{n:03}");
        let body = json!({ "cluster": "main", "serviceName": name, "taskDefinition": "web", "desiredCount": 0,
                           "launchType": "FARGATE", "networkConfiguration": network });
        ecs(&sim, "CreateService", body).await;
        let target = of(&format!("service/main/{name}"), json!({ "MinCapacity": 0, "MaxCapacity": 1 }));
        assert_eq!(call(&sim, AAS, "RegisterScalableTarget", target).await.status, 200);
    }
    let (mut sizes, mut token) = (Vec::new(), Value::Null);
    loop {
        let page = describe(&sim, "DescribeScalableTargets", json!({ "NextToken": token })).await;
        sizes.push(page["ScalableTargets"].as_array().map_or(0, Vec::len));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [50, 50, 20]);
    let some = json!({ "ResourceIds": ["service/main/s003", "service/main/none", "service/main/s001"] });
    let found = describe(&sim, "DescribeScalableTargets", some).await;
    assert_eq!(found["ScalableTargets"].as_array().map(Vec::len), Some(2), "unknown ids are left out");
    let many: Vec<String> = (0..51).map(|n| format!("service/main/{n}")).collect();
    for (body, code) in [
        (json!({ "ServiceNamespace": "ecs", "ResourceIds": many }), "ValidationException"),
        (json!({ "ServiceNamespace": "ecs", "MaxResults": 51 }), "ValidationException"),
        (json!({ "ServiceNamespace": "ecs", "NextToken": "made-up" }), "InvalidNextTokenException"),
    ] {
        assert_eq!(refused(&sim, "DescribeScalableTargets", body).await, code);
    }
}

#[tokio::test]
async fn policies_need_their_target_and_go_with_it() {
    let sim = serving(2).await;
    let put = of("service/main/web", tracking(json!({})));
    assert_eq!(refused(&sim, "PutScalingPolicy", put).await, "ObjectNotFoundException");
    ok(&sim, "RegisterScalableTarget", json!({ "MinCapacity": 2, "MaxCapacity": 10 })).await;
    let made = ok(&sim, "PutScalingPolicy", tracking(json!({}))).await;
    assert_eq!(made["Alarms"].as_array().map(Vec::len), Some(2));
    let again = ok(&sim, "PutScalingPolicy", tracking(json!({ "TargetValue": 50.0 }))).await;
    assert_eq!(made["PolicyARN"], again["PolicyARN"]);
    let shown = describe(&sim, "DescribeScalingPolicies", json!({ "ResourceId": "service/main/web" })).await;
    let policy = &shown["ScalingPolicies"][0];
    assert_eq!(policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"], 50.0);
    assert_eq!((&policy["PolicyType"], &policy["Alarms"]), (&json!("TargetTrackingScaling"), &made["Alarms"]));
    ok(&sim, "DeregisterScalableTarget", json!({})).await;
    assert_eq!(describe(&sim, "DescribeScalingPolicies", json!({})).await["ScalingPolicies"], json!([]));
    let gone = of("service/main/web", json!({}));
    assert_eq!(refused(&sim, "DeregisterScalableTarget", gone).await, "ObjectNotFoundException");
    assert_eq!(desired(&sim).await, 2);
}

#[tokio::test]
async fn a_policy_is_checked_and_deleted_by_name() {
    let sim = scaling(2).await;
    let twin = json!({ "PolicyName": "other" });
    let mut same_metric = tracking(json!({}));
    same_metric["PolicyName"] = twin["PolicyName"].clone();
    let requests = json!({ "PredefinedMetricSpecification": { "PredefinedMetricType": "ALBRequestCountPerTarget" } });
    for wrong in [
        same_metric,
        tracking(json!({ "TargetValue": 0.0 })),
        tracking(json!({ "ScaleInCooldown": -1 })),
        tracking(requests),
    ] {
        assert_eq!(refused(&sim, "PutScalingPolicy", of("service/main/web", wrong)).await, "ValidationException");
    }
    let by_name = json!({ "PolicyNames": ["cpu", "none"] });
    let found = describe(&sim, "DescribeScalingPolicies", by_name).await;
    assert_eq!(found["ScalingPolicies"].as_array().map(Vec::len), Some(1));
    let beyond = json!({ "ServiceNamespace": "ecs", "MaxResults": 11 });
    assert_eq!(refused(&sim, "DescribeScalingPolicies", beyond).await, "ValidationException");
    ok(&sim, "DeleteScalingPolicy", json!({ "PolicyName": "cpu" })).await;
    let again = of("service/main/web", json!({ "PolicyName": "cpu" }));
    assert_eq!(refused(&sim, "DeleteScalingPolicy", again).await, "ObjectNotFoundException");
    assert_eq!(describe(&sim, "DescribeScheduledActions", json!({})).await["ScheduledActions"], json!([]));
}

#[tokio::test]
async fn a_policys_alarms_are_in_cloudwatch_and_go_with_it() {
    let sim = scaling(2).await;
    let alarms = async |sim: &Sim| {
        let body = json!({ "AlarmNamePrefix": "TargetTracking-service/main/web" });
        call(sim, "monitoring", "DescribeAlarms", body).await.body["MetricAlarms"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let thresholds: Vec<Value> = alarms(&sim).await.iter().map(|a| a["Threshold"].clone()).collect();
    assert_eq!(thresholds, [json!(70.0), json!(63.0)]);
    ok(&sim, "PutScalingPolicy", tracking(json!({ "TargetValue": 50.0 }))).await;
    assert_eq!(alarms(&sim).await[0]["Threshold"], 50.0);
    ok(&sim, "DeregisterScalableTarget", json!({})).await;
    assert_eq!(alarms(&sim).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_policy_may_go_by_a_metric_of_ones_own() {
    let sim = serving(2).await;
    ok(&sim, "RegisterScalableTarget", json!({ "MinCapacity": 2, "MaxCapacity": 10 })).await;
    let own = json!({ "MetricName": "Backlog", "Namespace": "App", "Statistic": "Average" });
    let mut put = tracking(json!({ "CustomizedMetricSpecification": own }));
    let both = of("service/main/web", put.clone());
    assert_eq!(refused(&sim, "PutScalingPolicy", both).await, "ValidationException");
    put["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"] = Value::Null;
    ok(&sim, "PutScalingPolicy", put).await;
    metric(&sim, json!({ "metric": "Backlog", "load": 700 })).await;
    pass(&sim, 60);
    assert_eq!(desired(&sim).await, 10);
}

#[tokio::test]
async fn tags_are_given_at_creation_and_changed_by_arn() {
    let sim = serving(2).await;
    let create = json!({ "MinCapacity": 2, "MaxCapacity": 10, "Tags": { "Team": "x" } });
    let arn = ok(&sim, "RegisterScalableTarget", create.clone()).await["ScalableTargetARN"].clone();
    assert_eq!(refused(&sim, "RegisterScalableTarget", of("service/main/web", create)).await, "ValidationException");
    call(&sim, AAS, "TagResource", json!({ "ResourceARN": arn, "Tags": { "Stage": "prod" } })).await;
    call(&sim, AAS, "UntagResource", json!({ "ResourceARN": arn, "TagKeys": ["Team"] })).await;
    let tags = call(&sim, AAS, "ListTagsForResource", json!({ "ResourceARN": arn })).await.body;
    assert_eq!(tags["Tags"], json!({ "Stage": "prod" }));
    let filter = json!({ "TagFilters": [{ "Key": "Stage" }] });
    let found = call(&sim, "tagging", "GetResources", filter).await.body;
    assert_eq!(found["ResourceTagMappingList"][0]["ResourceARN"], arn);
    let unknown = json!({ "ResourceARN": "arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/0" });
    assert_eq!(refused(&sim, "ListTagsForResource", unknown).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_load_is_spread_over_as_many_tasks_as_it_needs() {
    let sim = scaling(2).await;
    metric(&sim, json!({ "load": 300 })).await;
    pass(&sim, 60);
    assert_eq!(desired(&sim).await, 5, "300 over five tasks is 60, under the target of 70");
    pass(&sim, 24 * 3600);
    assert_eq!(desired(&sim).await, 5, "60 is too near to 70 to scale in");
    metric(&sim, json!({ "load": 100 })).await;
    pass(&sim, 10);
    assert_eq!(desired(&sim).await, 5, "scaling in takes longer to decide");
    pass(&sim, 60);
    assert_eq!(desired(&sim).await, 2, "two tasks at 50");
}

#[tokio::test]
async fn scaling_stops_at_the_range_waits_for_its_cooldown_and_can_be_suspended() {
    let sim = scaling(2).await;
    metric(&sim, json!({ "average": 90 })).await;
    pass(&sim, 60);
    assert_eq!(desired(&sim).await, 3);
    pass(&sim, 200);
    assert_eq!(desired(&sim).await, 3, "within the cooldown");
    pass(&sim, 120);
    assert_eq!(desired(&sim).await, 4);
    pass(&sim, 24 * 3600);
    assert_eq!(desired(&sim).await, 10);
    ok(&sim, "RegisterScalableTarget", json!({ "SuspendedState": { "DynamicScalingInSuspended": true } })).await;
    metric(&sim, json!({ "average": 1 })).await;
    pass(&sim, 24 * 3600);
    assert_eq!(desired(&sim).await, 10);
    ok(&sim, "RegisterScalableTarget", json!({ "SuspendedState": { "DynamicScalingInSuspended": false } })).await;
    pass(&sim, 60);
    assert_eq!(desired(&sim).await, 2);
}

#[tokio::test]
async fn a_count_moved_by_hand_within_the_range_is_let_be_while_the_metric_is_unknown() {
    let sim = scaling(2).await;
    set(&sim, 7).await;
    pass(&sim, 24 * 3600);
    assert_eq!(desired(&sim).await, 7);
    metric(&sim, json!({ "average": 65 })).await;
    pass(&sim, 24 * 3600);
    assert_eq!(desired(&sim).await, 7);
}
