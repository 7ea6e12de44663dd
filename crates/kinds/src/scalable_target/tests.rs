//! The suite every kind passes, and what is this kind's own.

testkit::kind_suite!(
    ScalableTarget,
    json!({ "spec": { "services": { "api-gateway": { "autoscaling": { "max": 12 } } } } }),
    json!({ "spec": { "services": { "event-service": { "autoscaling": { "min": 3, "max": 6 } } } } }),
);

use engine::Kind;
use model::{ResourceKey, ResourcePlan, Risk, Tags};
use serde_json::json as value;

use super::{Desired, Observed, ScalableTarget, Suspended};
use crate::testing::{Known, key};

fn service() -> ResourceKey {
    key("EcsService", "eventchain-cluster/eventchain-api-gateway")
}

fn desired(min: u32, max: u32) -> Desired {
    Desired { min, max, service: service(), tags: Tags::default() }
}

fn observed(min: u32, max: u32) -> Observed {
    let arn = "arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/0ec51a2b";
    Observed { arn: Some(arn.to_owned()), min, max, suspended: Suspended::default(), tags: Some(Tags::default()) }
}

fn known(count: u32) -> Known {
    Known::new().with(&service(), "arn", "arn").with(&service(), "desiredCount", count)
}

fn plan(count: u32, desired: &Desired, observed: &Observed) -> ResourcePlan {
    ScalableTarget::plan_present(&known(count).context(), desired, observed)
}

#[test]
fn equal_bounds_are_in_sync() {
    assert_eq!(plan(14, &desired(2, 10), &observed(2, 10)), ResourcePlan::in_sync());
}

#[test]
fn a_range_that_holds_the_count_moves_nothing() {
    let plan = plan(7, &desired(2, 10), &observed(1, 20));
    let fields: Vec<&str> = plan.steps[0].changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!((fields, plan.risk()), (vec!["min", "max"], Some(Risk::Safe)));
}

#[test]
fn a_range_that_moves_the_count_says_so() {
    let plan = plan(14, &desired(2, 10), &observed(2, 20));
    let step = &plan.steps[0];
    assert!(step.reason.contains("moves the count of tasks from 14 to 10"), "{}", step.reason);
    let change = step.changes.iter().find(|change| change.field == "desiredCount").expect("the count is shown");
    assert_eq!((&change.from, &change.to), (&value!(14), &value!(10)));
    assert_eq!(step.risk, Risk::Safe);
}

#[test]
fn a_range_that_stops_all_tasks_is_disruptive() {
    assert_eq!(plan(2, &desired(0, 0), &observed(0, 4)).risk(), Some(Risk::Disruptive));
}

#[test]
fn a_suspended_target_is_reported_and_its_range_moves_nothing() {
    let suspended = Suspended { scale_in: true, ..Suspended::default() };
    let live = Observed { suspended, ..observed(2, 20) };
    let plan = plan(14, &desired(2, 10), &live);
    assert_eq!(plan.notes[0].reason, "AutoscalingSuspended");
    assert!(plan.notes[0].message.contains("scaling in"));
    assert!(plan.steps[0].changes.iter().all(|change| change.field != "desiredCount"), "{plan}");
    assert_eq!(ScalableTarget::output(&live, "bounds"), Some(value!([2, 20, true, false])));
}

#[test]
fn a_range_moves_the_count_in_the_direction_that_is_not_suspended() {
    let suspended = Suspended { scale_out: true, ..Suspended::default() };
    let live = Observed { suspended, ..observed(1, 20) };
    let moves = |count| plan(count, &desired(2, 10), &live).steps[0].changes.iter().any(|c| c.field == "desiredCount");
    assert_eq!((moves(14), moves(1)), (true, false));
}

#[test]
fn a_target_without_an_arn_is_registered_again_as_it_is_before_it_is_tagged() {
    let body = |arn: Option<&str>| {
        let live = Observed { arn: arn.map(str::to_owned), ..observed(2, 20) };
        ScalableTarget::tag_step_body(&live, &Tags::default())
    };
    assert_eq!(body(None), value!({ "action": "registerScalableTarget", "min": 2, "max": 20, "tags": null }));
    assert_eq!(body(Some("arn"))["action"], "tagResource");
}

#[test]
fn scheduled_scaling_that_is_suspended_does_not_turn_the_clamp_off() {
    let suspended = Suspended { scheduled: true, ..Suspended::default() };
    assert_eq!(ScalableTarget::output(&Observed { suspended, ..observed(2, 20) }, "suspended"), Some(value!(false)));
}

#[test]
fn a_target_is_registered_once_its_service_is_there() {
    let absent = |known: Known| ScalableTarget::plan_absent(&known.context(), &desired(2, 10));
    let created = absent(known(1));
    assert_eq!(created.steps[0].body["tags"], value!({}), "tags are given at creation");
    assert!(created.steps[0].reason.contains("from 1 to 2"), "{}", created.steps[0].reason);
    let awaiting = absent(Known::new().changing(&service()));
    assert_eq!(awaiting.steps[0].awaits, Some(service()));
    assert_eq!(absent(Known::new()).waits[0].reason, "DependencyNotReady");
    assert_eq!(absent(Known::new().unknown(&service(), "arn")).waits[0].reason, "DependencyUnknown");
}

#[test]
fn tags_are_not_sent_again_with_a_target_that_exists() {
    assert_eq!(plan(2, &desired(2, 10), &observed(2, 20)).steps[0].body["tags"], value!(null));
}

#[test]
fn every_service_has_a_target_watched_where_autoscaling_is_not_declared() {
    let document =
        testkit::fixtures::document("arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/1");
    let environment = testkit::fixtures::environment(document);
    let graph = engine::expand(&crate::registry(), &environment, "test").unwrap();
    let watched = |short: &str| {
        let identity = format!("service/eventchain-cluster/eventchain-{short}");
        graph.get(&key("ScalableTarget", &identity)).map(|node| node.watch_only)
    };
    assert_eq!(watched("api-gateway"), Some(false));
    assert_eq!(watched("event-service"), Some(true));
}

#[test]
fn error_codes_have_class_and_effect() {
    use model::Class;
    let cases = [
        ("ObjectNotFoundException", Class::NotFound),
        ("ConcurrentUpdateException", Class::NotYet),
        ("LimitExceededException", Class::Quota),
        ("FailedResourceAccessException", Class::Denied),
    ];
    for (code, class) in cases {
        assert_eq!(super::errors::classify(code), Some((class, model::Effect::NotApplied)), "{code}");
    }
    assert_eq!(super::errors::classify("InternalServiceException"), Some((Class::Transient, model::Effect::Unknown)));
}
