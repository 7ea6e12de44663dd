//! Items taken out of the document, and whole environments deleted.

use jiff::SignedDuration;
use serde_json::json;
use store::NewApproval;

use crate::support::rig::spec;
use crate::support::{Fault, Rig, eventually};

async fn approve_everything(rig: &Rig, name: &str) {
    let row = eventually("a plan to approve", || async {
        let row = rig.row(name).await;
        row.status.get("plan").is_some().then_some(row)
    })
    .await;
    let plan = &row.status["plan"];
    let now = runtime::Clock::now(&*rig.clock);
    let approval = NewApproval {
        environment_uid: row.uid,
        plan_hash: plan["hash"].as_str().unwrap().to_owned(),
        steps: serde_json::from_value(plan["steps"].clone()).unwrap(),
        apply: None,
        approver: "alice".to_owned(),
        now,
        expires_at: now + SignedDuration::from_hours(1),
    };
    rig.store.approve(&approval).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_taken_out_is_let_go_and_its_claim_is_freed() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.redeclare("prod", spec(&[("one", "red")], json!({}))).await;
    eventually("two is let go", || async { rig.events("Orphaned").await.pop() }).await;
    assert!(rig.cloud.get("Crate", "two").is_some(), "nothing is deleted");
    let uid = rig.row("prod").await.uid;
    eventually("its claim is free", || async { (rig.store.claims_of(uid).await.unwrap().len() == 1).then_some(()) })
        .await;
    assert!(rig.resource("prod", "Crate", "two").await.is_none());
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_taken_out_is_deleted_where_policy_says_so_after_approval() {
    let rig = Rig::new().await;
    let policy = json!({ "onRemove": "Delete" });
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue lid")], policy.clone())).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.redeclare("prod", spec(&[("one", "red")], policy)).await;
    rig.wait_for("prod", "Blocked", "True ApprovalRequired").await;
    assert!(rig.cloud.get("Crate", "two").is_some());
    approve_everything(&rig, "prod").await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert!(rig.cloud.get("Crate", "two").is_none() && rig.cloud.get("Lid", "two").is_none());
    let writes = rig.cloud.writes();
    assert_eq!(writes[writes.len() - 2..], ["TakeLid two", "DeleteCrate two"], "what needs it goes first");
    assert_eq!(rig.store.claims_of(rig.row("prod").await.uid).await.unwrap().len(), 1);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_is_let_go_and_never_deleted() {
    let rig = Rig::new().await;
    let policy = json!({ "onRemove": "Delete" });
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], policy.clone())).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.put("Crate", "two", Rig::ours("other", "blue"));
    rig.redeclare("prod", spec(&[("one", "red")], policy)).await;
    eventually("two is let go", || async { rig.events("Orphaned").await.pop() }).await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert!(rig.cloud.get("Crate", "two").is_some());
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_an_environment_that_retains_goes_at_once_and_deletes_nothing() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.delete("prod").await;
    eventually("it is gone", || async { rig.is_gone("prod").await.then_some(()) }).await;
    assert!(rig.cloud.get("Crate", "one").is_some());
    assert_eq!(rig.events("Released").await.len(), 1);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_an_environment_deletes_in_reverse_and_goes_last() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue lid")], json!({ "onDelete": "Delete" }))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.delete("prod").await;
    rig.wait_for("prod", "Blocked", "True ApprovalRequired").await;
    assert!(rig.cloud.get("Crate", "one").is_some());
    approve_everything(&rig, "prod").await;
    eventually("it is gone", || async { rig.is_gone("prod").await.then_some(()) }).await;
    assert!(rig.cloud.get("Crate", "one").is_none() && rig.cloud.get("Crate", "two").is_none());
    let writes = rig.cloud.writes();
    let place = |write: &str| writes.iter().position(|other| other == write).unwrap();
    assert!(place("TakeLid two") < place("DeleteCrate two"), "{writes:?}");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_is_not_gone_before_aws_says_so() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({ "onDelete": "Delete" }))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.tamper("one", |live| live.state = "deleting".to_owned());
    rig.delete("prod").await;
    rig.wait_for("prod", "Ready", "False Deleting").await;
    rig.ask(store::RequestKind::Reconcile, "prod", json!({})).await;
    assert!(!rig.is_gone("prod").await, "it still exists in AWS");
    rig.cloud.remove("Crate", "one");
    eventually("it is gone", || async { rig.is_gone("prod").await.then_some(()) }).await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_that_others_hold_too_stays_when_our_part_is_done_and_goes_with_their_last() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let finalizers = |all: &[&str]| store::EnvironmentUpdate {
        finalizers: Some(all.iter().map(|one| (*one).to_owned()).collect()),
        ..store::EnvironmentUpdate::new("prod", runtime::Clock::now(&*rig.clock))
    };
    rig.store.update_environment(&finalizers(&[store::FINALIZER, "example.org/backup"])).await.unwrap();
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.delete("prod").await;
    eventually("ours is gone", || async { (rig.row("prod").await.finalizers == ["example.org/backup"]).then_some(()) })
        .await;
    assert!(rig.cloud.get("Crate", "one").is_some(), "the policy retains");
    // They are done too.
    rig.store.update_environment(&finalizers(&[])).await.unwrap();
    eventually("it is gone", || async { rig.is_gone("prod").await.then_some(()) }).await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_document_names_as_existing_is_let_go_and_never_deleted() {
    let rig = Rig::new().await;
    let policy = json!({ "onRemove": "Delete" });
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], policy.clone())).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    let given = spec(&[("one", "red"), ("two", "existing")], policy);
    let plan = rig.ask(store::RequestKind::Plan, "prod", json!({ "spec": given })).await;
    assert_eq!((&plan["hash"], &plan["removed"][0]["onRemove"]), (&json!(null), &json!("Retain")));
    rig.redeclare("prod", given).await;
    eventually("two is let go", || async { rig.events("Orphaned").await.pop() }).await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert!(rig.cloud.get("Crate", "two").is_some());
    assert_eq!(rig.store.claims_of(rig.row("prod").await.uid).await.unwrap().len(), 1);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_whose_creation_nobody_recorded_leaves_with_its_item() {
    let rig = Rig::new().await;
    let policy = json!({ "onRemove": "Delete" });
    rig.cloud.fail_next(Fault::Hang);
    rig.declare("prod", spec(&[("one", "red")], policy.clone())).await;
    let mortal = rig.start_mortal();
    rig.cloud.hanging.notified().await;
    mortal.kill();
    rig.redeclare("prod", spec(&[("two", "blue")], policy)).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Blocked", "True ApprovalRequired").await;
    approve_everything(&rig, "prod").await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert!(rig.cloud.get("Crate", "one").is_none(), "it is not left behind");
    assert!(rig.cloud.get("Crate", "two").is_some());
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_whose_creation_was_settled_by_a_pass_that_did_not_live_leaves_with_its_item() {
    let rig = Rig::new().await;
    let policy = json!({ "onRemove": "Delete" });
    rig.cloud.fail_next(Fault::Slow);
    rig.cloud.fail_next(Fault::Hang);
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], policy.clone())).await;
    let mortal = rig.start_mortal();
    eventually("one is made", || async { rig.cloud.get("Crate", "one") }).await;
    assert!(rig.resource("prod", "Crate", "one").await.is_some(), "it is recorded before it is made");
    rig.cloud.go_on();
    rig.cloud.hanging.notified().await;
    mortal.kill();
    rig.redeclare("prod", spec(&[("two", "blue")], policy)).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Blocked", "True ApprovalRequired").await;
    approve_everything(&rig, "prod").await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert!(rig.cloud.get("Crate", "one").is_none(), "it is not left behind");
    assert!(rig.cloud.get("Crate", "two").is_some());
    runtime.shutdown().await;
}
