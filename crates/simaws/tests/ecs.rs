//! ECS, as documented: what clients see of clusters, task definitions, services and their rollouts.
use std::time::Duration;

use serde_json::{Value, json};
use simaws::testing::{Reply, json as call};
use simaws::Sim;

use crate::support::still;

pub(crate) async fn ecs(sim: &Sim, operation: &str, body: Value) -> Value {
    let reply = call(sim, "ecs", operation, body).await;
    assert_eq!(reply.status, 200, "{operation}: {}", reply.body);
    reply.body
}

async fn refused(sim: &Sim, operation: &str, body: Value) -> (String, String) {
    let Reply { status, body, .. } = call(sim, "ecs", operation, body).await;
    assert_eq!(status, 400, "{operation}: {body}");
    let code = body["__type"].as_str().and_then(|c| c.rsplit('#').next()).unwrap_or("").to_owned();
    (code, body["message"].as_str().unwrap_or("").to_owned())
}

fn definition(image: &str) -> Value {
    json!({
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "512", "memory": "1024",
        "executionRoleArn": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        "containerDefinitions": [{ "name": "web", "image": image, "portMappings": [{ "containerPort": 3000 }] }],
    })
}

fn service(count: i64) -> Value {
    json!({
        "cluster": "main", "serviceName": "web", "taskDefinition": "web", "desiredCount": count, "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-a", "subnet-b"], "securityGroups": ["sg-1"] } },
    })
}

/// A cluster `main` and a definition `web:1`.
async fn prepared() -> Sim {
    let sim = still();
    ecs(&sim, "CreateCluster", json!({ "clusterName": "main" })).await;
    ecs(&sim, "RegisterTaskDefinition", definition("app:1")).await;
    sim
}

/// With a service of so many running tasks, in a steady state.
pub(crate) async fn serving(count: i64) -> Sim {
    let sim = prepared().await;
    ecs(&sim, "CreateService", service(count)).await;
    pass(&sim, 60);
    sim
}

fn pass(sim: &Sim, seconds: u64) {
    sim.clock().advance(Duration::from_secs(seconds));
}

async fn show(sim: &Sim) -> Value {
    let body = json!({ "cluster": "main", "services": ["web"] });
    ecs(sim, "DescribeServices", body).await["services"][0].clone()
}

fn messages(service: &Value) -> Vec<String> {
    let events = service["events"].as_array().cloned().unwrap_or_default();
    events.iter().map(|e| e["message"].as_str().unwrap_or("").to_owned()).collect()
}

#[tokio::test]
async fn a_service_starts_pending_and_reaches_its_count_with_a_steady_state_event() {
    let sim = prepared().await;
    let created = ecs(&sim, "CreateService", service(2)).await["service"].clone();
    assert_eq!((&created["desiredCount"], &created["runningCount"]), (&json!(2), &json!(0)));
    assert_eq!(created["deployments"][0]["rolloutState"], "IN_PROGRESS");
    sim.clock().advance(Duration::from_millis(600));
    assert_eq!(show(&sim).await["pendingCount"], 2);
    pass(&sim, 60);
    let running = show(&sim).await;
    assert_eq!((&running["runningCount"], &running["pendingCount"]), (&json!(2), &json!(0)));
    assert_eq!(running["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!(messages(&running)[0], "(service web) has reached a steady state.");
    let cluster = ecs(&sim, "DescribeClusters", json!({ "clusters": ["main"] })).await["clusters"][0].clone();
    assert_eq!((&cluster["runningTasksCount"], &cluster["activeServicesCount"]), (&json!(2), &json!(1)));
}
