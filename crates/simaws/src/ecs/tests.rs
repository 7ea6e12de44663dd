//! ECS from inside: what no answer shows.
use jiff::Timestamp;
use serde_json::json;

use super::images::{Fate, ImageRule, fate};
use super::state::{State, TaskDefinition};
use super::{definitions, rollout};
use crate::testing::json as call;
use crate::{Clock, Doc, Sim, doc};

const ACCOUNT: &str = "123456789012";

async fn serving() -> Sim {
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a valid time");
    let sim = Sim::builder().clock(Clock::manual(start)).build();
    call(&sim, "ecs", "CreateCluster", json!({})).await;
    let body = json!({
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{ "name": "web", "image": "app:1" }],
    });
    call(&sim, "ecs", "RegisterTaskDefinition", body).await;
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-a"] } });
    let body = json!({ "serviceName": "web", "taskDefinition": "web", "desiredCount": 3, "launchType": "FARGATE",
                       "networkConfiguration": network });
    assert_eq!(call(&sim, "ecs", "CreateService", body).await.status, 200);
    sim
}

#[tokio::test]
async fn a_service_in_steady_state_has_nothing_due() {
    let sim = serving().await;
    let due = |sim: &Sim| sim.with(ACCOUNT, "us-east-1", |ctx| ctx.state::<State>().agenda.next());
    assert!(due(&sim).is_some());
    sim.clock().advance(std::time::Duration::from_secs(60));
    assert_eq!(due(&sim), None);
}

#[tokio::test]
async fn a_clusters_counts_are_those_of_its_services_at_any_time() {
    let sim = serving().await;
    for step in 0..60 {
        let change = match step {
            10 => Some(("UpdateService", json!({ "service": "web", "desiredCount": 5 }))),
            20 => Some(("UpdateService", json!({ "service": "web", "forceNewDeployment": true }))),
            40 => Some(("DeleteService", json!({ "service": "web", "force": true }))),
            _ => None,
        };
        if let Some((operation, body)) = change {
            assert_eq!(call(&sim, "ecs", operation, body).await.status, 200);
        }
        sim.with(ACCOUNT, "us-east-1", |ctx| {
            let cluster = &ctx.state::<State>().clusters["default"];
            let summed = cluster.services.values().fold((0, 0, 0), |sum, s| {
                let (running, pending) = s.counts(None);
                (sum.0 + running, sum.1 + pending, sum.2 + i64::from(s.status == super::state::Status::Active))
            });
            assert_eq!((cluster.running, cluster.pending, cluster.active), summed, "step {step}");
            let listed: usize = cluster.services.values().map(|s| s.tasks.len()).sum();
            assert_eq!(cluster.tasks.len(), listed, "step {step}");
        });
        sim.clock().advance(std::time::Duration::from_millis(250));
    }
}

#[test]
fn the_breakers_threshold_is_half_the_count_within_3_and_200() {
    for (desired, limit) in [(0, 3), (1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (1000, 200)] {
        assert_eq!(rollout::threshold(desired), limit, "{desired}");
    }
}

#[test]
fn sizes_are_read_as_numbers_or_with_their_unit() {
    for (given, unit, read) in [
        ("512", "vcpu", Some(512)),
        ("1 vCPU", "vcpu", Some(1024)),
        (".25 vcpu", "vcpu", Some(256)),
        ("2GB", "gb", Some(2048)),
        ("0", "gb", None),
        ("-1", "gb", None),
        ("2 TB", "gb", None),
    ] {
        assert_eq!(definitions::amount(given, unit), read, "{given}");
    }
}

#[test]
fn only_an_essential_containers_image_decides_and_the_last_rule_wins() {
    let definition = |containers: Vec<Doc>| TaskDefinition {
        arn: String::new(),
        doc: doc! { "containerDefinitions" => containers },
        deregistered: None,
    };
    let container = |image: &str, essential: bool| doc! { "image" => image, "essential" => essential };
    let rule = |image: &str, fate: Fate| ImageRule { image: image.to_owned(), fate };
    let beside = definition(vec![container("app:1", true), container("log:broken", false)]);
    assert_eq!(fate(&beside, &[]), Fate::Runs);
    let broken = definition(vec![container("app:1", true), container("app:broken", true)]);
    assert_eq!(fate(&broken, &[]), Fate::Exits);
    let rules = [rule("app", Fate::Unhealthy), rule("app:broken", Fate::Runs)];
    assert_eq!(fate(&broken, &rules), Fate::Unhealthy, "of the first container");
    assert_eq!(fate(&broken, &rules[1..]), Fate::Runs, "a rule is stronger than the name");
}

#[tokio::test]
async fn the_circuit_breaker_is_of_rolling_updates_only() {
    let sim = serving().await;
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-a"] } });
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    let mut body = json!({ "serviceName": "green", "taskDefinition": "web", "desiredCount": 1, "launchType": "FARGATE",
        "networkConfiguration": network, "deploymentController": { "type": "CODE_DEPLOY" } });
    assert_eq!(call(&sim, "ecs", "CreateService", body.clone()).await.status, 200);
    let update =
        |configuration: &serde_json::Value| json!({ "service": "green", "deploymentConfiguration": configuration });
    assert_eq!(call(&sim, "ecs", "UpdateService", update(&breaker)).await.status, 400);
    assert_eq!(call(&sim, "ecs", "UpdateService", update(&json!({ "maximumPercent": 150 }))).await.status, 200);
    body["serviceName"] = json!("blue");
    body["deploymentConfiguration"] = breaker;
    assert_eq!(call(&sim, "ecs", "CreateService", body).await.status, 400);
}
