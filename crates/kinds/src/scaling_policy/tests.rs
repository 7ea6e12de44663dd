//! The suite every kind passes, and what is this kind's own.

use engine::Kind;
use model::Risk;

use super::{Desired, Metric, Observed, ScalingPolicy};
use crate::testing::{context, key};

testkit::kind_suite!(
    ScalingPolicy,
    json!({ "spec": { "services": { "api-gateway": { "autoscaling": { "cpuTargetPercent": 60 } } } } }),
    json!({ "spec": { "services": { "api-gateway": { "autoscaling": { "scaleInCooldown": "600s" } } } } }),
);

fn desired() -> Desired {
    Desired {
        cpu_target_percent: 70.0,
        scale_out_cooldown_s: Some(300),
        scale_in_cooldown_s: None,
        target: key("ScalableTarget", "service/eventchain-cluster/eventchain-api-gateway"),
    }
}

fn observed() -> Observed {
    Observed {
        arn: "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1:resource/ecs/x:policyName/cpu70".to_owned(),
        name: "cpu70".to_owned(),
        metric: Metric::AverageCpu,
        target_value: 70.0,
        scale_out_cooldown_s: 300,
        scale_in_cooldown_s: 300,
        scale_in_disabled: false,
    }
}

#[test]
fn a_cooldown_that_is_not_declared_is_left_alone() {
    let observed = Observed { scale_in_cooldown_s: 17, ..observed() };
    assert!(ScalingPolicy::plan_present(&context(), &desired(), &observed).is_in_sync());
}

#[test]
fn target_cooldown_and_metric_are_enforced_under_the_name_that_the_policy_has() {
    for observed in [
        Observed { target_value: 50.0, ..observed() },
        Observed { scale_out_cooldown_s: 60, ..observed() },
        Observed { metric: Metric::Other("ECSServiceAverageMemoryUtilization".to_owned()), ..observed() },
    ] {
        let plan = ScalingPolicy::plan_present(&context(), &desired(), &observed);
        assert_eq!(plan.risk(), Some(Risk::Safe));
        assert_eq!((plan.steps.len(), plan.steps[0].changes.len()), (1, 1), "{plan}");
        assert_eq!(plan.steps[0].body["name"], "cpu70");
    }
}

#[test]
fn a_policy_of_another_type_is_not_touched() {
    let observed = Observed { metric: Metric::NotTracking("StepScaling".to_owned()), ..observed() };
    let plan = ScalingPolicy::plan_present(&context(), &desired(), &observed);
    assert_eq!((plan.steps.len(), plan.waits[0].reason.as_ref()), (0, "PolicyOfAnotherType"));
}

#[test]
fn a_policy_that_scales_out_only_is_reported_and_left_alone() {
    let observed = Observed { scale_in_disabled: true, ..observed() };
    let plan = ScalingPolicy::plan_present(&context(), &desired(), &observed);
    assert!(plan.is_in_sync());
    assert_eq!(plan.notes[0].reason, "ScaleInDisabled");
}

#[tokio::test]
async fn a_policy_of_a_target_that_is_not_ours_is_never_deleted() {
    use testkit::{fixtures, world::World};
    let mut world = World::new().await;
    let environment = fixtures::environment(fixtures::document(&world.load_balancer));
    let graph = world.graph_of(&environment, "ScalingPolicy");
    world.converge(&environment, &graph).await;
    let node =
        |kind: &str| graph.nodes().iter().find(|node| node.key.kind.as_str() == kind).expect("declared").key.clone();
    let (policy, target) = (node("ScalingPolicy"), node("ScalableTarget"));
    assert_eq!(ScalingPolicy::parent_of(&policy), Some(target.clone()));
    assert_eq!(world.plan_removal(&environment, &graph, &policy).risk(), Some(Risk::Destructive));
    let shown = world.known(&target).present().expect("it is there").to_json();
    for (tag, reason) in [("staging", "NotOurs"), ("", "NotOurs")] {
        let tags = if tag.is_empty() {
            let keys = ["eventchain.io/environment", "eventchain.io/managed-by"];
            serde_json::json!({ "ResourceARN": shown["arn"], "TagKeys": keys })
        } else {
            serde_json::json!({ "ResourceARN": shown["arn"], "Tags": { "eventchain.io/environment": tag } })
        };
        let operation = if tag.is_empty() { "UntagResource" } else { "TagResource" };
        let reply = simaws::testing::json(&world.sim, "application-autoscaling", operation, tags).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        world.read(&graph, &target).await;
        let plan = world.plan_removal(&environment, &graph, &policy);
        assert_eq!((plan.steps.len(), plan.waits[0].reason.as_ref()), (0, reason), "{plan}");
    }
    // Nobody has looked at the target since.
    world.crash();
    world.read(&graph, &policy).await;
    assert!(world.known(&target).is_unknown());
    let plan = world.plan_removal(&environment, &graph, &policy);
    assert_eq!((plan.steps.len(), plan.waits[0].reason.as_ref()), (0, "TagsUnknown"), "{plan}");
}
