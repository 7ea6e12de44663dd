//! Task definitions.
use serde_json::{Value, json};

use super::{definition, ecs, prepared, refused, with};
use crate::support::still;

async fn register(sim: &simaws::Sim, body: Value) -> Value {
    ecs(sim, "RegisterTaskDefinition", body).await["taskDefinition"].clone()
}

/// The definition with its only container changed.
fn container(more: Value) -> Value {
    let mut body = definition("app:1");
    body["containerDefinitions"][0] = with(body["containerDefinitions"][0].clone(), more);
    body
}

#[tokio::test]
async fn what_is_left_out_is_filled_in() {
    let sim = still();
    let check = json!({ "healthCheck": { "command": ["CMD-SHELL", "true"] } });
    let made = register(&sim, container(check)).await;
    let first = &made["containerDefinitions"][0];
    for (name, value) in [
        ("cpu", json!(0)),
        ("essential", json!(true)),
        ("environment", json!([])),
        ("mountPoints", json!([])),
        ("volumesFrom", json!([])),
        ("portMappings", json!([{ "containerPort": 3000, "hostPort": 3000, "protocol": "tcp" }])),
        ("healthCheck", json!({ "command": ["CMD-SHELL", "true"], "interval": 30, "timeout": 5, "retries": 3 })),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    for (name, value) in [
        ("taskDefinitionArn", json!("arn:aws:ecs:us-east-1:123456789012:task-definition/web:1")),
        ("revision", json!(1)),
        ("status", json!("ACTIVE")),
        ("volumes", json!([])),
        ("placementConstraints", json!([])),
        ("compatibilities", json!(["EC2", "FARGATE"])),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    let described = ecs(&sim, "DescribeTaskDefinition", json!({ "taskDefinition": "web" })).await;
    assert_eq!(described["taskDefinition"], made);
}

#[tokio::test]
async fn fargate_takes_only_its_pairs_of_cpu_and_memory() {
    let sim = still();
    for (cpu, memory, good) in [
        ("256", "512", true),
        ("256", "1024", true),
        ("256", "4096", false),
        ("512", "512", false),
        ("512", "4096", true),
        ("1024", "2560", false),
        ("4096", "30720", true),
        ("8192", "17408", false),
        ("16384", "122880", true),
        ("300", "1024", false),
        (".5 vCPU", "2 GB", true),
        ("much", "1024", false),
    ] {
        let body = with(definition("app:1"), json!({ "cpu": cpu, "memory": memory }));
        let reply = simaws::testing::json(&sim, "ecs", "RegisterTaskDefinition", body).await;
        assert_eq!(reply.status == 200, good, "{cpu} {memory}: {}", reply.body);
        if !good {
            assert_eq!(reply.code(), "ClientException");
        }
    }
    let last = ecs(&sim, "DescribeTaskDefinition", json!({ "taskDefinition": "web" })).await["taskDefinition"].clone();
    assert_eq!((&last["cpu"], &last["memory"]), (&json!("512"), &json!("2048")), "units are shown as numbers");
}

#[tokio::test]
async fn what_fargate_or_docker_could_not_run_is_refused() {
    let sim = still();
    let log = |options: Value| json!({ "logConfiguration": { "logDriver": "awslogs", "options": options } });
    let secret =
        json!({ "secrets": [{ "name": "A", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:a" }] });
    let mut without_role = container(secret.clone());
    without_role.as_object_mut().expect("an object").remove("executionRoleArn");
    let clash = with(secret, json!({ "environment": [{ "name": "A", "value": "1" }] }));
    let mut twice = definition("app:1");
    twice["containerDefinitions"] = json!([twice["containerDefinitions"][0], twice["containerDefinitions"][0]]);
    let cases = [
        (with(definition("a"), json!({ "networkMode": "bridge" })), "network mode"),
        (with(definition("a"), json!({ "family": "a b" })), "Family"),
        (with(definition("a"), json!({ "containerDefinitions": [] })), "empty"),
        (with(definition("a"), json!({ "cpu": null })), "'cpu'"),
        (container(json!({ "image": "" })), "image"),
        (container(json!({ "portMappings": [{ "containerPort": 80, "hostPort": 81 }] })), "must match"),
        (container(json!({ "mountPoints": [{ "sourceVolume": "v", "containerPath": "/v" }] })), "Unknown volume"),
        (container(json!({ "essential": false })), "essential"),
        (container(json!({ "memory": 2048 })), "exceeds"),
        (container(json!({ "cpu": 1024 })), "exceeds"),
        (container(json!({ "privileged": true })), "privileged"),
        (container(json!({ "dependsOn": [{ "containerName": "x", "condition": "START" }] })), "does not exist"),
        (container(json!({ "logConfiguration": { "logDriver": "syslog" } })), "syslog"),
        (container(log(json!({ "awslogs-group": "/a", "awslogs-region": "us-east-1" }))), "awslogs-stream-prefix"),
        (container(json!({ "healthCheck": { "command": ["curl"] } })), "CMD"),
        (container(json!({ "ulimits": [{ "name": "nofile", "softLimit": 2, "hardLimit": 1 }] })), "nofile"),
        (container(clash), "such as 'A'"),
        (without_role, "executionRoleArn"),
        (twice, "unique"),
    ];
    for (body, part) in cases {
        let (code, message) = refused(&sim, "RegisterTaskDefinition", body).await;
        assert_eq!(code, "ClientException", "{message}");
        assert!(message.contains(part), "{message} should say {part}");
    }
    let slow = container(json!({ "healthCheck": { "command": ["CMD", "x"], "interval": 301 } }));
    assert_eq!(refused(&sim, "RegisterTaskDefinition", slow).await.0, "InvalidParameterException");
    let all = ecs(&sim, "ListTaskDefinitions", json!({})).await["taskDefinitionArns"].clone();
    assert_eq!(all, json!([]), "an error registers nothing");
}

#[tokio::test]
async fn a_parameter_that_is_not_implemented_is_named() {
    let sim = still();
    let (code, message) = refused(&sim, "RegisterTaskDefinition", container(json!({ "links": ["x"] }))).await;
    assert_eq!(code, "ValidationException");
    assert!(message.contains("simaws does not implement parameter containerDefinitions.1.links"), "{message}");
}

#[tokio::test]
async fn revisions_count_up_and_a_family_means_its_latest_active_one() {
    let sim = prepared().await;
    for n in 2..=3 {
        assert_eq!(register(&sim, definition("app:1")).await["revision"], n, "the same content is a new revision");
    }
    let gone = ecs(&sim, "DeregisterTaskDefinition", json!({ "taskDefinition": "web:3" })).await;
    assert_eq!(gone["taskDefinition"]["status"], "INACTIVE");
    let latest = ecs(&sim, "DescribeTaskDefinition", json!({ "taskDefinition": "web" })).await;
    assert_eq!(latest["taskDefinition"]["revision"], 2);
    let named = ecs(&sim, "DescribeTaskDefinition", json!({ "taskDefinition": "web:3" })).await;
    assert_eq!(named["taskDefinition"]["status"], "INACTIVE");
    assert_eq!(register(&sim, definition("app:1")).await["revision"], 4, "numbers are never used twice");
    for unknown in ["web:9", "none", "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1"] {
        let (code, message) = refused(&sim, "DescribeTaskDefinition", json!({ "taskDefinition": unknown })).await;
        assert_eq!((code.as_str(), message.as_str()), ("ClientException", "Unable to describe task definition."));
    }
    let family = json!({ "taskDefinition": "web" });
    assert_eq!(refused(&sim, "DeregisterTaskDefinition", family).await.0, "ClientException");
}

#[tokio::test]
async fn lists_go_up_or_down_a_family_page_by_page() {
    let sim = still();
    for family in ["web", "web-b"] {
        for _ in 0..11 {
            register(&sim, with(definition("app:1"), json!({ "family": family }))).await;
        }
    }
    ecs(&sim, "DeregisterTaskDefinition", json!({ "taskDefinition": "web:5" })).await;
    for (sort, wanted) in
        [("ASC", vec![1, 2, 3, 4, 6, 7, 8, 9, 10, 11]), ("DESC", vec![11, 10, 9, 8, 7, 6, 4, 3, 2, 1])]
    {
        let (mut seen, mut token) = (Vec::new(), Value::Null);
        loop {
            let body = json!({ "familyPrefix": "web", "sort": sort, "maxResults": 4, "nextToken": token });
            let page = ecs(&sim, "ListTaskDefinitions", body).await;
            let arns = page["taskDefinitionArns"].as_array().expect("a list").clone();
            assert!(arns.len() <= 4);
            seen.extend(arns.iter().map(|a| {
                let (family, revision) =
                    a.as_str().and_then(|a| a.rsplit('/').next()?.split_once(':')).expect("an ARN");
                assert_eq!(family, "web");
                revision.parse::<i32>().expect("a number")
            }));
            token = page["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(seen, wanted, "{sort}");
    }
    let inactive = ecs(&sim, "ListTaskDefinitions", json!({ "status": "INACTIVE" })).await;
    assert_eq!(inactive["taskDefinitionArns"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn tags_are_beside_the_definition_and_only_when_asked() {
    let sim = still();
    let tags = json!([{ "key": "Team", "value": "x" }]);
    let made = ecs(&sim, "RegisterTaskDefinition", with(definition("app:1"), json!({ "tags": tags }))).await;
    assert_eq!((&made["tags"], made["taskDefinition"].get("tags")), (&tags, None));
    let plain = ecs(&sim, "DescribeTaskDefinition", json!({ "taskDefinition": "web" })).await;
    assert_eq!(plain.get("tags"), None);
    let asked = ecs(&sim, "DescribeTaskDefinition", json!({ "taskDefinition": "web", "include": ["TAGS"] })).await;
    assert_eq!(asked["tags"], tags);
}
