//! The suite every kind passes, and what is this kind's own.

use engine::Kind;
use model::{ResourcePlan, Risk, Tags, WaitKind};
use serde_json::Value;

use super::{Action, Desired, HealthCheck, Observed, TargetGroup};
use crate::testing::context;

testkit::kind_suite!(
    TargetGroup,
    json!({ "spec": { "services": { "api-gateway": { "targetGroup": { "healthCheck": { "path": "/ready" } } } } } }),
    json!({ "spec": { "services": { "api-gateway": { "targetGroup": { "healthCheck": {
        "interval": "10s", "timeout": "4s", "healthyThreshold": 3, "unhealthyThreshold": 4, "matcher": "200-299" } } } } } }),
    json!({ "spec": { "services": { "api-gateway": { "targetGroup": { "deregistrationDelay": "30s" } } } } }),
);

fn desired() -> Desired {
    Desired {
        name: "api".to_owned(),
        port: Some(3000),
        vpc: Some("vpc-1".to_owned()),
        health_check: HealthCheck { path: Some("/health".to_owned()), ..HealthCheck::default() },
        deregistration_delay_s: None,
        tags: Tags::default(),
    }
}

fn observed() -> Observed {
    Observed {
        arn: "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/api/1".to_owned(),
        name: "api".to_owned(),
        protocol: Some("HTTP".to_owned()),
        port: Some(3000),
        vpc: Some("vpc-1".to_owned()),
        target_type: Some("ip".to_owned()),
        health_check: HealthCheck {
            path: Some("/health".to_owned()),
            interval_s: Some(30),
            timeout_s: Some(5),
            healthy_threshold: Some(5),
            unhealthy_threshold: Some(2),
            matcher: Some("200".to_owned()),
        },
        load_balancers: Vec::new(),
        deregistration_delay_s: Some(300),
        tags: None,
    }
}

fn plan(desired: &Desired, observed: &Observed) -> ResourcePlan {
    TargetGroup::plan_present(&context(), desired, observed)
}

#[test]
fn only_declared_health_check_fields_are_compared_and_only_those_that_differ_are_sent() {
    assert_eq!(plan(&desired(), &observed()), ResourcePlan::in_sync());
    let mut wanted = desired();
    wanted.health_check.interval_s = Some(10);
    let plan = plan(&wanted, &observed());
    let [step] = &plan.steps[..] else { panic!("{plan}") };
    let action: Action = serde_json::from_value(step.body.clone()).unwrap();
    let health_check = HealthCheck { interval_s: Some(10), ..HealthCheck::default() };
    assert_eq!(action, Action::ModifyTargetGroup { arn: observed().arn, health_check });
    assert_eq!(step.risk, Risk::Safe);
}

#[test]
fn what_is_fixed_at_creation_is_told_and_never_replaced() {
    let mut other = observed();
    other.target_type = Some("instance".to_owned());
    other.vpc = Some("vpc-2".to_owned());
    let stalled = plan(&desired(), &other);
    assert!(stalled.steps.is_empty(), "{stalled}");
    let wait = &stalled.waits[0];
    assert_eq!((wait.kind, &*wait.reason), (WaitKind::Stalled, "ReplacementNeeded"));
    assert_eq!(stalled.notes[0].changes.len(), 2);
    let mut port = observed();
    port.port = Some(80);
    let noted = plan(&desired(), &port);
    assert!(noted.steps.is_empty() && noted.waits.is_empty(), "{noted}");
    assert_eq!(&*noted.notes[0].reason, "FixedAtCreation");
}

#[test]
fn a_declared_delay_that_is_not_known_is_waited_for() {
    let wanted = Desired { deregistration_delay_s: Some(30), ..desired() };
    let unknown = Observed { deregistration_delay_s: None, ..observed() };
    let waiting = plan(&wanted, &unknown);
    assert!(waiting.steps.is_empty(), "{waiting}");
    assert_eq!(&*waiting.waits[0].reason, "AttributesUnknown");
    assert_eq!(plan(&desired(), &unknown), ResourcePlan::in_sync(), "undeclared: nobody asks");
    assert_eq!(plan(&wanted, &observed()).steps.len(), 1);
}

#[test]
fn a_group_is_not_made_without_port_or_vpc() {
    for desired in [Desired { port: None, ..desired() }, Desired { vpc: None, ..desired() }] {
        let plan = TargetGroup::plan_absent(&context(), &desired);
        assert!(plan.steps.is_empty());
        assert_eq!(&*plan.waits[0].reason, "SpecIncomplete");
    }
}

#[test]
fn it_is_attached_once_a_load_balancer_has_it_and_not_deleted_while_it_is() {
    let attached = Observed { load_balancers: vec!["arn:lb".to_owned()], ..observed() };
    assert_eq!(TargetGroup::output(&observed(), "attached"), Some(Value::Bool(false)));
    assert_eq!(TargetGroup::output(&attached, "attached"), Some(Value::Bool(true)));
    assert!(TargetGroup::plan_delete(&context(), &attached).steps.is_empty());
    assert_eq!(TargetGroup::plan_delete(&context(), &observed()).risk(), Some(Risk::Destructive));
}

/// What the provider does with AWS: members, attachment, calls.
mod on_aws {
    use serde_json::json;
    use simaws::testing::query;
    use testkit::fixtures;
    use testkit::world::World;

    const ELB: &str = "elasticloadbalancing";

    #[tokio::test]
    async fn members_that_others_registered_stay() {
        let mut world = World::new().await;
        let document = fixtures::document(&world.load_balancer);
        let environment = fixtures::environment(document.clone());
        let graph = world.graph_of(&environment, "TargetGroup");
        world.converge(&environment, &graph).await;
        let key = graph.nodes()[0].key.clone();
        let arn = world.known(&key).present().expect("made").to_json()["arn"].as_str().expect("an ARN").to_owned();
        let members = [
            ("TargetGroupArn", arn.as_str()),
            ("Targets.member.1.Id", "10.0.0.1"),
            ("Targets.member.2.Id", "10.0.0.2"),
        ];
        assert_eq!(query(&world.sim, ELB, "RegisterTargets", &members).await.status, 200);
        let patch = json!({ "spec": { "services": { "api-gateway": { "targetGroup": {
            "deregistrationDelay": "30s", "healthCheck": { "path": "/other" } } } } } });
        let environment = fixtures::environment(fixtures::patched(document, &patch));
        let graph = world.graph_of(&environment, "TargetGroup");
        assert!(!world.converge(&environment, &graph).await.is_empty());
        let health = query(&world.sim, ELB, "DescribeTargetHealth", &members[..1]).await;
        assert_eq!(health.xml().matches("<Id>").count(), 2, "{}", health.xml());
        let calls = world.sim.calls();
        assert_eq!(
            calls.count(ELB, "DeregisterTargets") + calls.count(ELB, "DescribeTargetHealth"),
            1,
            "the test's own"
        );
    }

    #[tokio::test]
    async fn sweeps_read_attributes_rarely_and_notice_a_foreign_change_within_minutes() {
        let mut world = World::new().await;
        let patch =
            json!({ "spec": { "services": { "api-gateway": { "targetGroup": { "deregistrationDelay": "30s" } } } } });
        let document = fixtures::patched(fixtures::document(&world.load_balancer), &patch);
        let environment = fixtures::environment(document);
        let graph = world.graph_of(&environment, "TargetGroup");
        world.converge(&environment, &graph).await;
        let key = graph.nodes()[0].key.clone();
        let arn = world.known(&key).present().expect("made").to_json()["arn"].as_str().expect("an ARN").to_owned();
        world.sim.reset_calls();
        for _ in 0..10 {
            world.sweep(&graph).await;
        }
        assert_eq!(world.sim.calls().count(ELB, "DescribeTargetGroupAttributes"), 0);
        let foreign = [
            ("TargetGroupArn", arn.as_str()),
            ("Attributes.member.1.Key", "deregistration_delay.timeout_seconds"),
            ("Attributes.member.1.Value", "900"),
        ];
        assert_eq!(query(&world.sim, ELB, "ModifyTargetGroupAttributes", &foreign).await.status, 200);
        world.sim.clock().advance(std::time::Duration::from_secs(601));
        let done = world.converge(&environment, &graph).await;
        assert_eq!(done[0].step.operation, "ModifyTargetGroupAttributes");
    }

    #[tokio::test]
    async fn one_group_that_goes_while_tags_are_read_hides_no_other() {
        use simaws::{Effect, Fault};
        let mut world = World::new().await;
        let patch = json!({ "spec": { "services": { "event-service": { "port": 3001, "targetGroup": { "name": "other-tg" } } } } });
        let environment = fixtures::environment(fixtures::patched(fixtures::document(&world.load_balancer), &patch));
        let graph = world.graph_of(&environment, "TargetGroup");
        for name in ["eventchain-api-tg", "other-tg"] {
            let foreign =
                [("Name", name), ("Protocol", "HTTP"), ("Port", "80"), ("VpcId", "vpc-1"), ("TargetType", "ip")];
            let made = query(&world.sim, ELB, "CreateTargetGroup", &foreign).await;
            assert_eq!(made.status, 200, "{}", made.xml());
        }
        let gone = Effect::Error { status: 400, code: "TargetGroupNotFound".to_owned(), message: String::new() };
        // The batch of both, and then the first by itself.
        world.sim.faults().add(Fault::new(gone).on(ELB, "DescribeTags").times(2));
        world.sweep(&graph).await;
        let groups: Vec<_> = graph.nodes().iter().filter(|node| node.key.kind.as_str() == "TargetGroup").collect();
        let known: Vec<bool> = groups
            .iter()
            .map(|node| world.known(&node.key).present().expect("it is seen").to_json()["tags"].is_object())
            .collect();
        assert_eq!((known.len(), known.iter().filter(|known| **known).count()), (2, 1));
        assert_eq!(world.sim.calls().count(ELB, "DescribeTags"), 3, "the batch, and each by itself");
    }

    #[tokio::test]
    async fn a_diagnosis_tells_which_targets_get_no_traffic_and_why() {
        let mut world = World::new().await;
        let environment = fixtures::environment(fixtures::document(&world.load_balancer));
        let graph = world.graph(&environment);
        world.converge(&environment, &graph).await;
        let key = graph.nodes().iter().find(|node| node.key.kind.as_str() == "TargetGroup").expect("one").key.clone();
        assert_eq!(world.diagnose(&key).await, [], "every target is healthy");
        let there = world.sim.with("123456789012", "us-east-1", |ctx| {
            simaws::hand::elbv2::answer_health_checks(ctx, &key.identity, Some(502))
        });
        assert!(there);
        let found = world.diagnose(&key).await;
        assert_eq!((found.len(), &*found[0].reason), (1, "TargetsUnhealthy"));
        assert_eq!(found[0].severity, model::Severity::Error, "none is left");
        assert_eq!(found[0].message, "2 of 2 targets: unhealthy; 0 healthy");
        assert!(found[0].evidence[0].said.contains("[502]"), "{found:?}");
        assert!(found[0].remedy.as_ref().is_some_and(|remedy| remedy.contains("/health")), "{found:?}");
    }
}
