//! Days of a database on the simulated AWS: snapshots are taken by schedule, pruned, retaken.

use std::time::Duration;

use engine::Graph;
use jiff::Timestamp;
use model::{Environment, Region};
use serde_json::{Value, json};
use simaws::{Effect, Fault};
use testkit::fixtures::{document, environment, patched};
use testkit::world::{Done, World};

struct Days {
    world: World,
    environment: Environment,
    graph: Graph,
}

impl Days {
    /// A database that was created on Sunday 2026-03-01 at noon, with snapshots daily at 02:00, two to keep.
    async fn begin(patch: Value) -> Self {
        let mut world = World::new().await;
        let two = json!({ "spec": { "database": { "snapshots": { "keep": 2, "copyTo": [] } } } });
        let document = patched(patched(document(&world.load_balancer), &two), &patch);
        let environment = environment(document);
        let graph = world.graph_of(&environment, "RdsSnapshot");
        world.converge(&environment, &graph).await;
        Self { world, environment, graph }
    }

    /// Looks again at a time.
    async fn at(&mut self, time: &str) -> Vec<Done> {
        let time: Timestamp = time.parse().expect("a timestamp");
        self.world.sim.clock().set(time);
        self.world.converge(&self.environment, &self.graph).await
    }

    /// Names of manual snapshots.
    async fn snapshots(&self) -> Vec<String> {
        let manual = [("SnapshotType", "manual")];
        let reply = simaws::testing::query(&self.world.sim, "rds", "DescribeDBSnapshots", &manual).await;
        let names = reply.xml().split("<DBSnapshotIdentifier>").skip(1);
        names.map(|rest| rest.split('<').next().unwrap_or("").to_owned()).collect()
    }

    fn took(&self) -> u64 {
        self.world.sim.calls().count("rds", "CreateDBSnapshot")
    }
}

#[tokio::test]
async fn each_day_has_its_snapshot_and_only_the_last_few_stay() {
    let mut days = Days::begin(json!({})).await;
    assert_eq!(days.snapshots().await, Vec::<String>::new(), "the slot of 02:00 was before the database");
    days.at("2026-03-02T02:05:00Z").await;
    assert_eq!(days.snapshots().await, ["eventchain-prod-snapshot-20260302"]);
    days.at("2026-03-02T14:00:00Z").await;
    assert_eq!(days.took(), 1, "a slot is taken once");
    days.at("2026-03-03T02:00:00Z").await;
    days.at("2026-03-04T02:00:00Z").await;
    let two = ["eventchain-prod-snapshot-20260303", "eventchain-prod-snapshot-20260304"];
    assert_eq!(days.snapshots().await, two);
}

#[tokio::test]
async fn days_that_nobody_looked_on_are_not_made_up_for() {
    let mut days = Days::begin(json!({})).await;
    days.at("2026-03-07T09:00:00Z").await;
    assert_eq!(days.snapshots().await, ["eventchain-prod-snapshot-20260307"]);
}

#[tokio::test]
async fn several_slots_a_day_have_their_times_in_their_names() {
    let often = json!({ "spec": { "database": { "snapshots": { "schedule": "15 */6 * * *", "keep": 9 } } } });
    let mut days = Days::begin(often).await;
    days.at("2026-03-01T18:15:00Z").await;
    days.at("2026-03-02T00:20:00Z").await;
    let names = ["eventchain-prod-snapshot-20260301-1815", "eventchain-prod-snapshot-20260302-0015"];
    assert_eq!(days.snapshots().await, names);
}

#[tokio::test]
async fn a_snapshot_that_fails_is_taken_again_under_its_name() {
    let mut days = Days::begin(json!({})).await;
    days.world.sim.faults().add(Fault::new(Effect::FailsLater).on("rds", "CreateDBSnapshot").times(1));
    days.at("2026-03-02T02:00:00Z").await;
    assert_eq!(days.snapshots().await, ["eventchain-prod-snapshot-20260302"]);
    assert_eq!(days.took(), 2);
    assert_eq!(days.world.sim.calls().count("rds", "DeleteDBSnapshot"), 1);
}

#[tokio::test]
async fn a_lost_answer_takes_no_second_snapshot() {
    let mut days = Days::begin(json!({})).await;
    days.world.sim.faults().add(Fault::new(Effect::LostResponse).on("rds", "CreateDBSnapshot").times(1));
    days.at("2026-03-02T02:00:00Z").await;
    assert_eq!(days.took(), 1);
    assert_eq!(days.snapshots().await.len(), 1);
}

#[tokio::test]
async fn a_listing_that_is_not_complete_takes_no_second_snapshot_and_prunes_nothing_more() {
    let mut days = Days::begin(json!({})).await;
    for day in ["2026-03-02T02:00:00Z", "2026-03-03T02:00:00Z"] {
        days.at(day).await;
    }
    days.world.sim.faults().add(Fault::new(Effect::PartialList).on("rds", "DescribeDBSnapshots").times(1));
    days.at("2026-03-03T12:00:00Z").await;
    assert_eq!(days.took(), 2);
    assert_eq!(days.snapshots().await.len(), 2);
}

#[tokio::test]
async fn a_snapshot_taken_by_hand_stays() {
    let mut days = Days::begin(json!({})).await;
    let by_hand = [("DBInstanceIdentifier", "eventchain-prod-db"), ("DBSnapshotIdentifier", "before-upgrade-20260301")];
    simaws::testing::query(&days.world.sim, "rds", "CreateDBSnapshot", &by_hand).await;
    for day in ["2026-03-02T02:00:00Z", "2026-03-03T02:00:00Z", "2026-03-04T02:00:00Z"] {
        days.at(day).await;
    }
    let names = days.snapshots().await;
    assert_eq!(names.first().map(String::as_str), Some("before-upgrade-20260301"));
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn the_final_snapshot_of_a_deleted_database_stays_with_the_others() {
    let mut days = Days::begin(json!({})).await;
    days.at("2026-03-02T02:00:00Z").await;
    let id = days.environment.spec.database.as_ref().expect("declared").identifier.clone();
    let keys: Vec<_> = days.graph.nodes().iter().map(|node| node.key.clone()).collect();
    let key = keys.into_iter().find(|key| key.kind.as_str() == "RdsInstance").expect("declared");
    assert_eq!((&*key.identity, &key.region), (id.as_str(), &Region::parse("us-east-1").expect("a region")));
    for _ in 0..10 {
        days.world.read(&days.graph, &key).await;
        let plan = days.world.plan_removal(&days.environment, &days.graph, &key);
        if let Some(step) = plan.steps.first() {
            assert!(days.world.act(&days.graph, &key, step).await.ok, "{step}");
        }
        days.world.sim.clock().advance(Duration::from_secs(30));
    }
    assert!(matches!(days.world.read(&days.graph, &key).await, model::Observation::Absent));
    assert_eq!(days.snapshots().await, ["eventchain-prod-db-final-202603011200", "eventchain-prod-snapshot-20260302"]);
}
