//! Through the real SDK on the simulated AWS.

use model::{Environment, Observation, ResourceKey};
use serde_json::{Value, json};
use testkit::fixtures::{self, CANARY};
use testkit::world::World;

use crate::testing::key;

const FAMILY: &str = "eventchain-event-service";

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
        let graph = world.graph_of(&environment, "EcsTaskDefinition");
        world.converge(&environment, &graph).await;
        Self { world, document, environment, graph }
    }

    fn patch(&mut self, patch: Value) {
        self.document = fixtures::patched(self.document.clone(), &patch);
        self.environment = fixtures::environment(self.document.clone());
        self.graph = self.world.graph_of(&self.environment, "EcsTaskDefinition");
    }

    async fn ecs(&self, operation: &str, body: Value) -> Value {
        let reply = simaws::testing::json(&self.world.sim, "ecs", operation, body).await;
        assert_eq!(reply.status, 200, "{operation}: {}", reply.body);
        reply.body
    }

    /// What the service runs.
    async fn live(&self) -> Value {
        let services = json!({ "cluster": "eventchain-cluster", "services": [FAMILY] });
        let service = self.ecs("DescribeServices", services).await;
        let arn = service["services"][0]["taskDefinition"].clone();
        self.ecs("DescribeTaskDefinition", json!({ "taskDefinition": arn })).await["taskDefinition"].clone()
    }

    /// Registers a revision made from the live one, and lets the service run it.
    async fn deploy_by_hand(&self, change: impl FnOnce(&mut Value)) {
        let mut definition = self.live().await;
        change(&mut definition);
        let mut body = json!({ "family": FAMILY });
        let taken =
            ["taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions", "volumes", "cpu", "memory"];
        for field in taken.into_iter().chain(["requiresCompatibilities"]) {
            body[field] = definition[field].clone();
        }
        let registered = self.ecs("RegisterTaskDefinition", body).await;
        let arn = registered["taskDefinition"]["taskDefinitionArn"].clone();
        let update = json!({ "cluster": "eventchain-cluster", "service": FAMILY, "taskDefinition": arn });
        self.ecs("UpdateService", update).await;
    }

    fn registrations(&self) -> usize {
        self.world.sim.calls().log().filter(|call| call.operation == "RegisterTaskDefinition").count()
    }
}

fn node() -> ResourceKey {
    key("EcsTaskDefinition", FAMILY)
}

#[tokio::test]
async fn what_was_set_by_hand_survives_a_new_revision() {
    let mut stage = Stage::converged().await;
    stage
        .deploy_by_hand(|definition| {
            let container = &mut definition["containerDefinitions"][0];
            container["healthCheck"] = json!({ "command": ["CMD-SHELL", "curl -f localhost"], "interval": 10 });
            container["ulimits"] = json!([{ "name": "nofile", "softLimit": 4096, "hardLimit": 8192 }]);
            container["environment"] = json!([{ "name": "BY_HAND", "value": CANARY }]);
            container["dockerLabels"] = json!({ "a": "1", "b": "2" });
            container["logConfiguration"]["options"]["awslogs-stream-prefix"] = json!("web");
            let sidecar = json!({ "name": "sidecar", "image": "envoy:1", "essential": false });
            definition["containerDefinitions"].as_array_mut().unwrap().push(sidecar);
        })
        .await;
    let before = stage.registrations();
    stage.world.converge(&stage.environment, &stage.graph).await;
    assert_eq!(stage.registrations(), before, "none of it is declared, so none of it is drift");

    stage.patch(json!({ "spec": { "services": { "event-service": {
        "image": "events:2", "port": 9000, "environment": { "NODE_ENV": "production" }
    } } } }));
    stage.world.converge(&stage.environment, &stage.graph).await;
    let definition = stage.live().await;
    let container = &definition["containerDefinitions"][0];
    assert_eq!(container["image"], "events:2");
    assert_eq!(container["portMappings"][0]["containerPort"], 9000);
    assert_eq!(container["healthCheck"]["command"][1], "curl -f localhost");
    assert_eq!(container["healthCheck"]["interval"], 10);
    assert_eq!(container["ulimits"][0]["hardLimit"], 8192);
    assert_eq!(container["dockerLabels"], json!({ "a": "1", "b": "2" }));
    assert_eq!(container["logConfiguration"]["options"]["awslogs-stream-prefix"], "web");
    assert_eq!(definition["containerDefinitions"][1]["name"], "sidecar");
    let mut names: Vec<&str> =
        container["environment"].as_array().unwrap().iter().filter_map(|v| v["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["BY_HAND", "NODE_ENV"]);
    let known = stage.world.known(&node());
    let object = known.present().expect("it is there");
    assert!(!object.to_json().to_string().contains(CANARY) && !format!("{object:?}").contains(CANARY));
}

#[tokio::test]
async fn another_order_of_the_same_things_is_no_drift() {
    let mut stage = Stage::converged().await;
    stage.patch(json!({ "spec": { "services": { "event-service": {
        "port": 9000, "environment": { "A": "1", "B": "2", "C": "3" }
    } } } }));
    stage.world.converge(&stage.environment, &stage.graph).await;
    stage
        .deploy_by_hand(|definition| {
            let container = &mut definition["containerDefinitions"][0];
            container["environment"].as_array_mut().unwrap().reverse();
            container["portMappings"].as_array_mut().unwrap().insert(0, json!({ "containerPort": 9901 }));
        })
        .await;
    let before = stage.registrations();
    stage.world.converge(&stage.environment, &stage.graph).await;
    assert_eq!(stage.registrations(), before);
}

#[tokio::test]
async fn an_enforced_image_is_put_back_and_a_deployers_image_is_kept() {
    let mut stage = Stage::converged().await;
    stage.deploy_by_hand(|definition| definition["containerDefinitions"][0]["image"] = json!("events:hotfix")).await;
    stage.world.converge(&stage.environment, &stage.graph).await;
    assert!(stage.live().await["containerDefinitions"][0]["image"].as_str().unwrap().ends_with(":1.4.2"));

    let image = json!({ "image": null, "initialImage": "events:1" });
    stage.patch(json!({ "spec": { "services": { "event-service": image } } }));
    stage.deploy_by_hand(|definition| definition["containerDefinitions"][0]["image"] = json!("events:pipeline")).await;
    let before = stage.registrations();
    stage.world.converge(&stage.environment, &stage.graph).await;
    assert_eq!(stage.registrations(), before, "a revision that differs only in its image is no drift");
    stage.patch(json!({ "spec": { "services": { "event-service": { "cpu": 1024, "memoryMib": 2048 } } } }));
    stage.world.converge(&stage.environment, &stage.graph).await;
    let live = stage.live().await;
    assert_eq!((&live["cpu"], &live["containerDefinitions"][0]["image"]), (&json!("1024"), &json!("events:pipeline")));
}

#[tokio::test]
async fn a_crash_between_registering_and_deploying_leads_to_no_second_revision() {
    let mut stage = Stage::converged().await;
    stage.patch(json!({ "spec": { "services": { "event-service": { "image": "events:2" } } } }));
    let before = stage.registrations();
    stage.world.sweep(&stage.graph).await;
    let done = stage.world.pass(&stage.environment, &stage.graph, 1).await;
    assert_eq!(done[0].step.operation, "RegisterTaskDefinition");
    stage.world.crash();
    stage.world.converge(&stage.environment, &stage.graph).await;
    assert_eq!(stage.registrations() - before, 1);
    assert_eq!(stage.live().await["containerDefinitions"][0]["image"], "events:2");
}

#[tokio::test]
async fn a_revision_whose_deployment_is_held_is_recognised_whatever_it_changes() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 5] = [
        ("no log configuration", |c| drop(c.as_object_mut().unwrap().remove("logConfiguration"))),
        ("another log driver", |c| {
            c["logConfiguration"] = json!({ "logDriver": "splunk", "options": { "splunk-url": "https://splunk" } });
        }),
        ("another group, with an option of its own", |c| {
            c["logConfiguration"]["options"] = json!({ "awslogs-group": "/other", "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": "web", "mode": "non-blocking" });
        }),
        ("no port", |c| c["portMappings"] = json!([])),
        ("two ports, one with a name", |c| {
            c["portMappings"] = json!([{ "containerPort": 1, "name": "one" }, { "containerPort": 2 }]);
        }),
    ];
    for (case, change) in cases {
        let mut stage = Stage::converged().await;
        stage.patch(json!({ "spec": { "services": { "event-service": { "port": 9000 } } } }));
        stage.deploy_by_hand(|definition| change(&mut definition["containerDefinitions"][0])).await;
        stage.world.sweep(&stage.graph).await;
        let done = stage.world.pass(&stage.environment, &stage.graph, 1).await;
        assert_eq!(done[0].step.operation, "RegisterTaskDefinition", "{case}");
        stage.world.crash();
        stage.world.sweep(&stage.graph).await;
        stage.world.read(&stage.graph, &node()).await;
        let plans = stage.world.plan(&stage.environment, &stage.graph);
        let plan = &plans.iter().find(|planned| planned.key == node()).expect("it is planned").plan;
        assert!(plan.is_in_sync(), "{case}: {plan}");
        let roll_out =
            plans.iter().find(|planned| planned.key.kind.as_str() == "EcsService" && !planned.plan.is_in_sync());
        let step = &roll_out.expect("the deployment is still to come").plan.steps[0];
        assert_eq!(step.awaits, None, "{case}: what it deploys is known: {step:?}");
    }
}

#[tokio::test]
async fn a_revision_registered_and_not_wanted_any_more_is_deregistered() {
    let mut stage = Stage::converged().await;
    stage.patch(json!({ "spec": { "services": { "event-service": { "image": "events:2" } } } }));
    stage.world.sweep(&stage.graph).await;
    stage.world.pass(&stage.environment, &stage.graph, 1).await;
    // The next pass reads it where the service is again.
    stage.world.pass(&stage.environment, &stage.graph, 0).await;
    stage.patch(json!({ "spec": { "services": { "event-service": {
        "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/eventchain-event-service:1.4.2"
    } } } }));
    let done = stage.world.converge(&stage.environment, &stage.graph).await;
    let operations: Vec<&str> = done.iter().map(|done| done.step.operation.as_ref()).collect();
    assert_eq!(operations, ["DeregisterTaskDefinition"]);
    let second = stage.ecs("DescribeTaskDefinition", json!({ "taskDefinition": format!("{FAMILY}:2") })).await;
    assert_eq!(second["taskDefinition"]["status"], "INACTIVE");
}

#[tokio::test]
async fn a_variable_taken_out_of_the_document_goes_from_the_service() {
    let mut stage = Stage::converged().await;
    stage.patch(json!({ "spec": { "services": { "event-service": { "environment": { "A": "1", "B": "2" } } } } }));
    stage.world.converge(&stage.environment, &stage.graph).await;
    stage.patch(json!({ "spec": { "services": { "event-service": { "environment": { "B": null } } } } }));
    stage.world.converge(&stage.environment, &stage.graph).await;
    assert_eq!(stage.live().await["containerDefinitions"][0]["environment"], json!([{ "name": "A", "value": "1" }]));
}

#[tokio::test]
async fn the_content_of_a_revision_is_read_once() {
    let mut stage = Stage::converged().await;
    stage.world.sweep(&stage.graph).await;
    let reads =
        |stage: &Stage| stage.world.sim.calls().log().filter(|c| c.operation == "DescribeTaskDefinition").count();
    let before = reads(&stage);
    for _ in 0..3 {
        stage.world.sweep(&stage.graph).await;
    }
    assert_eq!(reads(&stage), before);
}

#[tokio::test]
async fn a_revision_deregistered_by_somebody_is_noticed_in_time() {
    let mut stage = Stage::converged().await;
    let arn = stage.live().await["taskDefinitionArn"].clone();
    stage.ecs("DeregisterTaskDefinition", json!({ "taskDefinition": arn })).await;
    for _ in 0..4 {
        stage.world.sim.clock().advance(std::time::Duration::from_secs(601));
        stage.world.sweep(&stage.graph).await;
    }
    let plans = stage.world.plan(&stage.environment, &stage.graph);
    let plan = plans.iter().find(|planned| planned.key == node()).expect("it is planned");
    assert!(plan.plan.notes.iter().any(|note| note.reason == "TaskDefinitionInactive"), "{}", plan.plan);
}

#[tokio::test]
async fn without_a_service_an_unknown_family_is_absent_only_to_a_direct_read() {
    let mut world = World::new().await;
    let environment = fixtures::environment(fixtures::document(&world.load_balancer));
    let graph = world.graph_of(&environment, "EcsTaskDefinition");
    world.sweep(&graph).await;
    assert!(world.known(&node()).is_unknown());
    assert!(matches!(world.read(&graph, &node()).await, Observation::Absent));
}
