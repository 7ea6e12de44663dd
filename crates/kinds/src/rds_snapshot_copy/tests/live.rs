//! Days of a database whose snapshots are copied to another region of the simulated AWS.

use engine::Graph;
use jiff::Timestamp;
use model::Environment;
use serde_json::json;
use simaws::testing::Caller;
use simaws::{Effect, Fault};
use testkit::fixtures::{COPY_REGION, document, environment, patched};
use testkit::world::World;

struct Days {
    world: World,
    environment: Environment,
    graph: Graph,
}

impl Days {
    /// A database that was created on Sunday 2026-03-01 at noon, with snapshots daily at 02:00, three kept at home and
    /// two in the other region.
    async fn begin() -> Self {
        let mut world = World::new().await;
        let copy = json!([{ "region": COPY_REGION, "kmsKeyId": "alias/aws/rds", "keep": 2 }]);
        let keep = json!({ "spec": { "database": { "snapshots": { "keep": 3, "copyTo": copy } } } });
        let environment = environment(patched(document(&world.load_balancer), &keep));
        let graph = world.graph_of(&environment, "RdsSnapshotCopy");
        world.converge(&environment, &graph).await;
        Self { world, environment, graph }
    }

    async fn at(&mut self, time: &str) {
        let time: Timestamp = time.parse().expect("a timestamp");
        self.world.sim.clock().set(time);
        self.world.converge(&self.environment, &self.graph).await;
    }

    async fn snapshots(&self, region: &str) -> Vec<String> {
        let caller = Caller { region: region.to_owned(), ..Caller::default() };
        let manual = [("SnapshotType", "manual")];
        let reply = caller.query(&self.world.sim, "rds", "DescribeDBSnapshots", &manual).await.expect("no fault");
        let names = reply.xml().split("<DBSnapshotIdentifier>").skip(1);
        names.map(|rest| rest.split('<').next().unwrap_or("").rsplit('-').next().unwrap_or("").to_owned()).collect()
    }

    fn copied(&self) -> u64 {
        self.world.sim.calls().count("rds", "CopyDBSnapshot")
    }
}

#[tokio::test]
async fn each_snapshot_is_copied_and_each_region_keeps_its_own_number() {
    let mut days = Days::begin().await;
    for day in ["2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"] {
        days.at(&format!("{day}T02:00:00Z")).await;
    }
    assert_eq!(days.snapshots("us-east-1").await, ["20260303", "20260304", "20260305"]);
    assert_eq!(days.snapshots(COPY_REGION).await, ["20260304", "20260305"]);
    assert_eq!(days.copied(), 4);
    days.at("2026-03-05T12:00:00Z").await;
    assert_eq!(days.copied(), 4, "a snapshot is copied once");
}

#[tokio::test]
async fn a_copy_that_fails_is_made_again() {
    let mut days = Days::begin().await;
    days.world.sim.faults().add(Fault::new(Effect::FailsLater).on("rds", "CopyDBSnapshot").times(1));
    days.at("2026-03-02T02:00:00Z").await;
    assert_eq!(days.copied(), 2);
    assert_eq!(days.snapshots(COPY_REGION).await, ["20260302"]);
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_copy() {
    let mut days = Days::begin().await;
    days.world.sim.faults().add(Fault::new(Effect::LostResponse).on("rds", "CopyDBSnapshot").times(1));
    days.at("2026-03-02T02:00:00Z").await;
    assert_eq!((days.copied(), days.snapshots(COPY_REGION).await.len()), (1, 1));
}

#[tokio::test]
async fn a_region_that_takes_no_more_copies_now_is_asked_again() {
    let mut days = Days::begin().await;
    let full = Effect::Error {
        code: "SnapshotQuotaExceeded".to_owned(),
        status: 400,
        message: "Cannot copy more than 20 snapshots across regions".to_owned(),
    };
    days.world.sim.faults().add(Fault::new(full).on("rds", "CopyDBSnapshot").times(3));
    days.at("2026-03-02T02:00:00Z").await;
    assert_eq!(days.snapshots(COPY_REGION).await, ["20260302"]);
}
