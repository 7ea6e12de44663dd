//! The suite every kind passes, and what is this kind's own.

use engine::Kind;
use jiff::{Timestamp, ToSpan};
use model::Risk;

use super::{Desired, LogGroup, Observed};
use crate::testing::context;

testkit::kind_suite!(
    LogGroup,
    json!({ "spec": { "serviceDefaults": { "logs": { "retentionDays": 60 } } } }),
    json!({ "spec": { "services": { "event-service": { "logs": { "retentionDays": 14 } } } } }),
);

fn observed(retention_days: Option<u32>, age_days: i64) -> Observed {
    let now: Timestamp = crate::testing::now();
    Observed {
        arn: "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/eventchain-event-service".to_owned(),
        retention_days,
        created_at: Some(now.checked_sub((24 * age_days).hours()).unwrap()),
        empty: false,
        tags: None,
    }
}

fn risk(desired: u32, live: Option<u32>, age_days: i64) -> Option<Risk> {
    let desired = Desired { name: "x".to_owned(), retention_days: Some(desired), tags: model::Tags::default() };
    LogGroup::plan_present(&context(), &desired, &observed(live, age_days)).risk()
}

#[test]
fn a_longer_retention_is_safe() {
    assert_eq!(risk(60, Some(30), 400), Some(Risk::Safe));
}

#[test]
fn a_shorter_retention_destroys_what_is_older() {
    assert_eq!(risk(30, Some(60), 400), Some(Risk::Destructive));
    assert_eq!(risk(30, None, 400), Some(Risk::Destructive), "without retention events are kept for ever");
}

#[test]
fn a_shorter_retention_of_a_young_group_destroys_nothing() {
    assert_eq!(risk(30, Some(60), 10), Some(Risk::Safe));
    assert_eq!(risk(30, Some(60), 16), Some(Risk::Destructive), "events may be back-dated by 14 days");
}

#[test]
fn a_retention_that_is_not_declared_is_left_alone() {
    let desired = Desired { name: "x".to_owned(), retention_days: None, tags: model::Tags::default() };
    assert!(LogGroup::plan_present(&context(), &desired, &observed(Some(60), 400)).is_in_sync());
}

#[tokio::test]
async fn one_group_whose_tags_or_state_cannot_be_read_hides_no_other() {
    use simaws::{Effect, Fault};
    use testkit::{fixtures, world::World};
    let mut world = World::new().await;
    let environment = fixtures::environment(fixtures::document(&world.load_balancer));
    let graph = world.graph_of(&environment, "LogGroup");
    let groups = graph.nodes().to_vec();
    assert!(groups.len() > 1, "one alone hides nothing");
    for node in &groups {
        // By hand, without tags: the sweep of tags does not show them.
        let body = serde_json::json!({ "logGroupName": &*node.key.identity });
        assert_eq!(simaws::testing::json(&world.sim, "logs", "CreateLogGroup", body).await.status, 200);
    }
    let denied = || Effect::Error { status: 400, code: "AccessDeniedException".to_owned(), message: String::new() };
    world.sim.faults().add(Fault::new(denied()).on("logs", "ListTagsForResource").times(1));
    world.sweep(&graph).await;
    let tags = |world: &World| -> Vec<bool> {
        let tags = |node: &engine::Node| Some(world.known(&node.key).present()?.to_json()["tags"].is_object());
        groups.iter().map(|node| tags(node).unwrap_or(false)).collect()
    };
    assert_eq!(tags(&world).iter().filter(|known| !**known).count(), 1, "only its own tags are not known");
    assert!(groups.iter().all(|node| world.known(&node.key).present().is_some()));
    world.sim.faults().add(Fault::new(denied()).on("logs", "DescribeLogGroups").times(1));
    // So few are read one by one.
    let two = engine::Graph::new(groups[..2].to_vec()).expect("no circle");
    world.sweep(&two).await;
    assert_eq!(groups[..2].iter().filter(|node| world.known(&node.key).is_unknown()).count(), 1);
}
