//! What the owner is asked.

use serde_json::json;
use store::RequestKind;

use crate::support::rig::spec;
use crate::support::{Rig, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconcile_looks_converges_and_answers_with_the_status() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mut config = rig.config();
    config.hot_period = std::time::Duration::from_secs(3600);
    let runtime = rig.start_with(config);
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.tamper("one", |live| live.colour = "blue".to_owned());
    let answer = rig.ask(RequestKind::Reconcile, "prod", json!({})).await;
    assert_eq!(answer["handled"], true);
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "red", "without waiting for the next sweep");
    assert!(answer["status"]["lastHandledReconcileToken"].is_string());
    assert_eq!(rig.row("prod").await.status, answer["status"]);
    runtime.shutdown().await;
}

/// Waits until the status says that a value of the annotation was handled.
async fn handled(rig: &Rig, value: &str) {
    eventually(&format!("{value} is handled"), || async {
        (rig.row("prod").await.status["lastHandledReconcileAt"] == value).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_annotation_asks_for_a_look_and_a_pass_now_and_the_status_says_which_value_was_handled() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mut config = rig.config();
    config.hot_period = std::time::Duration::from_secs(3600);
    let runtime = rig.start_with(config);
    rig.wait_for("prod", "Synced", "True InSync").await;
    let colour = || rig.cloud.get("Crate", "one").unwrap().colour;
    for value in ["2026-11-25T10:00:00Z", "again"] {
        rig.cloud.tamper("one", |live| live.colour = "blue".to_owned());
        rig.annotate("prod", value).await;
        handled(&rig, value).await;
        assert_eq!(colour(), "red", "without waiting for the next sweep");
    }
    let row = rig.row("prod").await;
    assert_eq!(row.generation, 1, "it is no new spec");
    assert_eq!(row.status["lastHandledReconcileToken"], serde_json::Value::Null, "nobody posted a request");
    // A request that is posted is told by its token, and leaves what is said of the annotation.
    let answer = rig.ask(RequestKind::Reconcile, "prod", json!({})).await;
    assert_eq!(answer["status"]["lastHandledReconcileAt"], "again");
    assert!(answer["status"]["lastHandledReconcileToken"].is_string());
    // The same value again asks for nothing.
    rig.cloud.tamper("one", |live| live.colour = "blue".to_owned());
    rig.annotate("prod", "again").await;
    rig.ask(RequestKind::Plan, "prod", json!({})).await;
    assert_eq!(rig.row("prod").await.status["lastHandledReconcileAt"], "again");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_annotation_that_was_there_before_the_daemon_is_handled_once_all_was_looked_at() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    rig.annotate("prod", "before").await;
    let runtime = rig.start();
    handled(&rig, "before").await;
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "red");
    rig.wait_for("prod", "Synced", "True InSync").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_of_another_spec_shows_steps_and_holds_and_changes_nothing() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red"), ("three", "grey")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    let row = rig.row("prod").await;
    let writes = rig.cloud.writes().len();
    let other = spec(&[("one", "?black"), ("two", "blue lid")], json!({}));
    let plan = rig.ask(RequestKind::Plan, "prod", json!({ "spec": other })).await;
    assert_eq!(plan["generation"], 2);
    assert_eq!(plan["gated"]["gated"][0]["operation"], "PaintCrate");
    assert_eq!(plan["hash"], plan["gated"]["hash"]);
    let steps: Vec<String> = plan["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {} {}", one["kind"], one["steps"][0]["operation"], one["steps"][0]["hold"]["reason"]))
        .collect();
    assert_eq!(
        steps,
        ["\"Crate\" \"PaintCrate\" \"ApprovalRequired\"", "\"Crate\" \"CreateCrate\" null", "\"Lid\" null null"]
    );
    assert_eq!(plan["removed"][0]["identity"], "three");
    assert_eq!(rig.cloud.writes().len(), writes);
    // Not the store's version: the audit trail is written behind.
    assert_eq!(rig.row("prod").await, row);
    let plan = rig.ask(RequestKind::Plan, "prod", json!({})).await;
    assert_eq!((&plan["generation"], &plan["summary"]["steps"]), (&json!(1), &json!(0)));
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_diagnosis_looks_at_everything_and_tells_the_worst_first() {
    let rig = Rig::new().await;
    let colours = [("one", "red"), ("two", "rust"), ("three", "haunted"), ("four", "blue lid")];
    rig.declare("prod", spec(&colours, json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    let before = (rig.row("prod").await, rig.cloud.writes().len());
    let found = |answer: &serde_json::Value| -> Vec<String> {
        let shown = |one: &serde_json::Value| {
            let word = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", word(&one["severity"]), word(&one["reason"]), word(&one["resource"]["identity"]))
        };
        answer["findings"].as_array().unwrap().iter().map(shown).collect()
    };
    let answer = rig.ask(RequestKind::Diagnosis, "prod", json!({})).await;
    assert_eq!(found(&answer), ["Warning NotLookedInto three", "Warning Rust two"]);
    assert_eq!(answer["findings"][0]["evidence"][0]["source"], "fake:Touch");
    assert_eq!(answer["summary"], json!({ "errors": 0, "warnings": 2, "infos": 0 }));
    assert_eq!(answer["generation"], 1);
    assert_eq!((rig.row("prod").await, rig.cloud.writes().len()), before, "it changes nothing");

    let since = before.0.created_at;
    let pause = store::Pause { reason: "sale".to_owned(), owner: "alice".to_owned(), until: None, since };
    rig.store.set_pause("prod", store::Precondition::default(), Some(&pause)).await.unwrap();
    rig.cloud.tamper("one", |live| live.state = "broken".to_owned());
    rig.cloud.tamper("two", |live| live.colour = "green".to_owned());
    let answer = rig.ask(RequestKind::Diagnosis, "prod", json!({})).await;
    assert_eq!(
        found(&answer),
        ["Error Broken one", "Warning NotLookedInto three", "Warning Paused two", "Info Paused -"],
        "{answer}"
    );
    rig.cloud.fail_sweeps(Some(model::Class::Denied));
    let answer = rig.ask(RequestKind::Diagnosis, "prod", json!({})).await;
    let unread = found(&answer).iter().filter(|line| line.starts_with("Error NotRead")).count();
    assert_eq!(unread, 4, "the lid is not even looked for: {answer}");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spec_that_cannot_be_used_and_an_unknown_environment_are_said() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    let answer = rig.ask(RequestKind::Plan, "prod", json!({ "spec": { "colour": 1 } })).await;
    assert_eq!(answer["error"]["reason"], "InvalidSpec");
    let answer = rig.ask(RequestKind::Plan, "nowhere", json!({})).await;
    assert_eq!(answer["error"]["reason"], "NotFound");
    let answer = rig.ask(RequestKind::Diagnosis, "nowhere", json!({})).await;
    assert_eq!(answer["error"]["reason"], "NotFound");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_spec_that_this_release_cannot_read_is_stalled_and_touches_nothing() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    sqlx::query("UPDATE environments SET spec = spec || '{\"future\": 1}'").execute(&rig.db.pool).await.unwrap();
    let runtime = rig.start();
    rig.wait_for("prod", "Stalled", "True InvalidSpec").await;
    assert_eq!(rig.condition("prod", "Synced").await, "False InvalidSpec");
    assert!(rig.cloud.writes().is_empty());
    // It is told once, however many passes find it.
    rig.ask(RequestKind::Reconcile, "prod", json!({})).await;
    let told = rig.events("InvalidSpec").await;
    assert_eq!(
        told.iter().map(|event| (event.count, &event.details["condition"])).collect::<Vec<_>>(),
        [(1, &json!("Stalled"))]
    );
    rig.delete("prod").await;
    eventually("it is gone", || async { rig.is_gone("prod").await.then_some(()) }).await;
    assert_eq!(rig.events("Released").await.len(), 1, "it can be deleted all the same, since that lets everything go");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_shows_removals_and_its_hash_is_the_one_that_the_next_pass_comes_to() {
    let rig = Rig::new().await;
    let policy = json!({ "onRemove": "Delete", "onDelete": "Delete" });
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue lid")], policy.clone())).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    let smaller = spec(&[("one", "red")], policy);
    let plan = rig.ask(RequestKind::Plan, "prod", json!({ "spec": smaller })).await;
    let gated: Vec<&str> =
        plan["gated"]["gated"].as_array().unwrap().iter().map(|step| step["operation"].as_str().unwrap()).collect();
    assert_eq!(gated, ["DeleteCrate", "TakeLid"]);
    rig.redeclare("prod", smaller).await;
    rig.wait_for("prod", "Blocked", "True ApprovalRequired").await;
    assert_eq!(rig.row("prod").await.status["plan"]["hash"], plan["hash"]);
    let stored = rig.ask(RequestKind::Plan, "prod", json!({})).await;
    assert_eq!(stored["hash"], plan["hash"], "so does a plan of the stored spec");

    rig.delete("prod").await;
    rig.wait_for("prod", "Ready", "False Deleting").await;
    let deletion = rig.ask(RequestKind::Plan, "prod", json!({})).await;
    assert_eq!((&deletion["summary"]["steps"], &deletion["removed"][0]["onRemove"]), (&json!(3), &json!("Delete")));
    assert_eq!(rig.row("prod").await.status["plan"]["hash"], deletion["hash"]);
    assert_ne!(deletion["hash"], plan["hash"], "the crate that was kept goes too");
    runtime.shutdown().await;
}
