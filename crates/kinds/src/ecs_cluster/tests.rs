//! The suite every kind passes, and what is this kind's own.

use engine::{Health, Kind};
use model::{Risk, Tags};

use super::{Desired, EcsCluster, Insights, Observed};
use crate::testing::context;

testkit::kind_suite!(EcsCluster, json!({ "spec": { "cluster": { "containerInsights": false } } }));

fn desired(container_insights: Option<bool>) -> Desired {
    Desired { name: "eventchain-cluster".to_owned(), container_insights, tags: Tags::default() }
}

fn observed(status: &str, container_insights: Insights) -> Observed {
    Observed {
        arn: "arn:aws:ecs:us-east-1:123456789012:cluster/eventchain-cluster".to_owned(),
        status: status.to_owned(),
        container_insights,
        tags: Tags::default(),
    }
}

#[test]
fn the_setting_is_left_alone_when_it_is_not_declared() {
    for live in [Insights::Disabled, Insights::Enabled, Insights::Enhanced] {
        assert!(EcsCluster::plan_present(&context(), &desired(None), &observed("ACTIVE", live)).is_in_sync());
    }
}

#[test]
fn enhanced_insights_count_as_switched_on() {
    let plan = |on, live| EcsCluster::plan_present(&context(), &desired(Some(on)), &observed("ACTIVE", live));
    assert!(plan(true, Insights::Enhanced).is_in_sync());
    assert!(plan(false, Insights::Disabled).is_in_sync());
    assert_eq!(plan(false, Insights::Enhanced).risk(), Some(Risk::Safe));
    assert_eq!(plan(true, Insights::Disabled).risk(), Some(Risk::Safe));
}

#[test]
fn a_cluster_that_is_not_active_is_waited_for() {
    let observed = observed("PROVISIONING", Insights::Disabled);
    let plan = EcsCluster::plan_present(&context(), &desired(Some(true)), &observed);
    assert_eq!((plan.steps.len(), plan.waits[0].reason.as_ref()), (0, "ClusterNotActive"));
    assert!(matches!(EcsCluster::health(&context(), &desired(None), &observed), Health::Progressing { .. }));
    assert_eq!(EcsCluster::output(&observed, "arn"), None, "nothing is made in it before");
}

#[test]
fn a_cluster_given_as_existing_is_only_watched() {
    let document = testkit::fixtures::patched(
        testkit::fixtures::document("arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/1"),
        &serde_json::json!({ "spec": { "cluster": { "name": null, "existing": "shared", "containerInsights": null } } }),
    );
    let environment = testkit::fixtures::environment(document);
    let graph = engine::expand(&crate::registry(), &environment, "test").unwrap();
    let node = graph.get(&crate::testing::key("EcsCluster", "shared")).unwrap();
    assert!(node.watch_only && node.existing);
    assert!(graph.claims().all(|node| node.key.kind.as_str() != "EcsCluster"));
}

#[test]
fn a_cluster_that_is_not_empty_yet_is_waited_for() {
    use model::{Class, Effect};
    for code in ["ClusterContainsServicesException", "ClusterContainsTasksException", "UpdateInProgressException"] {
        assert_eq!(super::errors::classify(code), Some((Class::NotYet, Effect::NotApplied)), "{code}");
    }
    assert_eq!(super::errors::classify("ClusterNotFoundException"), Some((Class::NotFound, Effect::NotApplied)));
    assert_eq!(super::errors::classify("ServerException"), None, "all services share it");
}
