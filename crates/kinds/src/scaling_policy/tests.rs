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
