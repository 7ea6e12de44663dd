//! Governed changes: what waits for approval, what ends, and what is taken back.

use jiff::SignedDuration;
use model::Class;
use serde_json::{Value, json};
use store::{NewChange, Precondition, RequestKind};

use crate::support::rig::{condition, spec};
use crate::support::{Fault, Rig, eventually};

fn never() -> Value {
    json!({ "changes": { "rollback": { "mode": "Never" } } })
}

/// A change as the API records it while it is not applied.
async fn post(rig: &Rig, name: &str, colour: &str) -> NewChange {
    let new = NewChange {
        name: name.to_owned(),
        environment: "prod".to_owned(),
        environment_uid: Some(rig.row("prod").await.uid),
        phase: "Pending".to_owned(),
        origin: Some("Posted".to_owned()),
        author: "alice".to_owned(),
        message: "paint it".to_owned(),
        patch: json!({ "spec": { "secrets": { "one": { "description": colour } } } }),
        expires_at: Some(runtime::Clock::now(&*rig.clock) + SignedDuration::from_hours(24)),
        ..NewChange::default()
    };
    rig.store.create_change(&new, runtime::Clock::now(&*rig.clock)).await.unwrap();
    new
}

/// A fresh look and a pass.
async fn reconcile(rig: &Rig) {
    rig.ask(RequestKind::Reconcile, "prod", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_written_change_whose_steps_need_approval_waits_for_it_and_then_converges() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    let change = rig.change("prod", spec(&[("one", "?black")], json!({})), "alice").await;
    let asked = rig.phase(&change.name, "PendingApproval").await;
    assert_eq!(asked.plan_hash.as_deref(), rig.row("prod").await.status["plan"]["hash"].as_str());
    assert_eq!(asked.plan["gated"]["gated"][0]["operation"], "PaintCrate");
    assert_eq!((&asked.requires["approvals"], &asked.waiting["reason"]), (&json!(1), &json!("ApprovalRequired")));
    assert!(asked.expires_at.is_some() && asked.finished_at.is_none());
    let events = rig.events("ApprovalNeeded").await;
    assert!(events.len() == 1 && events[0].message.contains("PaintCrate of Crate/one"), "{events:?}");
    rig.approve(&asked, "Immediately").await;
    let ended = rig.phase(&change.name, "Converged").await;
    assert_eq!((ended.revision, ended.outcome["reason"].as_str()), (Some(2), Some("Converged")));
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "?black");
    assert_eq!(rig.events("ChangeConverged").await.len(), 1);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_whose_repair_needs_approval_opens_one_change_which_ends_with_the_drift() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "?black")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.tamper("one", |live| live.colour = "red".to_owned());
    let change = rig.open_change("prod").await;
    assert_eq!((change.author.as_str(), change.phase.as_str()), ("system:drift", "PendingApproval"));
    assert!(change.message.contains("PaintCrate of Crate/one (Destructive)"), "{}", change.message);
    reconcile(&rig).await;
    reconcile(&rig).await;
    assert_eq!(rig.open_change("prod").await.name, change.name, "one for the same steps");

    rig.cloud.tamper("one", |live| live.colour = "blue".to_owned());
    rig.phase(&change.name, "Superseded").await;
    let other = rig.open_change("prod").await;
    assert_ne!(other.plan_hash, change.plan_hash, "what looks different is another change");
    rig.approve(&other, "Immediately").await;
    rig.phase(&other.name, "Converged").await;
    assert_eq!(rig.cloud.writes().last().unwrap(), "PaintCrate one");

    // The first drift again: not within the cool-down.
    rig.cloud.tamper("one", |live| live.colour = "red".to_owned());
    rig.wait_for("prod", "Blocked", "True ApprovalRequired").await;
    reconcile(&rig).await;
    assert!(rig.store.open_changes(rig.row("prod").await.uid).await.unwrap().is_empty());
    rig.clock.advance(SignedDuration::from_mins(11));
    reconcile(&rig).await;
    assert_eq!(rig.open_change("prod").await.plan_hash, change.plan_hash);
    rig.cloud.tamper("one", |live| live.colour = "?black".to_owned());
    rig.wait_for("prod", "Synced", "True InSync").await;
    let uid = rig.row("prod").await.uid;
    eventually("no open change", || async { rig.store.open_changes(uid).await.unwrap().is_empty().then_some(()) })
        .await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_approves_lapses_and_is_not_asked_again_at_once() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "?black")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.tamper("one", |live| live.colour = "red".to_owned());
    let change = rig.open_change("prod").await;
    rig.clock.advance(SignedDuration::from_hours(25));
    reconcile(&rig).await;
    rig.phase(&change.name, "Expired").await;
    assert_eq!(rig.events("ChangeExpired").await.len(), 1);
    reconcile(&rig).await;
    let uid = rig.row("prod").await.uid;
    assert!(rig.store.open_changes(uid).await.unwrap().is_empty());
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "red");
    rig.clock.advance(SignedDuration::from_hours(25));
    reconcile(&rig).await;
    let again = rig.open_change("prod").await;
    let outcome = json!({ "by": "alice" });
    let now = runtime::Clock::now(&*rig.clock);
    rig.store.withdraw_change(&again.name, Precondition::default(), "Withdrawn", &outcome, now).await.unwrap();
    rig.clock.advance(SignedDuration::from_hours(100));
    reconcile(&rig).await;
    assert!(rig.store.open_changes(uid).await.unwrap().is_empty(), "somebody said no");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_breaks_what_it_touches_is_taken_back_and_says_why() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red"), ("two", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.condition("prod", "RolledBack").await, "False NotRolledBack");
    let change = rig.change("prod", spec(&[("one", "cursed"), ("two", "blue")], json!({})), "alice").await;
    let ended = rig.phase(&change.name, "RolledBack").await;
    assert_eq!((&ended.outcome["rolledBackTo"], &ended.outcome["asRevision"]), (&json!(1), &json!(3)));
    assert_eq!(ended.outcome["evidence"][0]["resource"], "Crate/one");
    assert_eq!(ended.outcome["reason"], "Broken");
    let back = rig.phase(&format!("{}-back", change.name), "Converged").await;
    assert_eq!((back.author.as_str(), back.revision), ("system:rollback", Some(3)));
    rig.wait_for("prod", "RolledBack", "True ChangeRolledBack").await;
    let row = rig.row("prod").await;
    assert_eq!(row.spec["secrets"]["one"]["description"], "red");
    let told = row.status["conditions"].to_string();
    assert!(told.contains("revision 2, by alice") && told.contains("Crate/one: Broken"), "{told}");
    for name in ["one", "two"] {
        assert_eq!(rig.cloud.get("Crate", name).unwrap().colour, "red", "{name}");
    }
    let events = rig.events("ChangeRolledBack").await;
    assert!(events.len() == 1 && events[0].message.contains("taken back to revision 1"), "{events:?}");
    // The next change is nobody's rollback.
    rig.change("prod", spec(&[("one", "green"), ("two", "red")], json!({})), "bob").await;
    rig.wait_for("prod", "RolledBack", "False NotRolledBack").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_kept_where_policy_says_so_or_where_it_is_not_the_changes_own() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red"), ("two", "red")], never())).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    let change = rig.change("prod", spec(&[("one", "cursed"), ("two", "red")], never()), "alice").await;
    let ended = rig.phase(&change.name, "Failed").await;
    assert_eq!(ended.outcome["notRolledBack"], "policy.changes.rollback.mode is Never");
    assert_eq!(rig.row("prod").await.revision, 2);
    assert_eq!(rig.events("ChangeFailed").await.len(), 1);

    // Something breaks that the change has nothing to do with.
    let change = rig.change("prod", spec(&[("one", "blue"), ("two", "red")], json!({})), "alice").await;
    rig.phase(&change.name, "Converged").await;
    rig.cloud.tamper("two", |live| live.state = "broken".to_owned());
    rig.wait_for("prod", "Stalled", "True Broken").await;
    let change = rig.change("prod", spec(&[("one", "green"), ("two", "red")], json!({})), "alice").await;
    eventually("the change to be carried out", || async {
        (rig.cloud.get("Crate", "one").unwrap().colour == "green").then_some(())
    })
    .await;
    reconcile(&rig).await;
    assert_eq!(rig.store.get_change(&change.name).await.unwrap().phase, "Applying");
    assert_eq!(rig.row("prod").await.revision, 4);
    rig.cloud.tamper("two", |live| live.state = "ok".to_owned());
    rig.phase(&change.name, "Converged").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_that_aws_refuses_takes_no_change_back_that_did_not_ask_for_it() {
    let rig = Rig::new().await;
    let colours = |one| spec(&[("one", one), ("three", "red"), ("two", "red")], json!({}));
    rig.declare("prod", colours("red")).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    // It keeps the change from converging, and is not its own.
    rig.cloud.tamper("three", |live| live.state = "broken".to_owned());
    rig.wait_for("prod", "Stalled", "True Broken").await;
    let change = rig.change("prod", colours("green"), "alice").await;
    eventually("the change to be carried out", || async {
        (rig.cloud.get("Crate", "one").unwrap().colour == "green").then_some(())
    })
    .await;
    rig.cloud.fail_writes(Some(Fault::Refused(Class::Invalid)));
    rig.cloud.tamper("two", |live| live.colour = "black".to_owned());
    eventually("the repair to be refused for good", || async {
        reconcile(&rig).await;
        let row = rig.resource("prod", "Crate", "two").await.unwrap();
        condition(&row.conditions, "Stalled").starts_with("True").then_some(())
    })
    .await;
    reconcile(&rig).await;
    assert_eq!(rig.store.get_change(&change.name).await.unwrap().phase, "Applying");
    assert_eq!(rig.row("prod").await.revision, 2);
    rig.cloud.fail_writes(None);
    rig.cloud.tamper("three", |live| live.state = "ok".to_owned());
    reconcile(&rig).await;
    rig.phase(&change.name, "Converged").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_change_made_and_waits_for_a_person_takes_nothing_back() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    let change = rig.change("prod", spec(&[("one", "blue"), ("new", "cursed")], json!({})), "alice").await;
    rig.wait_for("prod", "Stalled", "True Broken").await;
    eventually("it to say what it waits for", || async {
        let row = rig.store.get_change(&change.name).await.unwrap();
        (row.waiting["reason"] == "Broken" && row.phase == "Applying").then_some(())
    })
    .await;
    rig.clock.advance(SignedDuration::from_hours(2));
    reconcile(&rig).await;
    assert_eq!((rig.row("prod").await.revision, rig.events("ChangeRolledBack").await.len()), (2, 0));
    rig.cloud.tamper("new", |live| live.state = "ok".to_owned());
    rig.phase(&change.name, "Converged").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_end_with_their_environment() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "?black")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.tamper("one", |live| live.colour = "red".to_owned());
    let change = rig.open_change("prod").await;
    rig.delete("prod").await;
    let ended = rig.phase(&change.name, "Superseded").await;
    assert!(ended.finished_at.is_some());
    eventually("the environment to go", || async { rig.is_gone("prod").await.then_some(()) }).await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_in_the_step_that_broke_it_takes_the_change_back_once() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mortal = rig.start_mortal();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.fail_next(Fault::Hang);
    let change = rig.change("prod", spec(&[("one", "cursed")], json!({})), "alice").await;
    rig.cloud.hanging.notified().await;
    mortal.kill();
    let runtime = rig.start();
    rig.phase(&change.name, "RolledBack").await;
    rig.phase(&format!("{}-back", change.name), "Converged").await;
    assert_eq!((rig.row("prod").await.revision, rig.cloud.get("Crate", "one").unwrap().colour.as_str()), (3, "red"));
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_posted_change_is_planned_once_somebody_works_on_the_account() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    post(&rig, "safe", "blue").await;
    let runtime = rig.start();
    let applied = rig.phase("safe", "Converged").await;
    assert_eq!((applied.revision, applied.base_revision), (Some(2), Some(1)));
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "blue");
    let revision = rig.store.get_revision("prod", 2).await.unwrap();
    assert_eq!((revision.author.as_str(), revision.message.as_str()), ("alice", "paint it"));

    post(&rig, "risky", "?black").await;
    let asked = rig.phase("risky", "PendingApproval").await;
    assert_eq!((asked.plan["generation"].as_i64(), asked.generation), (Some(3), None));
    assert_eq!(rig.row("prod").await.revision, 2, "nothing is written");
    // Another generation: the plan is made anew, for the next one.
    rig.change("prod", spec(&[("one", "green")], json!({})), "bob").await;
    eventually("another plan", || async {
        let row = rig.store.get_change("risky").await.unwrap();
        (row.plan["generation"].as_i64() == Some(4) && row.plan_hash != asked.plan_hash).then_some(())
    })
    .await;
    assert_eq!(rig.events("ChangePlanChanged").await.len(), 1);
    // What has become the spec otherwise needs no change.
    rig.redeclare("prod", spec(&[("one", "?black")], json!({}))).await;
    rig.phase("risky", "Superseded").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approved_steps_wait_for_the_window_that_they_were_approved_for() {
    let rig = Rig::new().await;
    let now = runtime::Clock::now(&*rig.clock).to_zoned(jiff::tz::TimeZone::UTC);
    let opens = now.checked_add(SignedDuration::from_hours(48)).unwrap();
    let cron = format!("{} {} {} {} *", opens.minute(), opens.hour(), opens.day(), opens.month());
    let policy = json!({ "disruptive": "Window", "windows": [{ "cron": cron, "duration": "1h" }] });
    rig.declare("prod", spec(&[("one", "red")], policy.clone())).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    let change = rig.change("prod", spec(&[("one", "?black")], policy), "alice").await;
    let asked = rig.phase(&change.name, "PendingApproval").await;
    rig.approve(&asked, "InWindow").await;
    let waits = eventually("it to say until when", || async {
        let row = rig.store.get_change(&change.name).await.unwrap();
        (row.waiting["reason"] == "OutsideWindow").then_some(row)
    })
    .await;
    assert_eq!(waits.phase, "Applying");
    let until: jiff::Timestamp = waits.waiting["until"].as_str().unwrap().parse().unwrap();
    rig.wait_for("prod", "Blocked", "True OutsideWindow").await;
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "red");
    rig.clock.advance(until.duration_since(runtime::Clock::now(&*rig.clock)) + SignedDuration::from_secs(5));
    reconcile(&rig).await;
    rig.phase(&change.name, "Converged").await;
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "?black");
    runtime.shutdown().await;
}
