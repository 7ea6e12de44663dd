//! Rollouts: how tasks are exchanged, and what becomes of a bad one.
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use simaws::{Sim, Timings};

use super::{
    attach, behind, control, definition, ecs, messages, pass, prepared, service, serving, show, target_group, task_ids,
    update, with,
};

const BREAKER: &str = "deploymentCircuitBreaker";

/// A new revision with this image, rolled out.
async fn roll(sim: &Sim, image: &str) -> Value {
    let made = ecs(sim, "RegisterTaskDefinition", definition(image)).await;
    update(sim, json!({ "taskDefinition": made["taskDefinition"]["taskDefinitionArn"] })).await
}

async fn percents(sim: &Sim, least: i64, most: i64) {
    let configuration = json!({ "minimumHealthyPercent": least, "maximumPercent": most });
    // Rebalancing needs more than 100 percent.
    let change = json!({ "availabilityZoneRebalancing": "DISABLED", "deploymentConfiguration": configuration });
    update(sim, change).await;
}

async fn breaker(sim: &Sim, rollback: bool) {
    update(sim, json!({ "deploymentConfiguration": { BREAKER: { "enable": true, "rollback": rollback } } })).await;
}

/// Least and most tasks running, and most running or pending, until the rollout has ended.
async fn watch(sim: &Sim) -> (i64, i64, i64) {
    let (mut least, mut most, mut all) = (i64::MAX, 0, 0);
    for _ in 0..400 {
        let now = show(sim).await;
        let (running, pending) =
            (now["runningCount"].as_i64().expect("a number"), now["pendingCount"].as_i64().expect("a number"));
        (least, most, all) = (least.min(running), most.max(running), all.max(running + pending));
        if now["deployments"][0]["rolloutState"] == "COMPLETED" {
            assert_eq!(now["deployments"].as_array().map(Vec::len), Some(1));
            break;
        }
        sim.clock().advance(Duration::from_millis(100));
    }
    assert_eq!(show(sim).await["deployments"][0]["rolloutState"], "COMPLETED", "the rollout never ends");
    (least, most, all)
}

#[tokio::test]
async fn a_rollout_keeps_between_the_minimum_and_the_maximum() {
    for ((least, most), (floor, ceiling)) in
        [((100, 200), (4, 8)), ((50, 100), (2, 4)), ((100, 150), (4, 6)), ((75, 125), (3, 5))]
    {
        let sim = serving(4).await;
        percents(&sim, least, most).await;
        let rolled = roll(&sim, "app:2").await;
        assert_eq!(rolled["deployments"][0]["status"], "PRIMARY");
        assert_eq!(
            (&rolled["deployments"][1]["status"], &rolled["deployments"][1]["runningCount"]),
            (&json!("ACTIVE"), &json!(4))
        );
        let (low, _, high) = watch(&sim).await;
        assert_eq!((low, high), (floor, ceiling), "{least}/{most}");
        let done = show(&sim).await;
        assert_eq!((&done["runningCount"], &done["deployments"][0]["runningCount"]), (&json!(4), &json!(4)));
        assert!(messages(&done)[1].contains("deployment completed"), "{:?}", messages(&done));
    }
}

#[tokio::test]
async fn a_configuration_that_blocks_the_rollout_is_said_once() {
    let sim = serving(1).await;
    percents(&sim, 100, 150).await;
    roll(&sim, "app:2").await;
    pass(&sim, 3600);
    let stuck = show(&sim).await;
    assert_eq!(stuck["deployments"][0]["rolloutState"], "IN_PROGRESS");
    let said =
        messages(&stuck).iter().filter(|m| m.contains("because of the service deployment configuration")).count();
    assert_eq!(said, 1);
    percents(&sim, 0, 150).await;
    pass(&sim, 60);
    assert_eq!(show(&sim).await["deployments"][0]["rolloutState"], "COMPLETED");
}

#[tokio::test]
async fn without_a_breaker_a_bad_image_fails_on_and_on_while_the_old_tasks_serve() {
    let sim = serving(2).await;
    roll(&sim, "app:broken").await;
    pass(&sim, 600);
    let now = show(&sim).await;
    assert_eq!(now["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert!(now["deployments"][0]["failedTasks"].as_i64() > Some(5), "{}", now["deployments"][0]);
    assert_eq!(
        (&now["deployments"][1]["runningCount"], &now["deployments"][1]["status"]),
        (&json!(2), &json!("ACTIVE"))
    );
    assert!(messages(&now).iter().any(|m| m.contains("unable to consistently start tasks successfully")));
    roll(&sim, "app:3").await;
    pass(&sim, 60);
    let fixed = show(&sim).await;
    assert_eq!((&fixed["deployments"][0]["rolloutState"], &fixed["runningCount"]), (&json!("COMPLETED"), &json!(2)));
    assert_eq!(fixed["deployments"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_breaker_rolls_back_to_the_last_completed_deployment() {
    let sim = serving(2).await;
    breaker(&sim, true).await;
    let good = show(&sim).await["deployments"][0]["id"].clone();
    let bad = roll(&sim, "app:broken").await["deployments"][0]["id"].clone();
    let mut states: BTreeMap<String, Value> = BTreeMap::new();
    for _ in 0..600 {
        let now = show(&sim).await;
        for deployment in now["deployments"].as_array().expect("a list") {
            let key = format!("{} {}", deployment["id"], deployment["rolloutState"]);
            states.insert(key, deployment.clone());
        }
        assert!(now["runningCount"].as_i64() >= Some(2), "the old tasks serve all the time");
        sim.clock().advance(Duration::from_millis(100));
    }
    let failed = &states[&format!("{bad} \"FAILED\"")];
    assert_eq!(failed["rolloutStateReason"], "ECS deployment circuit breaker: tasks failed to start.");
    assert!(failed["failedTasks"].as_i64() >= Some(3), "{failed}");
    let after = show(&sim).await;
    assert_eq!(after["taskDefinition"], "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1");
    assert_eq!(
        (&after["deployments"][0]["id"], &after["deployments"][0]["rolloutState"]),
        (&good, &json!("COMPLETED"))
    );
    assert_eq!(after["deployments"].as_array().map(Vec::len), Some(1));
    let said = messages(&after);
    let bad = bad.as_str().expect("an id");
    assert!(
        said.contains(&format!("(service web) (deployment {bad}) deployment failed: tasks failed to start.")),
        "{said:?}"
    );
    let good = good.as_str().expect("an id");
    assert!(said.contains(&format!("(service web) rolling back to deployment {good}.")), "{said:?}");
    let listed = ecs(&sim, "ListServiceDeployments", json!({ "cluster": "main", "service": "web" })).await;
    let statuses: Vec<&str> =
        listed["serviceDeployments"].as_array().expect("a list").iter().filter_map(|d| d["status"].as_str()).collect();
    assert_eq!(statuses, ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]);
    let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
    let told = ecs(&sim, "DescribeServiceDeployments", json!({ "serviceDeploymentArns": [arn, "none"] })).await;
    assert_eq!(told["serviceDeployments"][0]["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    assert_eq!(told["failures"][0]["reason"], "MISSING");
}

#[tokio::test]
async fn the_breaker_without_rollback_leaves_a_failed_primary_that_starts_nothing_more() {
    let sim = serving(2).await;
    breaker(&sim, false).await;
    roll(&sim, "app:unpullable").await;
    pass(&sim, 120);
    let failed = show(&sim).await;
    assert_eq!((&failed["deployments"][0]["rolloutState"], &failed["runningCount"]), (&json!("FAILED"), &json!(2)));
    pass(&sim, 7200);
    let later = show(&sim).await;
    assert_eq!(later["deployments"], failed["deployments"], "nothing happens any more");
    assert_eq!(task_ids(&sim, "STOPPED").await, [""; 0], "stopped tasks are remembered for an hour");
    roll(&sim, "app:3").await;
    pass(&sim, 60);
    assert_eq!(show(&sim).await["deployments"][0]["rolloutState"], "COMPLETED");
}

#[tokio::test]
async fn a_first_deployment_has_nothing_to_roll_back_to() {
    let sim = prepared().await;
    ecs(&sim, "RegisterTaskDefinition", definition("app:broken")).await;
    let configuration = json!({ "deploymentConfiguration": { BREAKER: { "enable": true, "rollback": true } } });
    ecs(&sim, "CreateService", with(service(1), configuration)).await;
    pass(&sim, 300);
    let now = show(&sim).await;
    assert_eq!(
        (&now["deployments"][0]["rolloutState"], &now["deployments"][0]["failedTasks"]),
        (&json!("FAILED"), &json!(3))
    );
}

#[tokio::test]
async fn tasks_behind_a_load_balancer_serve_once_their_targets_are_healthy() {
    let sim = prepared().await;
    let group = target_group(&sim, "ip").await;
    attach(&sim, &group).await;
    ecs(&sim, "CreateService", with(service(2), behind(&group))).await;
    pass(&sim, 60);
    assert!(
        messages(&show(&sim).await).contains(&format!("(service web) registered 2 targets in (target-group {group})"))
    );
    let health = async |sim: &Sim| {
        let reply =
            simaws::testing::query(sim, "elasticloadbalancing", "DescribeTargetHealth", &[("TargetGroupArn", &group)])
                .await;
        (reply.xml().matches("<State>healthy<").count(), reply.xml().matches("<State>draining<").count())
    };
    assert_eq!(health(&sim).await, (2, 0));
    roll(&sim, "app:unhealthy").await;
    pass(&sim, 20);
    let now = show(&sim).await;
    assert!(now["deployments"][0]["failedTasks"].as_i64() > Some(0), "{}", now["deployments"][0]);
    assert!(messages(&now).iter().any(|m| m.contains("due to (reason Health checks failed)")));
    roll(&sim, "app:4").await;
    pass(&sim, 60);
    assert_eq!(show(&sim).await["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!(health(&sim).await.0, 2);
    update(&sim, json!({ "desiredCount": 0 })).await;
    pass(&sim, 1);
    assert_eq!(health(&sim).await, (0, 2));
}

#[tokio::test]
async fn the_control_plane_decides_what_becomes_of_an_image() {
    let sim = serving(1).await;
    let rule = json!({ "image": "app:2", "fate": "unpullable" });
    assert_eq!(control(&sim, "ecs/images", rule).await.0, 200);
    assert_eq!(control(&sim, "ecs/images", json!({ "image": "app:2", "fate": "flies" })).await.0, 400);
    roll(&sim, "app:2").await;
    pass(&sim, 30);
    assert!(show(&sim).await["deployments"][0]["failedTasks"].as_i64() > Some(0));
    assert_eq!(control(&sim, "ecs/images", json!({})).await, (200, json!({ "images": [] })));
    pass(&sim, 600);
    assert_eq!(show(&sim).await["deployments"][0]["rolloutState"], "COMPLETED");
}

#[tokio::test]
async fn days_of_failing_tasks_pass_in_few_steps_and_all_is_instant_when_asked() {
    let sim = serving(2).await;
    roll(&sim, "app:broken").await;
    pass(&sim, 3 * 24 * 3600);
    let now = show(&sim).await;
    let failed = now["deployments"][0]["failedTasks"].as_i64().expect("a number");
    assert!((1_000..50_000).contains(&failed), "restarts are throttled: {failed}");
    assert_eq!(now["events"].as_array().map(Vec::len), Some(100));
    sim.set_timings(Timings::instant());
    roll(&sim, "app:3").await;
    let done = show(&sim).await;
    assert_eq!(done["deployments"][0]["rolloutState"], "COMPLETED", "{}", done["deployments"]);
}
