//! The suite every kind passes, and what is this kind's own.

use engine::{Health, Kind, PlanContext};
use jiff::Timestamp;
use model::schedule::CronSchedule;
use model::{ResourceKey, ResourcePlan, Risk, TAG_ENVIRONMENT, TAG_MANAGED_BY, Tags};
use serde_json::json;

use super::{Desired, Observed, RdsSnapshot, Snapshot};
use crate::testing::{Known, key, now};

// No slot falls into the minutes that the suite looks on: what is taken and copied is in `live`.
testkit::kind_suite!(RdsSnapshot);

fn instance() -> ResourceKey {
    key("RdsInstance", "db1")
}

fn copy() -> ResourceKey {
    key("RdsSnapshotCopy", "db1")
}

fn tags() -> Tags {
    [(TAG_ENVIRONMENT, "prod"), (TAG_MANAGED_BY, "test")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// Daily at 02:00 UTC; the context's now is 2026-03-01 at noon.
fn desired() -> Desired {
    Desired {
        instance: "db1".to_owned(),
        instance_key: instance(),
        prefix: "p".to_owned(),
        schedule: CronSchedule::parse("0 2 * * *", "UTC").unwrap(),
        keep: 2,
        max_age_seconds: Some(26 * 3600),
        copies: Vec::new(),
        tags: tags(),
    }
}

fn snapshot(id: &str, status: &str) -> Snapshot {
    Snapshot {
        id: id.to_owned(),
        arn: format!("arn:aws:rds:us-east-1:123456789012:snapshot:{id}"),
        status: status.to_owned(),
        created_at: (status == "available").then(|| "2026-03-01T02:01:00Z".parse().unwrap()),
        percent: Some(40),
        encrypted: true,
        tags: tags(),
    }
}

fn observed(snapshots: &[(&str, &str)]) -> Observed {
    Observed { snapshots: snapshots.iter().map(|(id, status)| snapshot(id, status)).collect() }
}

fn known() -> Known {
    Known::new().with(&instance(), "status", "available").with(&instance(), "createdAt", "2026-02-01T00:00:00Z")
}

fn plan_in(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
    RdsSnapshot::plan_present(context, desired, observed)
}

fn plan(desired: &Desired, observed: &Observed) -> ResourcePlan {
    plan_in(&known().context(), desired, observed)
}

/// Operation and name of each step.
fn steps(plan: &ResourcePlan) -> Vec<(&str, &str)> {
    assert!(plan.steps.iter().all(|step| step.risk == Risk::Safe), "{plan}");
    plan.steps.iter().map(|step| (&*step.operation, step.body["id"].as_str().unwrap())).collect()
}

fn reasons(plan: &ResourcePlan) -> Vec<&str> {
    plan.waits.iter().map(|wait| &*wait.reason).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_name_is_the_utc_date_of_the_slot_with_its_time_when_slots_fall_more_than_once_a_day() {
    let daily = desired();
    assert_eq!(daily.id_of(at("2026-03-01T02:00:00Z")), "p-20260301");
    let often = Desired { schedule: CronSchedule::parse("30 */6 * * *", "UTC").unwrap(), ..desired() };
    assert_eq!(often.id_of(at("2026-03-01T06:30:00Z")), "p-20260301-0630");
    assert_eq!(often.id_of(at("2026-03-01T18:30:00Z")), "p-20260301-1830");
    let weekly = Desired { schedule: CronSchedule::parse("0 2 * * SUN", "UTC").unwrap(), ..desired() };
    assert_eq!(weekly.id_of(at("2026-03-01T02:00:00Z")), "p-20260301");
}

#[test]
fn the_last_slot_is_taken_once() {
    let plan_of = |snapshots: &[(&str, &str)]| plan(&desired(), &observed(snapshots));
    assert_eq!(steps(&plan_of(&[("p-20260228", "available")])), [("CreateDBSnapshot", "p-20260301")]);
    assert_eq!(plan_of(&[("p-20260301", "available")]), ResourcePlan::in_sync());
    let running = plan_of(&[("p-20260301", "creating")]);
    assert!(running.steps.is_empty(), "{running}");
    assert_eq!(reasons(&running), ["SnapshotInProgress"]);
}

#[test]
fn nothing_but_the_last_slot_is_made_up_for() {
    let late = plan(&desired(), &observed(&[("p-20260220", "available")]));
    assert_eq!(steps(&late), [("CreateDBSnapshot", "p-20260301")]);
}

#[test]
fn a_slot_from_before_the_instance_is_not_due() {
    let young = |created: &str| {
        let known = Known::new().with(&instance(), "status", "available").with(&instance(), "createdAt", created);
        plan_in(&known.context(), &desired(), &observed(&[]))
    };
    assert_eq!(young("2026-03-01T02:00:01Z"), ResourcePlan::in_sync());
    assert_eq!(steps(&young("2026-03-01T02:00:00Z")), [("CreateDBSnapshot", "p-20260301")]);
    let creating = Known::new().with(&instance(), "status", "creating");
    assert_eq!(plan_in(&creating.context(), &desired(), &observed(&[])), ResourcePlan::in_sync());
}

#[test]
fn a_slot_from_before_what_has_been_taken_since_is_not_due() {
    // The clock was set back.
    assert_eq!(plan(&desired(), &observed(&[("p-20260302", "available")])), ResourcePlan::in_sync());
}

#[test]
fn a_busy_or_unknown_instance_is_waited_for() {
    let created = Known::new().with(&instance(), "createdAt", "2026-02-01T00:00:00Z");
    for (known, reason) in [
        (created.clone().with(&instance(), "status", "backing-up"), "InstanceBusy"),
        (created.clone().with(&instance(), "status", "modifying"), "InstanceBusy"),
        (created.unknown(&instance(), "status"), "DependencyNotReady"),
    ] {
        let plan = plan_in(&known.context(), &desired(), &observed(&[]));
        assert!(plan.steps.is_empty(), "{plan}");
        assert_eq!(reasons(&plan), [reason]);
    }
}

#[test]
fn an_instance_whose_storage_is_being_optimised_takes_snapshots() {
    let known = Known::new().with(&instance(), "createdAt", "2026-02-01T00:00:00Z").with(
        &instance(),
        "status",
        "storage-optimization",
    );
    assert_eq!(steps(&plan_in(&known.context(), &desired(), &observed(&[]))), [("CreateDBSnapshot", "p-20260301")]);
}

#[test]
fn one_is_in_flight_at_most_whoever_began_it() {
    let mut by_hand = observed(&[("before-the-upgrade", "creating")]);
    by_hand.snapshots[0].tags.clear();
    let plan = plan(&desired(), &by_hand);
    assert!(plan.steps.is_empty(), "{plan}");
    assert_eq!(reasons(&plan), ["SnapshotInProgress"]);
}

#[test]
fn a_failed_one_is_deleted_and_then_taken_again() {
    let failed = plan(&desired(), &observed(&[("p-20260301", "failed")]));
    assert_eq!(steps(&failed), [("DeleteDBSnapshot", "p-20260301")]);
    let gone = plan(&desired(), &observed(&[]));
    assert_eq!(steps(&gone), [("CreateDBSnapshot", "p-20260301")]);
    let health = RdsSnapshot::health(&known().context(), &desired(), &observed(&[("p-20260301", "failed")]));
    assert!(matches!(health, Health::Stalled { reason: "SnapshotFailed", .. }));
}

#[test]
fn the_name_taken_by_somebody_else_is_noted_and_not_touched() {
    for status in ["available", "failed"] {
        let mut theirs = observed(&[("p-20260301", status)]);
        theirs.snapshots[0].tags.clear();
        let plan = plan(&desired(), &theirs);
        assert!(plan.steps.is_empty(), "{plan}");
        assert_eq!(plan.notes[0].reason, "SnapshotNotOurs");
    }
}

const FOUR: [(&str, &str); 4] = [
    ("p-20260226", "available"),
    ("p-20260227", "available"),
    ("p-20260228", "available"),
    ("p-20260301", "available"),
];

#[test]
fn the_oldest_of_ours_beyond_keep_are_pruned() {
    let plan = plan(&desired(), &observed(&FOUR));
    assert_eq!(steps(&plan), [("DeleteDBSnapshot", "p-20260226"), ("DeleteDBSnapshot", "p-20260227")]);
}

#[test]
fn only_complete_ones_count_and_keep_is_never_undercut() {
    let running = [FOUR[0], FOUR[1], FOUR[2], ("p-20260301", "creating")];
    assert_eq!(steps(&plan(&desired(), &observed(&running))), [("DeleteDBSnapshot", "p-20260226")]);
    let failed = [FOUR[0], FOUR[1], ("p-20260228", "failed"), ("p-20260301", "creating")];
    assert_eq!(steps(&plan(&desired(), &observed(&failed))), [("DeleteDBSnapshot", "p-20260228")]);
}

#[test]
fn the_newest_complete_one_stays_even_when_none_is_to_be_kept() {
    let none = Desired { keep: 0, ..desired() };
    let deleted: Vec<String> = steps(&plan(&none, &observed(&FOUR))).into_iter().map(|(_, id)| id.to_owned()).collect();
    assert_eq!(deleted, ["p-20260226", "p-20260227", "p-20260228"]);
}

#[test]
fn what_is_not_ours_is_never_pruned() {
    let mut all = observed(&FOUR);
    // Taken by hand, with the instance's tags copied onto it.
    all.snapshots.insert(0, snapshot("before-upgrade-20250101", "available"));
    all.snapshots.insert(0, snapshot("db1-final-202501010000", "available"));
    all.snapshots.insert(0, snapshot("p-2025-by-hand", "available"));
    // Named as ours, and of another environment, or of none.
    let mut other = snapshot("p-20250101", "available");
    other.tags.insert(TAG_ENVIRONMENT.to_owned(), "staging".to_owned());
    all.snapshots.insert(0, other);
    let mut untagged = snapshot("p-20250102", "available");
    untagged.tags.remove(TAG_MANAGED_BY);
    all.snapshots.insert(0, untagged);
    let plan = plan(&desired(), &all);
    assert_eq!(steps(&plan), [("DeleteDBSnapshot", "p-20260226"), ("DeleteDBSnapshot", "p-20260227")]);
}

#[test]
fn the_source_of_a_running_copy_is_not_pruned() {
    let desired = Desired { copies: vec![copy()], ..desired() };
    let copying = known().with(&copy(), "copying", json!(["p-20260226"]));
    let plan = plan_in(&copying.context(), &desired, &observed(&FOUR));
    assert_eq!(steps(&plan), [("DeleteDBSnapshot", "p-20260227")]);
    let unknown = plan_in(&known().unknown(&copy(), "copying").context(), &desired, &observed(&FOUR));
    assert!(unknown.steps.is_empty(), "{unknown}");
    assert_eq!(reasons(&unknown), ["CopiesUnknown"]);
}

#[test]
fn backups_are_healthy_while_the_newest_is_young_enough() {
    let backup = |desired: &Desired, observed: &Observed, known: Known| {
        RdsSnapshot::backup(&known.context(), desired, observed).unwrap()
    };
    let fresh = backup(&desired(), &observed(&[("p-20260301", "available")]), known());
    assert_eq!((fresh.newest, fresh.healthy), (Some(at("2026-03-01T02:01:00Z")), true));
    let mut old = observed(&[("p-20260227", "available")]);
    old.snapshots[0].created_at = Some(at("2026-02-27T02:01:00Z"));
    assert!(!backup(&desired(), &old, known()).healthy);
    assert!(!backup(&desired(), &observed(&[("p-20260301", "creating")]), known()).healthy);
    let young = Known::new().with(&instance(), "createdAt", "2026-03-01T10:00:00Z");
    assert!(backup(&desired(), &observed(&[]), young).healthy, "it cannot have one yet");
    // The next slot comes before the newest is 26 h old; without another slot its age is what changes.
    assert_eq!(fresh.next, Some(at("2026-03-02T02:00:00Z")));
    let rarely = Desired {
        schedule: CronSchedule::parse("0 2 * * MON", "UTC").unwrap(),
        max_age_seconds: Some(12 * 3600),
        ..desired()
    };
    let next = backup(&rarely, &observed(&[("p-20260301", "available")]), known()).next;
    assert_eq!(next, Some(at("2026-03-01T14:01:01Z")));
    let ageless = Desired { max_age_seconds: None, ..desired() };
    assert!(backup(&ageless, &old, known()).healthy);
}

#[test]
fn removal_deletes_no_backup() {
    assert_eq!(RdsSnapshot::plan_delete(&known().context(), &observed(&FOUR)), ResourcePlan::in_sync());
}

#[test]
fn now_is_after_the_slot() {
    // What the cases above take for granted.
    assert_eq!(desired().schedule.last_at(now()), Some(at("2026-03-01T02:00:00Z")));
}

mod live;

mod aws {
    //! What the provider does with AWS.

    use std::sync::Arc;
    use std::time::Duration;

    use model::{AwsAccountId, Observation, Region};
    use simaws::{Clock, Sim};

    use crate::provider::{ObserveKey, Provider as _, Scope};
    use crate::rds_snapshot::provider::Provider;

    fn scope() -> Scope {
        Scope {
            account: AwsAccountId::parse("123456789012").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            now: "2026-03-01T12:00:00Z".parse().unwrap(),
        }
    }

    fn key(id: &str) -> ObserveKey {
        ObserveKey { identity: Arc::from(id), at: None }
    }

    async fn call(sim: &Sim, operation: &str, parameters: &[(&str, &str)]) {
        let reply = simaws::testing::query(sim, "rds", operation, parameters).await;
        assert_eq!(reply.status, 200, "{}", reply.xml());
    }

    #[tokio::test]
    async fn manual_snapshots_of_the_keys_are_read_in_one_call_and_automated_ones_left_out() {
        let sim = Sim::builder().clock(Clock::manual("2026-03-01T12:00:00Z".parse().unwrap())).build();
        for id in ["db1", "db2", "db3"] {
            let parameters = [
                ("DBInstanceIdentifier", id),
                ("DBInstanceClass", "db.t3.medium"),
                ("Engine", "postgres"),
                ("MasterUsername", "admin_user"),
                ("ManageMasterUserPassword", "true"),
                ("AllocatedStorage", "100"),
            ];
            call(&sim, "CreateDBInstance", &parameters).await;
        }
        sim.clock().advance(Duration::from_secs(36 * 3600));
        for id in ["db1", "db3"] {
            let name = format!("{id}-s");
            call(&sim, "CreateDBSnapshot", &[("DBInstanceIdentifier", id), ("DBSnapshotIdentifier", &name)]).await;
        }
        let provider = Provider::new(testkit::world::aws_on(&sim));
        sim.reset_calls();
        let seen = provider.observe(&scope(), &[key("db1"), key("db2")]).await.unwrap();
        assert_eq!(sim.calls().count("rds", "DescribeDBSnapshots"), 1);
        let ids: Vec<&str> = seen["db1"].present().unwrap().snapshots.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(ids, ["db1-s"]);
        assert!(seen["db2"].is_unknown(), "a listing proves nothing");
        let none = provider.read(&scope(), &key("db2")).await.unwrap();
        assert!(matches!(&none, Observation::Present(set) if set.snapshots.is_empty()));
    }
}
