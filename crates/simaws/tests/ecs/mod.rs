//! ECS, as documented: what clients see of it. Here what the tests share.
mod cli;
mod clusters;
mod definitions;
mod rollouts;
mod services;
mod tasks;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use simaws::Sim;
use simaws::testing::{json as call, query};

use crate::support::still;

/// A call that must succeed.
pub(crate) async fn ecs(sim: &Sim, operation: &str, body: Value) -> Value {
    let reply = call(sim, "ecs", operation, body).await;
    assert_eq!(reply.status, 200, "{operation}: {}", reply.body);
    reply.body
}

/// A call that must be refused: code and message.
async fn refused(sim: &Sim, operation: &str, body: Value) -> (String, String) {
    let reply = call(sim, "ecs", operation, body).await;
    assert_eq!(reply.status, 400, "{operation}: {}", reply.body);
    (reply.code(), reply.body["message"].as_str().unwrap_or("").to_owned())
}

/// One request to the control plane.
pub(crate) async fn control(sim: &Sim, path: &str, body: Value) -> (u16, Value) {
    let request = Request::post(format!("/_sim/{path}")).body(Bytes::from(body.to_string())).expect("valid");
    let response = sim.handle(request).await.expect("no faults");
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
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

fn with(mut body: Value, more: Value) -> Value {
    let fields = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(fields);
    body
}

/// A cluster `main` and a definition `web:1`.
async fn prepared() -> Sim {
    let sim = still();
    ecs(&sim, "CreateCluster", json!({ "clusterName": "main" })).await;
    ecs(&sim, "RegisterTaskDefinition", definition("app:1")).await;
    sim
}

/// With a service `web` of so many running tasks, in a steady state.
pub(crate) async fn serving(count: i64) -> Sim {
    let sim = prepared().await;
    ecs(&sim, "CreateService", service(count)).await;
    pass(&sim, 60);
    sim
}

pub(crate) fn pass(sim: &Sim, seconds: u64) {
    sim.clock().advance(Duration::from_secs(seconds));
}

/// The service `web`.
pub(crate) async fn show(sim: &Sim) -> Value {
    let body = json!({ "cluster": "main", "services": ["web"] });
    ecs(sim, "DescribeServices", body).await["services"][0].clone()
}

async fn update(sim: &Sim, more: Value) -> Value {
    ecs(sim, "UpdateService", with(json!({ "cluster": "main", "service": "web" }), more)).await["service"].clone()
}

fn messages(service: &Value) -> Vec<String> {
    let events = service["events"].as_array().cloned().unwrap_or_default();
    events.iter().map(|e| e["message"].as_str().unwrap_or("").to_owned()).collect()
}

/// Ids of the tasks of `web` with this desired status.
async fn task_ids(sim: &Sim, status: &str) -> Vec<String> {
    let body = json!({ "cluster": "main", "serviceName": "web", "desiredStatus": status });
    let arns = ecs(sim, "ListTasks", body).await["taskArns"].clone();
    let arns = arns.as_array().cloned().unwrap_or_default();
    arns.iter().filter_map(|a| a.as_str()?.rsplit('/').next().map(str::to_owned)).collect()
}

async fn element(sim: &Sim, operation: &str, name: &str, parameters: &[(&str, &str)]) -> String {
    let reply = query(sim, "elasticloadbalancing", operation, parameters).await;
    let part = reply.xml().split(&format!("<{name}>")).nth(1).and_then(|s| s.split('<').next());
    part.expect("the answer has this element").to_owned()
}

/// A target group that takes IP addresses, not attached to anything.
async fn target_group(sim: &Sim, kind: &str) -> String {
    let name = format!("group-{kind}");
    let parameters =
        [("Name", name.as_str()), ("Protocol", "HTTP"), ("Port", "3000"), ("VpcId", "vpc-1"), ("TargetType", kind)];
    element(sim, "CreateTargetGroup", "TargetGroupArn", &parameters).await
}

/// Attaches a target group to a load balancer of its own.
async fn attach(sim: &Sim, group: &str) {
    let parameters = [("Name", "front"), ("Subnets.member.1", "subnet-a"), ("Subnets.member.2", "subnet-b")];
    let balancer = element(sim, "CreateLoadBalancer", "LoadBalancerArn", &parameters).await;
    let parameters = [
        ("LoadBalancerArn", balancer.as_str()),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", group),
    ];
    element(sim, "CreateListener", "ListenerArn", &parameters).await;
}

fn behind(group: &str) -> Value {
    json!({ "loadBalancers": [{ "targetGroupArn": group, "containerName": "web", "containerPort": 3000 }] })
}
