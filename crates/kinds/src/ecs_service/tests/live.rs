//! Through the real SDK on the simulated AWS.

use std::time::Duration;

use engine::Health;
use model::observation::Unknown;
use model::{Environment, Observation, ResourceKey, ResourcePlan};
use serde_json::{Value, json};
use simaws::{Effect, Fault};
use testkit::fixtures;
use testkit::world::World;

use crate::provider::{Cloud, ObserveKey, Scope};
use crate::testing::key;

struct Stage {
    world: World,
    document: Value,
    environment: Environment,
    graph: engine::Graph,
}

impl Stage {
    async fn converged() -> Self {
        let mut world = World::new().await;
        let document = fixtures::document(&world.load_balancer);
        let environment = fixtures::environment(document.clone());
        let graph = world.graph(&environment);
        let wanted = ["EcsService", "ScalableTarget"];
        let graph = of_kinds(&world, &environment, &graph, &wanted);
        world.converge(&environment, &graph).await;
        Self { world, document, environment, graph }
    }

    fn patch(&mut self, patch: Value) {
        self.document = fixtures::patched(self.document.clone(), &patch);
        self.environment = fixtures::environment(self.document.clone());
        let graph = self.world.graph(&self.environment);
        self.graph = of_kinds(&self.world, &self.environment, &graph, &["EcsService", "ScalableTarget"]);
    }

    async fn call(&self, service: &str, operation: &str, body: Value) -> Value {
        let reply = simaws::testing::json(&self.world.sim, service, operation, body).await;
        assert_eq!(reply.status, 200, "{operation}: {}", reply.body);
        reply.body
    }

    async fn live(&self, name: &str) -> Value {
        let body = json!({ "cluster": "eventchain-cluster", "services": [name] });
        self.call("ecs", "DescribeServices", body).await["services"][0].clone()
    }

    async fn scale_by_hand(&self, name: &str, count: u32) {
        let body = json!({ "cluster": "eventchain-cluster", "service": name, "desiredCount": count });
        self.call("ecs", "UpdateService", body).await;
    }

    /// Passes and time, without asking that it settles.
    async fn run(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.world.sweep(&self.graph).await;
            self.world.pass(&self.environment, &self.graph, usize::MAX).await;
            self.world.sim.clock().advance(Duration::from_secs(15));
        }
        self.world.sweep(&self.graph).await;
    }

    fn planned(&self, key: &ResourceKey) -> (ResourcePlan, Option<Health>) {
        let plans = self.world.plan(&self.environment, &self.graph);
        let planned = plans.into_iter().find(|planned| planned.key == *key).expect("the node is planned");
        (planned.plan, planned.health)
    }

    fn updates(&self) -> usize {
        self.world.sim.calls().log().filter(|call| call.operation == "UpdateService").count()
    }
}

/// The nodes of some kinds and all they depend on.
fn of_kinds(world: &World, environment: &Environment, whole: &engine::Graph, kinds: &[&str]) -> engine::Graph {
    let parts: Vec<engine::Graph> = kinds.iter().map(|kind| world.graph_of(environment, kind)).collect();
    let wanted = |key: &ResourceKey| parts.iter().any(|part| part.get(key).is_some());
    let nodes = whole.nodes().iter().filter(|node| wanted(&node.key)).cloned().collect();
    engine::Graph::new(nodes).expect("a part of a graph has no circle")
}

fn service(short: &str) -> ResourceKey {
    key("EcsService", &format!("eventchain-cluster/eventchain-{short}"))
}

#[tokio::test]
async fn a_count_changed_by_hand_is_put_back() {
    let mut stage = Stage::converged().await;
    stage.scale_by_hand("eventchain-event-service", 7).await;
    stage.world.converge(&stage.environment, &stage.graph).await;
    assert_eq!(stage.live("eventchain-event-service").await["desiredCount"], 2);
}

#[tokio::test]
async fn an_autoscaled_count_is_left_alone_within_its_range_and_moved_back_into_it() {
    let mut stage = Stage::converged().await;
    stage.scale_by_hand("eventchain-api-gateway", 7).await;
    let done = stage.world.converge(&stage.environment, &stage.graph).await;
    assert!(done.is_empty(), "{done:?}");
    let (plan, _) = stage.planned(&service("api-gateway"));
    assert_eq!(plan.notes[0].reason, "AutoscalingOwnsCount");

    stage.scale_by_hand("eventchain-api-gateway", 14).await;
    stage.world.converge(&stage.environment, &stage.graph).await;
    assert_eq!(stage.live("eventchain-api-gateway").await["desiredCount"], 10);
}

#[tokio::test]
async fn a_target_registered_by_hand_takes_the_count_over() {
    let mut stage = Stage::converged().await;
    let target = json!({
        "ServiceNamespace": "ecs", "ResourceId": "service/eventchain-cluster/eventchain-event-service",
        "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 1, "MaxCapacity": 5
    });
    stage.call("application-autoscaling", "RegisterScalableTarget", target.clone()).await;
    stage.scale_by_hand("eventchain-event-service", 4).await;
    let done = stage.world.converge(&stage.environment, &stage.graph).await;
    assert!(done.is_empty(), "{done:?}");

    let mut suspended = target;
    suspended["SuspendedState"] = json!({ "DynamicScalingInSuspended": true });
    stage.call("application-autoscaling", "RegisterScalableTarget", suspended).await;
    stage.scale_by_hand("eventchain-event-service", 9).await;
    let done = stage.world.converge(&stage.environment, &stage.graph).await;
    assert!(done.is_empty(), "{done:?}");
    assert_eq!(stage.planned(&service("event-service")).0.notes[0].reason, "AutoscalingSuspended");
}

#[tokio::test]
async fn a_new_revision_rolls_in_the_pass_that_registered_it() {
    let mut stage = Stage::converged().await;
    stage.patch(json!({ "spec": { "services": { "event-service": { "image": "events:2" } } } }));
    stage.world.sweep(&stage.graph).await;
    let done = stage.world.pass(&stage.environment, &stage.graph, usize::MAX).await;
    let operations: Vec<&str> = done.iter().map(|done| done.step.operation.as_ref()).collect();
    assert_eq!(operations, ["RegisterTaskDefinition", "UpdateService"]);
    assert!(matches!(stage.planned(&service("event-service")).1, Some(Health::Progressing { .. })));
}

#[tokio::test]
async fn a_rollout_that_fails_is_rolled_back_once_and_not_tried_again() {
    let mut stage = Stage::converged().await;
    let breaker = json!({ "spec": { "services": { "event-service": { "circuitBreaker": true } } } });
    stage.patch(breaker);
    stage.world.converge(&stage.environment, &stage.graph).await;
    stage.patch(json!({ "spec": { "services": { "event-service": { "image": "events:broken" } } } }));
    stage.run(6).await;
    let updates = stage.updates();
    let registered =
        |stage: &Stage| stage.world.sim.calls().log().filter(|c| c.operation == "RegisterTaskDefinition").count();
    let revisions = registered(&stage);
    stage.run(3).await;
    assert_eq!(stage.updates(), updates, "the same content is not rolled out again");
    assert_eq!(registered(&stage), revisions);
    let (plan, _) = stage.planned(&service("event-service"));
    assert!(plan.is_in_sync(), "{plan}");
    assert!(plan.waits.iter().any(|wait| wait.reason == "RolloutFailed"), "{plan}");

    stage.patch(json!({ "spec": { "services": { "event-service": { "image": "events:3" } } } }));
    stage.world.converge(&stage.environment, &stage.graph).await;
    let live = stage.live("eventchain-event-service").await;
    let definition = json!({ "taskDefinition": live["taskDefinition"] });
    let definition = stage.call("ecs", "DescribeTaskDefinition", definition).await;
    assert_eq!(definition["taskDefinition"]["containerDefinitions"][0]["image"], "events:3", "other content is");
}

#[tokio::test]
async fn a_network_that_fails_is_rolled_back_once_and_not_tried_again() {
    let mut stage = Stage::converged().await;
    stage.patch(json!({ "spec": { "services": { "event-service": { "circuitBreaker": true } } } }));
    stage.world.converge(&stage.environment, &stage.graph).await;
    // Tasks of that network cannot start.
    stage.world.sim.with("123456789012", "us-east-1", |ctx| {
        simaws::hand::ecs::decide_image(ctx, "event-service", simaws::hand::ecs::Fate::Exits);
    });
    stage.patch(json!({ "spec": { "services": { "event-service": { "securityGroups": ["sg-0000000000000bad0"] } } } }));
    stage.run(8).await;
    let updates = stage.updates();
    stage.run(4).await;
    assert_eq!(stage.updates(), updates, "the same network is not deployed again");
    let (plan, _) = stage.planned(&service("event-service"));
    assert!(plan.is_in_sync(), "{plan}");
    assert!(plan.waits.iter().any(|wait| wait.reason == "RolloutFailed"), "{plan}");
}

#[tokio::test]
async fn a_new_value_of_a_secret_replaces_the_tasks_once() {
    let mut stage = Stage::converged().await;
    let primary = |live: &Value| live["deployments"][0]["id"].clone();
    let before = stage.live("eventchain-api-gateway").await;
    let other = stage.live("eventchain-event-service").await;
    let updates = stage.updates();
    let value = json!({ "SecretId": "eventchain/database-url", "SecretString": "another" });
    stage.call("secretsmanager", "PutSecretValue", value).await;
    stage.run(8).await;
    assert_eq!(stage.updates(), updates + 1);
    let after = stage.live("eventchain-api-gateway").await;
    assert_ne!(primary(&after), primary(&before));
    assert_eq!(after["taskDefinition"], before["taskDefinition"], "of the same revision");
    assert_eq!(primary(&stage.live("eventchain-event-service").await), primary(&other), "it reads no secret");
    let done = stage.world.converge(&stage.environment, &stage.graph).await;
    assert!(done.is_empty(), "{done:?}");
}

#[tokio::test]
async fn failing_tasks_are_a_stall_that_says_why_they_stopped() {
    let mut stage = Stage::converged().await;
    stage.patch(json!({ "spec": { "services": { "event-service": { "image": "events:broken" } } } }));
    stage.run(8).await;
    stage.world.read(&stage.graph, &service("event-service")).await;
    let (_, health) = stage.planned(&service("event-service"));
    let Some(Health::Stalled { message, .. } | Health::Progressing { message, .. }) = health else {
        panic!("healthy: {health:?}")
    };
    assert!(message.contains("exited with code 1") || message.contains("Essential container"), "{message}");
}

#[tokio::test]
async fn what_was_set_by_hand_survives_a_change_of_the_deployment_settings() {
    let mut stage = Stage::converged().await;
    let live = stage.live("eventchain-api-gateway").await;
    let body = json!({
        "cluster": "eventchain-cluster", "service": "eventchain-api-gateway",
        "deploymentConfiguration": { "maximumPercent": 150, "minimumHealthyPercent": 100 }
    });
    stage.call("ecs", "UpdateService", body).await;
    stage.patch(json!({ "spec": { "services": { "api-gateway": { "circuitBreaker": true } } } }));
    stage.world.converge(&stage.environment, &stage.graph).await;
    let after = stage.live("eventchain-api-gateway").await;
    assert_eq!(after["deploymentConfiguration"]["maximumPercent"], 150);
    assert_eq!(
        after["deploymentConfiguration"]["deploymentCircuitBreaker"],
        json!({ "enable": true, "rollback": true })
    );
    assert_eq!(after["loadBalancers"], live["loadBalancers"]);
}

#[tokio::test]
async fn a_batch_asks_for_ten_services_of_a_cluster_at_a_time() {
    let mut stage = Stage::converged().await;
    let calls = |stage: &Stage| stage.world.sim.calls().log().filter(|c| c.operation == "DescribeServices").count();
    let before = calls(&stage);
    stage.world.sweep(&stage.graph).await;
    assert_eq!(calls(&stage) - before, 1, "four services of one cluster");
}

#[tokio::test]
async fn a_deleted_cluster_proves_nothing_to_a_batch_and_absence_to_a_direct_read() {
    let mut world = World::new().await;
    let environment = fixtures::environment(fixtures::document(&world.load_balancer));
    let graph = world.graph_of(&environment, "EcsService");
    world.sweep(&graph).await;
    assert!(world.known(&service("event-service")).is_unknown());
    assert!(matches!(world.read(&graph, &service("event-service")).await, Observation::Absent));
}

#[tokio::test]
async fn a_deleted_service_is_made_again_once_it_has_drained() {
    let mut stage = Stage::converged().await;
    let body = json!({ "cluster": "eventchain-cluster", "service": "eventchain-event-service", "force": true });
    stage.call("ecs", "DeleteService", body).await;
    stage.world.sweep(&stage.graph).await;
    assert_eq!(stage.planned(&service("event-service")).0.waits[0].reason, "ServiceDraining");
    stage.world.converge(&stage.environment, &stage.graph).await;
    assert_eq!(stage.live("eventchain-event-service").await["status"], "ACTIVE");
}

#[tokio::test]
async fn a_batch_that_fails_makes_only_its_own_services_unknown() {
    let stage = Stage::converged().await;
    let second = json!({ "cluster": "other", "serviceName": "outsider", "taskDefinition": "eventchain-event-service",
        "desiredCount": 0, "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-0a1b2c3d4e5f60718"] } } });
    stage.call("ecs", "CreateCluster", json!({ "clusterName": "other" })).await;
    stage.call("ecs", "CreateService", second).await;
    let cloud = kinds_on(&stage.world);
    let provider = cloud.provider("EcsService").expect("it is served");
    let keys = ["eventchain-cluster/eventchain-event-service", "other/outsider", "other/nobody", "nowhere/x"]
        .map(|identity| ObserveKey { identity: identity.into(), at: None });
    let scope = Scope::of(&service("event-service"), stage.world.now());
    // A read is sent twice.
    let fault = Fault::new(Effect::Error { status: 500, code: "ServerException".to_owned(), message: String::new() });
    stage.world.sim.faults().add(fault.on("ecs", "DescribeServices").times(2));
    let seen = provider.observe(&scope, &keys).await.expect("the other clusters were read");
    let why = |identity: &str| match &seen[identity] {
        Observation::Present(_) => "present",
        Observation::Absent => "absent",
        Observation::Unknown { why: Unknown::NotListed, .. } => "not listed",
        Observation::Unknown { .. } => "failed",
    };
    assert_eq!(why("eventchain-cluster/eventchain-event-service"), "failed");
    assert_eq!(why("other/outsider"), "present");
    assert_eq!(why("other/nobody"), "not listed");
    assert_eq!(why("nowhere/x"), "not listed", "a cluster that is not there");
    stage.world.sim.faults().clear();
}

fn kinds_on(world: &World) -> crate::aws::AwsCloud {
    crate::providers(&testkit::world::aws_on(&world.sim))
}

#[tokio::test]
async fn a_deployment_by_somebody_else_in_the_middle_of_a_pass_is_not_undone() {
    let mut stage = Stage::converged().await;
    stage.patch(json!({ "spec": { "services": { "event-service": { "image": null, "initialImage": "events:1" } } } }));
    stage.world.converge(&stage.environment, &stage.graph).await;
    stage.patch(json!({ "spec": { "services": { "event-service": { "cpu": 1024, "memoryMib": 2048 } } } }));
    // Seen before the pipeline deploys, acted on after it.
    stage.world.sweep(&stage.graph).await;
    let family = "eventchain-event-service";
    let live = stage.call("ecs", "DescribeTaskDefinition", json!({ "taskDefinition": family })).await;
    let mut definition = live["taskDefinition"].clone();
    definition["containerDefinitions"][0]["image"] = json!("events:pipeline");
    let taken = ["family", "executionRoleArn", "networkMode", "containerDefinitions", "cpu", "memory"];
    let body: Value = taken.iter().map(|field| ((*field).to_owned(), definition[*field].clone())).collect();
    let theirs = stage.call("ecs", "RegisterTaskDefinition", body).await["taskDefinition"]["taskDefinitionArn"].clone();
    let deploy = json!({ "cluster": "eventchain-cluster", "service": family, "taskDefinition": theirs });
    stage.call("ecs", "UpdateService", deploy).await;
    stage.world.pass(&stage.environment, &stage.graph, usize::MAX).await;
    assert_eq!(stage.live(family).await["taskDefinition"], theirs, "what we made from the old one is not rolled out");

    stage.world.converge(&stage.environment, &stage.graph).await;
    let live = json!({ "taskDefinition": stage.live(family).await["taskDefinition"] });
    let live = stage.call("ecs", "DescribeTaskDefinition", live).await["taskDefinition"].clone();
    assert_eq!((&live["cpu"], &live["containerDefinitions"][0]["image"]), (&json!("1024"), &json!("events:pipeline")));
}

#[tokio::test]
async fn a_circuit_breaker_that_does_not_roll_back_is_put_as_declared_either_way() {
    for on in [true, false] {
        let mut stage = Stage::converged().await;
        let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false } });
        let body = json!({ "cluster": "eventchain-cluster", "service": "eventchain-event-service",
            "deploymentConfiguration": breaker });
        stage.call("ecs", "UpdateService", body).await;
        stage.patch(json!({ "spec": { "services": { "event-service": { "circuitBreaker": on } } } }));
        let done = stage.world.converge(&stage.environment, &stage.graph).await;
        assert_eq!(done.len(), 1, "{done:?}");
        let live = stage.live("eventchain-event-service").await;
        let live = &live["deploymentConfiguration"]["deploymentCircuitBreaker"];
        assert_eq!((&live["enable"], &live["rollback"]), (&json!(on), &json!(on)));
    }
}

#[tokio::test]
async fn a_diagnosis_tells_why_tasks_stop_and_what_helps() {
    use simaws::hand::ecs::{Fate, crash, decide_image};
    let mut stage = Stage::converged().await;
    assert_eq!(stage.world.diagnose(&service("event-service")).await, [], "nothing is wrong");
    let crashed = stage.world.sim.with("123456789012", "us-east-1", |ctx| {
        decide_image(ctx, "event-service", Fate::Exits);
        crash(ctx, "eventchain-cluster", "eventchain-event-service", 2)
    });
    assert_eq!(crashed.map(|ids| ids.len()), Some(2));
    stage.world.sweep(&stage.graph).await;
    let found = stage.world.diagnose(&service("event-service")).await;
    let exited = found.iter().find(|finding| finding.reason == "ContainerExited").expect("they ended by themselves");
    assert_eq!(exited.severity, model::Severity::Error);
    assert!(exited.message.starts_with("2 tasks stopped") && exited.message.ends_with("of 2 tasks run"), "{exited:?}");
    assert_eq!(exited.evidence.len(), 2);
    assert!(exited.evidence[0].said.contains("exited with code"), "{exited:?}");
    assert!(exited.remedy.as_ref().is_some_and(|remedy| remedy.contains("log group")));
    assert_eq!(stage.world.diagnose(&service("api-gateway")).await, [], "it is another's trouble");
}
