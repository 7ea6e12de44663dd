//! Things go wrong: no duplicate, no lost intent, no false word.

use std::time::Duration;

use jiff::SignedDuration;
use model::Class;
use serde_json::json;
use store::{MutationOutcome, RequestKind};

use crate::support::rig::spec;
use crate::support::{Fault, Rig, eventually};

async fn journal(rig: &Rig) -> Vec<store::JournalRow> {
    let mut rows = rig.store.list_journal(&store::JournalFilter::default(), 100).await.unwrap();
    rows.reverse();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_resolved_by_looking_and_nothing_is_done_twice() {
    let rig = Rig::new().await;
    rig.cloud.fail_next(Fault::LostAnswer);
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.cloud.writes(), ["CreateCrate one"]);
    let rows = journal(&rig).await;
    assert_eq!((rows[0].outcome, rows[0].effective), (Some(MutationOutcome::Applied), Some(true)));
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_call_is_sent_again_with_the_same_token() {
    let rig = Rig::new().await;
    rig.cloud.fail_next(Fault::LostCall);
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.cloud.writes(), ["CreateCrate one", "CreateCrate one"]);
    let tokens = rig.cloud.tokens();
    assert_eq!(tokens[0], tokens[1]);
    let outcomes: Vec<_> = journal(&rig).await.iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, [Some(MutationOutcome::NotApplied), Some(MutationOutcome::Applied)]);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_a_call_that_was_carried_out_makes_no_second_object() {
    let rig = Rig::new().await;
    rig.cloud.fail_next(Fault::Hang);
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mortal = rig.start_mortal();
    rig.cloud.hanging.notified().await;
    mortal.kill();
    let rows = journal(&rig).await;
    assert_eq!((rows.len(), rows[0].outcome), (1, None), "the intent was there before the call");
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.cloud.writes(), ["CreateCrate one"]);
    assert_eq!(journal(&rig).await[0].outcome, Some(MutationOutcome::Applied));
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_before_the_call_arrives_loses_no_intent() {
    let rig = Rig::new().await;
    rig.cloud.fail_next(Fault::HangBefore);
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mortal = rig.start_mortal();
    rig.cloud.hanging.notified().await;
    mortal.kill();
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.cloud.writes(), ["CreateCrate one", "CreateCrate one"]);
    let outcomes: Vec<_> = journal(&rig).await.iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, [Some(MutationOutcome::NotApplied), Some(MutationOutcome::Applied)]);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adoption_whose_pass_was_killed_is_still_known() {
    let rig = Rig::new().await;
    let found = crate::support::Live { tags: model::Tags::new(), ..Rig::ours("", "red") };
    rig.cloud.put("Crate", "one", found);
    rig.cloud.fail_next(Fault::Hang);
    rig.declare("prod", spec(&[("one", "!blue")], json!({ "disruptive": "Immediately" }))).await;
    let mortal = rig.start_mortal();
    rig.cloud.hanging.notified().await;
    mortal.kill();
    let runtime = rig.start();
    rig.wait_for("prod", "Blocked", "True ApprovalRequired").await;
    assert_eq!(rig.cloud.writes(), ["TagResource one"], "what was adopted just now is not painted");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_never_answers_is_given_up_and_looked_after() {
    let rig = Rig::new().await;
    rig.cloud.fail_next(Fault::Hang);
    let mut config = rig.config();
    config.call_timeout = Duration::from_millis(200);
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start_with(config);
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.cloud.writes(), ["CreateCrate one"]);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_leads_to_looks_and_never_to_a_write() {
    let rig = Rig::new().await;
    rig.cloud.fail_reads(Some(Class::Transient));
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "Unknown NotObserved").await;
    eventually("several looks", || async {
        (rig.cloud.calls().iter().filter(|call| *call == "read Crate one").count() >= 3).then_some(())
    })
    .await;
    assert!(rig.cloud.writes().is_empty());
    rig.cloud.fail_reads(None);
    rig.wait_for("prod", "Synced", "True InSync").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_write_nothing_is_believed_before_a_direct_read() {
    let rig = Rig::new().await;
    rig.cloud.put("Crate", "one", Rig::ours("prod", "red"));
    rig.declare("prod", spec(&[("one", "blue")], json!({}))).await;
    rig.cloud.fail_next(Fault::LostCall);
    let runtime = rig.start();
    eventually("the write", || async { (!rig.cloud.writes().is_empty()).then_some(()) }).await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "blue");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_write_is_tried_again_later_and_stalls_nobody() {
    let rig = Rig::new().await;
    rig.cloud.fail_next(Fault::Refused(Class::Throttled));
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], json!({}))).await;
    let runtime = rig.start();
    eventually("the other is not held up", || async { rig.cloud.get("Crate", "two") }).await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.condition("prod", "Stalled").await, "False NotStalled");
    assert!(rig.events("StepFailed").await.is_empty());
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_looked_at_and_planned_again_at_once() {
    let rig = Rig::new().await;
    rig.cloud.fail_next(Fault::Refused(Class::Conflict));
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.cloud.writes().len(), 2);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_aws_denies_is_stalled_told_and_ended_by_the_next_generation() {
    let rig = Rig::new().await;
    rig.cloud.fail_writes(Some(Fault::Refused(Class::Invalid)));
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Stalled", "True ActInvalid").await;
    assert_eq!(rig.cloud.writes().len(), 1, "not tried again soon");
    assert_eq!(rig.events("StepFailed").await.len(), 1);
    rig.cloud.fail_writes(None);
    rig.redeclare("prod", spec(&[("one", "blue")], json!({}))).await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_writes_without_effect_stop_writing_name_the_field_and_wait_for_a_person() {
    let rig = Rig::new().await;
    rig.cloud.put("Crate", "one", Rig::ours("prod", "red"));
    rig.cloud.fail_writes(Some(Fault::NoEffect));
    rig.declare("prod", spec(&[("one", "blue")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Stalled", "True NonConverging").await;
    assert_eq!(rig.cloud.writes().len(), 3);
    let event = rig.events("NonConverging").await.pop().unwrap();
    assert!(event.message.contains("wrote colour three times without effect"), "{}", event.message);
    let answer = rig.ask(RequestKind::Reconcile, "prod", json!({})).await;
    assert_eq!(answer["handled"], true);
    assert_eq!(rig.cloud.writes().len(), 4, "somebody asked: one more try, and no more");
    rig.cloud.fail_writes(None);
    rig.redeclare("prod", spec(&[("one", "green")], json!({}))).await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_aws_is_busy_with_is_called_effective_only_when_it_shows() {
    let rig = Rig::new().await;
    rig.cloud.put("Crate", "one", Rig::ours("prod", "red"));
    rig.cloud.fail_next(Fault::Busy);
    rig.declare("prod", spec(&[("one", "blue")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Progressing", "True Busy").await;
    assert_eq!(
        (journal(&rig).await[0].outcome, journal(&rig).await[0].effective),
        (Some(MutationOutcome::Applied), None)
    );
    assert!(rig.events("Updated").await.is_empty());
    rig.cloud.tamper("one", |live| {
        live.colour = "blue".to_owned();
        live.state = "ok".to_owned();
    });
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(journal(&rig).await[0].effective, Some(true));
    assert_eq!(rig.events("Updated").await.len(), 1);
    assert_eq!(rig.cloud.writes(), ["PaintCrate one"]);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_aws_takes_and_drops_later_stop_after_three() {
    let rig = Rig::new().await;
    rig.cloud.put("Crate", "one", Rig::ours("prod", "red"));
    rig.cloud.fail_writes(Some(Fault::Busy));
    rig.declare("prod", spec(&[("one", "blue")], json!({}))).await;
    let runtime = rig.start();
    for n in 1..=3 {
        eventually("a write", || async { (rig.cloud.writes().len() == n).then_some(()) }).await;
        rig.wait_for("prod", "Progressing", "True Busy").await;
        rig.cloud.tamper("one", |live| live.state = "ok".to_owned());
    }
    rig.wait_for("prod", "Stalled", "True NonConverging").await;
    assert_eq!(rig.cloud.writes().len(), 3);
    let effective: Vec<_> = journal(&rig).await.iter().map(|row| row.effective).collect();
    assert_eq!(effective, [Some(false); 3]);
    assert!(rig.events("Updated").await.is_empty());
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_that_shows_late_is_told_once_however_often_it_was_written() {
    let rig = Rig::new().await;
    rig.cloud.put("Crate", "one", Rig::ours("prod", "red"));
    rig.cloud.fail_writes(Some(Fault::NoEffect));
    rig.declare("prod", spec(&[("one", "blue")], json!({}))).await;
    let runtime = rig.start();
    eventually("two writes", || async { (rig.cloud.writes().len() >= 2).then_some(()) }).await;
    rig.cloud.tamper("one", |live| live.colour = "blue".to_owned());
    rig.wait_for("prod", "Synced", "True InSync").await;
    let events = rig.events("Updated").await;
    assert_eq!(events.iter().map(|event| event.count).collect::<Vec<_>>(), [1]);
    assert!(journal(&rig).await.iter().all(|row| row.effective == Some(true)));
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_create_without_an_object_was_not_applied_whatever_the_plan_waits_for() {
    let rig = Rig::new().await;
    rig.cloud.fail_next(Fault::HangBefore);
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mortal = rig.start_mortal();
    rig.cloud.hanging.notified().await;
    mortal.kill();
    rig.redeclare("prod", spec(&[("one", "red")], json!({ "adoption": "AdoptOnly" }))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Blocked", "True AdoptOnly").await;
    let rows = journal(&rig).await;
    assert_eq!((rows.len(), rows[0].outcome), (1, Some(MutationOutcome::NotApplied)));
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_keeps_changing_is_written_to_no_more_than_its_budget() {
    let rig = Rig::new().await;
    let mut config = rig.config();
    config.write_budget = 3;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start_with(config);
    rig.wait_for("prod", "Synced", "True InSync").await;
    for n in 0..5 {
        rig.cloud.tamper("one", |live| live.colour = format!("by hand {n}"));
        eventually("repaired or held", || async {
            let repaired = rig.cloud.get("Crate", "one").unwrap().colour == "red";
            let held = rig.condition("prod", "Blocked").await == "True WriteBudget";
            (repaired || held).then_some(())
        })
        .await;
    }
    rig.wait_for("prod", "Blocked", "True WriteBudget").await;
    assert_eq!(rig.cloud.writes().len(), 3);
    assert!(rig.row("prod").await.status["nextCheckAt"].is_string());
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_credentials_are_said_and_recover() {
    let rig = Rig::new().await;
    rig.cloud.refuse_credentials(true);
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "CredentialsValid", "False Rejected").await;
    assert!(rig.cloud.calls().is_empty(), "nothing is called before STS confirms the account");
    rig.cloud.refuse_credentials(false);
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.condition("prod", "CredentialsValid").await, "True Accepted");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_sts_refuses_the_account_nothing_is_believed_called_or_written() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mut config = rig.config();
    config.confirm_period = Duration::from_millis(100);
    let runtime = rig.start_with(config);
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.refuse_credentials(true);
    rig.wait_for("prod", "Synced", "Unknown NotObserved").await;
    assert_eq!(rig.condition("prod", "CredentialsValid").await, "False Rejected");
    let calls = rig.cloud.calls().len();
    rig.redeclare("prod", spec(&[("one", "blue"), ("two", "grey")], json!({}))).await;
    let answer = rig.ask(RequestKind::Reconcile, "prod", json!({})).await;
    assert_eq!(answer["handled"], true);
    assert_eq!(rig.cloud.calls().len(), calls);
    rig.cloud.refuse_credentials(false);
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.condition("prod", "CredentialsValid").await, "True Accepted");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_valid_again_when_what_was_denied_is_no_longer_looked_at() {
    let rig = Rig::new().await;
    rig.cloud.deny_sweeps_of(Some("Lid"));
    rig.declare("prod", spec(&[("one", "red lid")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "CredentialsValid", "False Rejected").await;
    rig.redeclare("prod", spec(&[("one", "red")], json!({}))).await;
    rig.wait_for("prod", "CredentialsValid", "True Accepted").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_that_fail_for_long_make_what_is_known_unknown() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let runtime = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.fail_sweeps(Some(Class::Throttled));
    rig.wait_for("prod", "Synced", "Unknown NotObserved").await;
    rig.cloud.fail_sweeps(None);
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(rig.cloud.writes(), ["CreateCrate one"]);
    runtime.shutdown().await;
}

/// A runtime that waits a minute for an effect before it writes the same again.
fn patient(rig: &Rig) -> runtime::Config {
    let mut config = rig.config();
    config.effect_poll = Duration::from_secs(60);
    config
}

fn paints(rig: &Rig) -> usize {
    rig.cloud.writes().iter().filter(|write| *write == "PaintCrate one").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_aws_is_late_to_show_is_written_again_by_no_new_generation_and_by_no_new_owner() {
    let rig = Rig::new().await;
    rig.cloud.put("Crate", "one", Rig::ours("prod", "red"));
    rig.cloud.fail_next(Fault::NoEffect);
    rig.declare("prod", spec(&[("one", "blue")], json!({}))).await;
    let runtime = rig.start_with(patient(&rig));
    eventually("the write", || async { (paints(&rig) == 1).then_some(()) }).await;
    rig.redeclare("prod", spec(&[("one", "blue"), ("two", "red")], json!({}))).await;
    eventually("the new generation's work", || async { rig.cloud.get("Crate", "two") }).await;
    rig.wait_for("prod", "Progressing", "True NotEffectiveYet").await;
    runtime.shutdown().await;
    let runtime = rig.start_with(patient(&rig));
    rig.redeclare("prod", spec(&[("one", "blue"), ("two", "red"), ("three", "red")], json!({}))).await;
    eventually("the new owner's work", || async { rig.cloud.get("Crate", "three") }).await;
    rig.wait_for("prod", "Progressing", "True NotEffectiveYet").await;
    assert_eq!(paints(&rig), 1);
    // Something else is another write.
    rig.redeclare("prod", spec(&[("one", "green"), ("two", "red"), ("three", "red")], json!({}))).await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(paints(&rig), 2);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_whose_effect_is_not_to_be_seen_at_once_is_waited_for() {
    let rig = Rig::new().await;
    rig.cloud.put("Crate", "one", Rig::ours("prod", "red"));
    rig.cloud.fail_next(Fault::LostCall);
    rig.declare("prod", spec(&[("one", "blue")], json!({}))).await;
    let runtime = rig.start_with(patient(&rig));
    let not_applied = || async {
        let rows = journal(&rig).await;
        rows.first().is_some_and(|row| row.outcome == Some(MutationOutcome::NotApplied)).then_some(())
    };
    eventually("the look that did not see it", not_applied).await;
    rig.redeclare("prod", spec(&[("one", "blue"), ("two", "red")], json!({}))).await;
    eventually("the new generation's work", || async { rig.cloud.get("Crate", "two") }).await;
    assert_eq!(paints(&rig), 1);
    rig.clock.advance(SignedDuration::from_secs(61));
    rig.ask(RequestKind::Reconcile, "prod", json!({})).await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(paints(&rig), 2);
    runtime.shutdown().await;
}
