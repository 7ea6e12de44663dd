//! A declared environment converges, drift is repaired, and what may not be done is explained.

use jiff::SignedDuration;
use model::Tags;
use serde_json::json;
use store::NewApproval;

use crate::support::rig::{condition, spec};
use crate::support::{Fault, Live, Rig, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_declared_is_created_verified_and_said_to_be_in_sync() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue lid")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.condition("prod", "Ready").await, "True AllReady");
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "red");
    let crate_two = rig.cloud.get("Crate", "two").unwrap();
    assert_eq!(rig.cloud.get("Lid", "two").unwrap().colour, crate_two.arn, "the lid got the new crate's ARN");
    assert_eq!(rig.cloud.writes(), ["CreateCrate one", "CreateCrate two", "PutLid two"]);
    assert_eq!(rig.events("Created").await.len(), 3);
    let lid = rig.resource("prod", "Lid", "two").await.unwrap();
    assert_eq!(lid.report["lastAct"]["operation"], "PutLid");
    assert_eq!(lid.report["lastAct"]["outcome"], "effective");
    assert_eq!(condition(&lid.conditions, "Synced"), "True InSync");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_create_follows_a_direct_read_that_found_nothing() {
    let rig = Rig::new().await;
    rig.cloud.put("Crate", "one", Rig::ours("prod", "red"));
    rig.cloud.hide("Crate", "one");
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], json!({}))).await;
    let runtime = rig.start();
    eventually("two exists", || async { rig.cloud.get("Crate", "two") }).await;
    rig.wait_for("prod", "Drifted", "False NoDrift").await;
    assert_eq!(rig.cloud.writes(), ["CreateCrate two"], "one exists although no listing shows it");
    let calls = rig.cloud.calls();
    let read = calls.iter().position(|call| call == "read Crate two").unwrap();
    let created = calls.iter().position(|call| call == "CreateCrate two").unwrap();
    assert!(read < created && calls[created + 1..].contains(&"read Crate two".to_owned()), "{calls:?}");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_repaired_and_told_with_field_values_risk_and_time() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.tamper("one", |live| live.colour = "tampered".to_owned());
    eventually("repair", || async { rig.events("Repaired").await.pop() }).await;
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "red");
    let drift = rig.events("DriftDetected").await;
    assert_eq!(drift.len(), 1);
    assert_eq!(drift[0].message, "wrong colour: colour \"tampered\" → \"red\"");
    let repaired = rig.events("Repaired").await;
    assert_eq!(repaired[0].message, "PaintCrate (Safe): wrong colour; colour \"tampered\" → \"red\"");
    assert!(repaired[0].details["seconds"].as_f64().is_some_and(|s| s < 5.0), "{}", repaired[0].details);
    assert_eq!(rig.events("Tampering").await.len(), 1);
    rig.wait_for("prod", "Synced", "True InSync").await;
    let metrics = rig.metrics.render(jiff::Timestamp::UNIX_EPOCH);
    assert!(metrics.contains("eventchain_drift_detected_total{kind=\"Crate\"} 1"), "{metrics}");
    assert!(metrics.contains("eventchain_drift_convergence_seconds_count{kind=\"Crate\"} 1"), "{metrics}");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_deleted_by_hand_comes_back() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.remove("Crate", "one");
    eventually("one is back", || async { rig.cloud.get("Crate", "one") }).await;
    eventually("repair", || async { rig.events("Repaired").await.pop() }).await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_changes_nothing_writes_freshness_and_nothing_else() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    let (version, sweeps, calls) = loop {
        // The passes that the creation woke come to rest first.
        let before = (rig.store.resource_version().await.unwrap(), rig.cloud.sweeps());
        eventually("five sweeps", || async { (rig.cloud.sweeps() >= before.1 + 5).then_some(()) }).await;
        if rig.store.resource_version().await.unwrap() == before.0 {
            break (before.0, rig.cloud.sweeps(), rig.cloud.calls().len());
        }
    };
    let observed = rig.store.sweeps(&[]).await.unwrap();
    let passes = rig.passes();
    eventually("ten more", || async { (rig.cloud.sweeps() >= sweeps + 10).then_some(()) }).await;
    assert_eq!(rig.store.resource_version().await.unwrap(), version);
    assert_eq!(rig.passes(), passes, "no pass was woken");
    assert!(rig.cloud.calls()[calls..].iter().all(|call| call.starts_with("observe ")), "only sweeps");
    let now = rig.store.sweeps(&[]).await.unwrap();
    assert!(now[0].observed_at > observed[0].observed_at, "the freshness went on");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_generation_is_not_called_synced_before_aws_was_looked_at_again() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    // A change that needs no step.
    rig.cloud.fail_sweeps(Some(model::Class::Transient));
    rig.redeclare("prod", spec(&[("one", "red")], json!({ "onRemove": "Delete" }))).await;
    rig.wait_for("prod", "Synced", "Unknown NotObserved").await;
    rig.cloud.fail_sweeps(None);
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.row("prod").await.status["observedGeneration"], 2);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disruptive_step_waits_for_its_window_and_runs_when_it_opens() {
    let rig = Rig::new().await;
    // Opens at the full hour, once a day, three hours from now or a little more.
    let opens = (runtime::Clock::now(&*rig.clock) + SignedDuration::from_hours(4)).to_zoned(jiff::tz::TimeZone::UTC);
    let cron = format!("0 {} * * *", opens.hour());
    let policy = json!({ "disruptive": "Window", "windows": [{ "cron": cron, "duration": "1h" }] });
    rig.declare("prod", spec(&[("one", "red")], policy.clone())).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.redeclare("prod", spec(&[("one", "!red")], policy)).await;
    rig.wait_for("prod", "Blocked", "True OutsideWindow").await;
    let row = rig.row("prod").await;
    assert!(row.status["nextCheckAt"].is_string(), "it says until when: {}", row.status);
    assert_eq!(rig.resource("prod", "Crate", "one").await.unwrap().diff[0]["hold"]["reason"], "OutsideWindow");
    rig.clock.advance(SignedDuration::from_hours(4));
    // The queue sleeps in real time; somebody's look is what finds the window open.
    rig.ask(store::RequestKind::Reconcile, "prod", json!({})).await;
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "!red");
    rig.wait_for("prod", "Synced", "True InSync").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_opens_wakes_the_queue() {
    let rig = Rig::new().await;
    let now = runtime::Clock::now(&*rig.clock).to_zoned(jiff::tz::TimeZone::UTC);
    // The clock is moved to three seconds before the next full minute, at which the window opens.
    let opens = now.timestamp() + SignedDuration::from_secs(60 - i64::from(now.second()));
    let at = opens.to_zoned(jiff::tz::TimeZone::UTC);
    let cron = format!("{} {} * * *", at.minute(), at.hour());
    let policy = json!({ "disruptive": "Window", "windows": [{ "cron": cron, "duration": "1h" }] });
    rig.cloud.put("Crate", "one", Rig::ours("prod", "red"));
    rig.clock.advance(SignedDuration::from_secs(60 - i64::from(now.second()) - 3));
    rig.declare("prod", spec(&[("one", "!red")], policy)).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Blocked", "True OutsideWindow").await;
    assert!(rig.cloud.writes().is_empty());
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.cloud.writes(), ["PaintCrate one"]);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_of_the_shown_plan_lets_its_steps_through_once() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "?black")], json!({}))).await;
    rig.cloud.put("Crate", "one", Rig::ours("prod", "red"));
    let runtime = rig.start();
    rig.wait_for("prod", "Blocked", "True ApprovalRequired").await;
    assert!(rig.cloud.writes().is_empty());
    let row = rig.row("prod").await;
    let plan = &row.status["plan"];
    assert_eq!(plan["gated"][0]["operation"], "PaintCrate");
    let steps: Vec<String> = serde_json::from_value(plan["steps"].clone()).unwrap();
    let now = runtime::Clock::now(&*rig.clock);
    let approval = NewApproval {
        environment_uid: row.uid,
        plan_hash: plan["hash"].as_str().unwrap().to_owned(),
        steps,
        apply: None,
        approver: "alice".to_owned(),
        now,
        expires_at: now + SignedDuration::from_hours(1),
    };
    rig.store.approve(&approval).await.unwrap();
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.cloud.writes(), ["PaintCrate one"]);
    assert!(rig.row("prod").await.status.get("plan").is_none());
    eventually("the approval is used up", || async {
        rig.store.valid_approvals(row.uid, now).await.unwrap().is_empty().then_some(())
    })
    .await;
    rig.cloud.tamper("one", |live| live.colour = "red".to_owned());
    rig.wait_for("prod", "Blocked", "True ApprovalRequired").await;
    assert_eq!(rig.cloud.writes().len(), 1, "the same step needs another approval");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_object_is_marked_and_repaired_safely_and_the_rest_waits() {
    let rig = Rig::new().await;
    let found = Live { tags: Tags::new(), ..Rig::ours("", "red") };
    rig.cloud.put("Crate", "safe", found.clone());
    rig.cloud.put("Crate", "risky", found);
    let policy = json!({ "disruptive": "Immediately" });
    rig.declare("prod", spec(&[("safe", "blue"), ("risky", "!blue")], policy)).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Blocked", "True ApprovalRequired").await;
    let mut writes = rig.cloud.writes();
    writes.sort();
    assert_eq!(writes, ["PaintCrate safe", "TagResource risky", "TagResource safe"]);
    assert_eq!(rig.events("Adopted").await.len(), 2);
    let risky = rig.resource("prod", "Crate", "risky").await.unwrap();
    assert_eq!(risky.report["adoptedGeneration"], 1);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_owners_object_is_never_touched() {
    let rig = Rig::new().await;
    rig.cloud.put("Crate", "one", Rig::ours("other", "red"));
    rig.declare("prod", spec(&[("one", "blue")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Blocked", "True OwnedByAnother").await;
    assert!(rig.cloud.writes().is_empty());
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observing_and_pausing_report_and_write_nothing() {
    let rig = Rig::new().await;
    rig.declare("watched", spec(&[("one", "red")], json!({ "mode": "Observe" }))).await;
    rig.declare("paused", spec(&[("two", "red")], json!({}))).await;
    let now = runtime::Clock::now(&*rig.clock);
    let pause = store::Pause { reason: "sale".to_owned(), owner: "alice".to_owned(), until: None, since: now };
    rig.store.set_pause("paused", store::Precondition::default(), Some(&pause)).await.unwrap();
    let runtime = rig.start();
    rig.wait_for("watched", "Blocked", "True ObserveMode").await;
    rig.wait_for("paused", "Paused", "True Paused").await;
    rig.wait_for("paused", "Synced", "False OutOfSync").await;
    assert!(rig.cloud.writes().is_empty());
    rig.store.set_pause("paused", store::Precondition::default(), None).await.unwrap();
    rig.wait_for("paused", "Synced", "True InSync").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_red_button_and_the_cap_hold_every_step() {
    let rig = Rig::new().await;
    let update = store::OperatorUpdate { mode: Some(store::OperatorMode::Observe), ..Default::default() };
    rig.store.update_operator(store::Precondition::default(), &update).await.unwrap();
    rig.declare("a", spec(&[("one", "red")], json!({}))).await;
    rig.declare("b", spec(&[("two", "red")], json!({}))).await;
    let runtime = rig.start();
    for name in ["a", "b"] {
        rig.wait_for(name, "Blocked", "True ObserveMode").await;
    }
    let caps = store::Caps { count: Some(1), share: None };
    let update =
        store::OperatorUpdate { mode: Some(store::OperatorMode::Enforce), caps: Some(caps), ..Default::default() };
    rig.store.update_operator(store::Precondition::default(), &update).await.unwrap();
    eventually("one of them is changed, the other held", || async {
        let (a, b) = (rig.condition("a", "Blocked").await, rig.condition("b", "Blocked").await);
        let held = [a.as_str(), b.as_str()].iter().filter(|blocked| **blocked == "True BlastRadiusCap").count();
        (held == 1 && rig.cloud.writes().len() == 1).then_some(())
    })
    .await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_all_environments_counts_those_of_other_accounts_too() {
    let rig = Rig::new().await;
    let caps = store::Caps { count: None, share: Some(0.5) };
    let update = store::OperatorUpdate { caps: Some(caps), ..Default::default() };
    rig.store.update_operator(store::Precondition::default(), &update).await.unwrap();
    let names = ["a", "b", "c"];
    for name in names {
        rig.declare(name, spec(&[(name, "red")], json!({}))).await;
    }
    // Two of four may be changed; without the one that nobody here works on it would be one of three.
    rig.declare("elsewhere", spec(&[("d", "red")], json!({}))).await;
    sqlx::query("UPDATE environments SET account = '210987654321' WHERE name = 'elsewhere'")
        .execute(&rig.db.pool)
        .await
        .unwrap();
    let runtime = rig.start();
    eventually("two are changed, and the third held", || async {
        let mut held = 0;
        for name in names {
            held += usize::from(rig.condition(name, "Blocked").await == "True BlastRadiusCap");
        }
        (held == 1 && rig.cloud.writes().len() == 2).then_some(())
    })
    .await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_busy_is_waited_for_and_what_is_broken_is_stalled() {
    let rig = Rig::new().await;
    rig.cloud.put("Crate", "one", Live { state: "busy".to_owned(), ..Rig::ours("prod", "red") });
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Progressing", "True Busy").await;
    assert_eq!(rig.condition("prod", "Ready").await, "False Busy");
    rig.cloud.tamper("one", |live| live.state = "broken".to_owned());
    rig.wait_for("prod", "Stalled", "True Broken").await;
    eventually("its event", || async { rig.events("Broken").await.pop() }).await;
    rig.cloud.tamper("one", |live| live.state = "ok".to_owned());
    rig.wait_for("prod", "Ready", "True AllReady").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_is_heard_between_two_steps_of_one_pass() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], json!({}))).await;
    rig.cloud.fail_next(Fault::Slow);
    let runtime = rig.start();
    rig.cloud.hanging.notified().await;
    let now = runtime::Clock::now(&*rig.clock);
    let pause = store::Pause { reason: "sale".to_owned(), owner: "alice".to_owned(), until: None, since: now };
    let asked = rig.queue_adds();
    rig.store.set_pause("prod", store::Precondition::default(), Some(&pause)).await.unwrap();
    eventually("the runtime has heard it", || async { (rig.queue_adds() > asked).then_some(()) }).await;
    rig.cloud.go_on();
    rig.wait_for("prod", "Paused", "True Paused").await;
    assert_eq!(rig.cloud.writes(), ["CreateCrate one"]);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_environments_share_one_sweep_of_each_kind() {
    let rig = Rig::new().await;
    let names: Vec<String> = (0..30).map(|n| format!("env-{n}")).collect();
    for name in &names {
        let (one, two) = (format!("{name}-one"), format!("{name}-two"));
        rig.declare(name, spec(&[(&one, "red"), (&two, "blue lid")], json!({}))).await;
    }
    let runtime = rig.start();
    for name in &names {
        rig.wait_for(name, "Synced", "True InSync").await;
    }
    let writes = rig.cloud.writes().len();
    assert_eq!(writes, 90, "each object is made once");
    let (sweeps, start) = (rig.cloud.sweeps(), tokio::time::Instant::now());
    eventually("twenty sweeps", || async { (rig.cloud.sweeps() >= sweeps + 20).then_some(()) }).await;
    // Crates each 100 ms and lids each 200 ms, however many environments there are: 15 in a second.
    assert!(start.elapsed() >= std::time::Duration::from_millis(900), "{:?}", start.elapsed());
    assert_eq!(rig.cloud.writes().len(), writes);
    runtime.shutdown().await;
}
