//! The suite every kind passes, and what is this kind's own.

use engine::{Health, Kind, PlanContext};
use jiff::Timestamp;
use model::{Region, ResourceKey, ResourcePlan, Risk, TAG_ENVIRONMENT, TAG_MANAGED_BY, Tags};
use serde_json::{Value, json};

use super::{Copy, Desired, Observed, RdsSnapshotCopy};
use crate::testing::{Known, key};

// No slot falls into the minutes that the suite looks on: what is taken and copied is in `live`.
testkit::kind_suite!(RdsSnapshotCopy);

fn source_key() -> ResourceKey {
    key("RdsSnapshot", "db1")
}

fn tags() -> Tags {
    [(TAG_ENVIRONMENT, "prod"), (TAG_MANAGED_BY, "test")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

fn desired() -> Desired {
    Desired {
        instance: "db1".to_owned(),
        source_region: Region::parse("us-east-1").unwrap(),
        source: source_key(),
        path: "spec.database.snapshots.copyTo[0]".to_owned(),
        prefix: "p".to_owned(),
        kms_key_id: Some("alias/aws/rds".to_owned()),
        keep: 2,
        max_age_seconds: Some(26 * 3600),
        tags: tags(),
    }
}

fn source_arn(id: &str) -> String {
    format!("arn:aws:rds:us-east-1:123456789012:snapshot:{id}")
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn copy(id: &str, status: &str) -> Copy {
    Copy {
        id: id.to_owned(),
        source: source_arn(id),
        status: status.to_owned(),
        original_at: (status == "available").then(|| at("2026-03-01T02:00:00Z")),
        percent: Some(0),
        encrypted: true,
        tags: tags(),
    }
}

fn observed(copies: &[(&str, &str)]) -> Observed {
    Observed { copies: copies.iter().map(|(id, status)| copy(id, status)).collect() }
}

fn source(id: &str, tags: &Tags) -> Value {
    json!({ "id": id, "arn": source_arn(id), "createdAt": "2026-03-01T02:00:00Z", "encrypted": true, "tags": tags })
}

fn known(ids: &[&str]) -> Known {
    let sources: Value = ids.iter().map(|id| source(id, &tags())).collect();
    Known::new().with(&source_key(), "available", sources)
}

fn plan_in(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
    RdsSnapshotCopy::plan_present(context, desired, observed)
}

/// Operation and name of each step.
fn steps(plan: &ResourcePlan) -> Vec<(&str, &str)> {
    assert!(plan.steps.iter().all(|step| step.risk == Risk::Safe), "{plan}");
    plan.steps.iter().map(|step| (&*step.operation, step.body["id"].as_str().unwrap())).collect()
}

fn reasons(plan: &ResourcePlan) -> Vec<&str> {
    plan.waits.iter().map(|wait| &*wait.reason).collect()
}

const SOURCES: [&str; 2] = ["p-20260228", "p-20260301"];

#[test]
fn the_newest_snapshot_is_copied_under_its_own_name_and_once() {
    let plan_of = |copies: &[(&str, &str)]| plan_in(&known(&SOURCES).context(), &desired(), &observed(copies));
    let plan = plan_of(&[("p-20260228", "available")]);
    assert_eq!(steps(&plan), [("CopyDBSnapshot", "p-20260301")]);
    assert_eq!(
        plan.steps[0].body,
        json!({ "action": "copyDBSnapshot", "id": "p-20260301", "source": source_arn("p-20260301"),
                "kmsKeyId": "alias/aws/rds", "tags": tags() })
    );
    assert_eq!(plan_of(&[("p-20260301", "available")]), ResourcePlan::in_sync());
    let running = plan_of(&[("p-20260301", "creating")]);
    assert!(running.steps.is_empty(), "{running}");
    assert_eq!(reasons(&running), ["CopyInProgress"]);
}

#[test]
fn without_a_snapshot_there_is_nothing_to_copy() {
    assert_eq!(plan_in(&known(&[]).context(), &desired(), &observed(&[])), ResourcePlan::in_sync());
    assert_eq!(plan_in(&Known::new().context(), &desired(), &observed(&[])), ResourcePlan::in_sync());
}

#[test]
fn unknown_snapshots_are_waited_for() {
    let plan = plan_in(&Known::new().unknown(&source_key(), "available").context(), &desired(), &observed(&[]));
    assert_eq!((plan.steps.len(), reasons(&plan)), (0, vec!["DependencyUnknown"]));
}

#[test]
fn only_snapshots_of_ours_are_copied() {
    let mut other = tags();
    other.insert(TAG_ENVIRONMENT.to_owned(), "staging".to_owned());
    let sources = json!([
        source("p-20260228", &tags()),
        source("p-20260301", &other),
        source("z-by-hand-20260301", &tags()),
        source("p-final-202603010000", &tags()),
    ]);
    let known = Known::new().with(&source_key(), "available", sources);
    assert_eq!(steps(&plan_in(&known.context(), &desired(), &observed(&[]))), [("CopyDBSnapshot", "p-20260228")]);
}

#[test]
fn one_copy_of_an_instance_is_on_its_way_at_most() {
    let plan = plan_in(&known(&SOURCES).context(), &desired(), &observed(&[("p-20260228", "creating")]));
    assert_eq!((plan.steps.len(), reasons(&plan)), (0, vec!["CopyInProgress"]));
}

#[test]
fn an_encrypted_snapshot_without_a_key_is_refused_with_its_path() {
    let keyless = Desired { kms_key_id: None, ..desired() };
    let plan = plan_in(&known(&SOURCES).context(), &keyless, &observed(&[]));
    assert_eq!((plan.steps.len(), reasons(&plan)), (0, vec!["KeyNeeded"]));
    assert!(plan.waits[0].message.contains("spec.database.snapshots.copyTo[0].kmsKeyId"), "{plan}");
}

#[test]
fn a_failed_copy_is_deleted_and_then_made_again() {
    let failed = observed(&[("p-20260301", "failed")]);
    let plan = plan_in(&known(&SOURCES).context(), &desired(), &failed);
    assert_eq!(steps(&plan), [("DeleteDBSnapshot", "p-20260301")]);
    let health = RdsSnapshotCopy::health(&known(&SOURCES).context(), &desired(), &failed);
    assert!(matches!(health, Health::Stalled { reason: "CopyFailed", .. }));
}

#[test]
fn what_was_pruned_is_not_copied_again() {
    // All newer sources were deleted by hand; their copies are here.
    let copies = observed(&[("p-20260228", "available"), ("p-20260301", "available")]);
    assert_eq!(plan_in(&known(&["p-20260220"]).context(), &desired(), &copies), ResourcePlan::in_sync());
}

#[test]
fn the_oldest_of_ours_beyond_keep_are_pruned_and_the_newest_never() {
    let mut copies = observed(&[
        ("p-20260226", "available"),
        ("p-20260227", "available"),
        ("p-20260228", "available"),
        ("p-20260301", "available"),
    ]);
    let mut theirs = copy("p-20250101", "available");
    theirs.tags.clear();
    copies.copies.insert(0, theirs);
    copies.copies.insert(0, copy("by-hand", "available"));
    let context = known(&["p-20260301"]).context();
    let two = [("DeleteDBSnapshot", "p-20260226"), ("DeleteDBSnapshot", "p-20260227")];
    assert_eq!(steps(&plan_in(&context, &desired(), &copies)), two);
    let none = Desired { keep: 0, ..desired() };
    assert_eq!(plan_in(&context, &none, &copies).steps.len(), 3, "the newest stays");
}

#[test]
fn the_name_taken_by_somebody_else_is_noted_and_not_touched() {
    let mut theirs = observed(&[("p-20260301", "available")]);
    theirs.copies[0].tags.clear();
    let plan = plan_in(&known(&SOURCES).context(), &desired(), &theirs);
    assert_eq!((plan.steps.len(), &*plan.notes[0].reason), (0, "SnapshotNotOurs"));
}

#[test]
fn it_tells_which_snapshots_must_stay() {
    let copies = observed(&[("p-20260228", "available"), ("p-20260301", "creating"), ("p-20260227", "failed")]);
    assert_eq!(RdsSnapshotCopy::output(&copies, "copying"), Some(json!(["p-20260301"])));
}

#[test]
fn age_counts_from_the_original_and_the_lag_is_told() {
    let backup =
        |copies: &Observed, known: Known| RdsSnapshotCopy::backup(&known.context(), &desired(), copies).unwrap();
    let fresh = backup(&observed(&[("p-20260301", "available")]), known(&SOURCES));
    assert_eq!((fresh.newest, fresh.healthy), (Some(at("2026-03-01T02:00:00Z")), true));
    let mut old = observed(&[("p-20260227", "available")]);
    old.copies[0].original_at = Some(at("2026-02-27T02:00:00Z"));
    let late = backup(&old, known(&SOURCES));
    assert!(!late.healthy);
    assert!(late.message.contains("48 h behind"), "{}", late.message);
    let none = backup(&observed(&[]), known(&[]));
    assert!(none.healthy, "there is nothing to copy: {}", none.message);
}

#[test]
fn the_copy_limit_is_waited_out_and_a_bad_key_is_not() {
    use model::Class;
    let class = |code| super::errors::classify(code).map(|(class, _)| class);
    assert_eq!(class("SnapshotQuotaExceeded"), Some(Class::NotYet));
    assert_eq!(class("KMSKeyNotAccessibleFault"), Some(Class::Invalid));
}

#[test]
fn removal_deletes_no_copy() {
    let copies = observed(&[("p-20260301", "available")]);
    assert_eq!(RdsSnapshotCopy::plan_delete(&known(&SOURCES).context(), &copies), ResourcePlan::in_sync());
}

mod live;

mod aws {
    //! What the provider does with AWS.

    use std::sync::Arc;
    use std::time::Duration;

    use model::{AwsAccountId, Region};
    use simaws::testing::Caller;
    use simaws::{Clock, Sim};

    use crate::provider::{ObserveKey, Provider as _, Scope};
    use crate::rds_snapshot_copy::provider::Provider;

    async fn call(sim: &Sim, region: &str, operation: &str, parameters: &[(&str, &str)]) {
        let caller = Caller { region: region.to_owned(), ..Caller::default() };
        let reply = caller.query(sim, "rds", operation, parameters).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.xml());
        sim.clock().advance(Duration::from_secs(60));
    }

    #[tokio::test]
    async fn only_copies_from_another_region_are_seen_not_snapshots_of_a_namesake() {
        let sim = Sim::builder().clock(Clock::manual("2026-03-01T12:00:00Z".parse().unwrap())).build();
        let instance = [
            ("DBInstanceIdentifier", "db1"),
            ("DBInstanceClass", "db.t3.medium"),
            ("Engine", "postgres"),
            ("MasterUsername", "admin_user"),
            ("ManageMasterUserPassword", "true"),
            ("AllocatedStorage", "100"),
        ];
        for region in ["us-east-1", "us-west-2"] {
            call(&sim, region, "CreateDBInstance", &instance).await;
            let id = format!("of-{region}");
            let snapshot = [("DBInstanceIdentifier", "db1"), ("DBSnapshotIdentifier", id.as_str())];
            call(&sim, region, "CreateDBSnapshot", &snapshot).await;
        }
        let arn = super::source_arn("of-us-east-1");
        let copy = [("SourceDBSnapshotIdentifier", arn.as_str()), ("TargetDBSnapshotIdentifier", "copied")];
        call(&sim, "us-west-2", "CopyDBSnapshot", &copy).await;
        let within = [("SourceDBSnapshotIdentifier", "of-us-west-2"), ("TargetDBSnapshotIdentifier", "within")];
        call(&sim, "us-west-2", "CopyDBSnapshot", &within).await;
        let provider = Provider::new(testkit::world::aws_on(&sim));
        let scope = Scope {
            account: AwsAccountId::parse("123456789012").unwrap(),
            region: Region::parse("us-west-2").unwrap(),
            now: "2026-03-01T12:00:00Z".parse().unwrap(),
        };
        let key = ObserveKey { identity: Arc::from("db1"), at: None };
        let seen = provider.observe(&scope, std::slice::from_ref(&key)).await.unwrap();
        let copies = &seen["db1"].present().unwrap().copies;
        let ids: Vec<&str> = copies.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, ["copied"]);
        assert_eq!((copies[0].source_id(), copies[0].is_available()), ("of-us-east-1", true));
        assert_eq!(provider.read(&scope, &key).await.unwrap(), seen["db1"]);
    }
}
