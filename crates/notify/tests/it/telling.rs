//! Who is told of what: since when, how often, and by whom.

use std::collections::BTreeSet;
use std::time::Duration;

use notify::{Receiver, Timing};
use serde_json::{Value, json};

use crate::support::{Answer, Came, Hook, Rig, eventually, receiver, timing};

fn message(came: &Came) -> String {
    let body: Value = serde_json::from_str(&came.text).unwrap();
    body["data"]["message"].as_str().unwrap().to_owned()
}

async fn messages(hook: &Hook, many: usize) -> Vec<String> {
    hook.wait_for(many).await.iter().map(message).collect()
}

#[tokio::test]
async fn a_new_receiver_is_told_of_what_happens_from_then_on_also_next_to_one_that_was_there_before() {
    let (rig, old, new) = (Rig::new().await, Hook::new(&[]).await, Hook::new(&[]).await);
    for n in 0..300 {
        rig.happens("DriftDetected", &format!("long ago {n}")).await;
    }
    let handle = rig.follow(vec![receiver("old", &old)]).await;
    rig.happens("DriftDetected", "one").await;
    assert_eq!(messages(&old, 1).await, ["one"]);
    handle.shutdown().await;
    // While nobody follows: for the old one, which was there.
    rig.happens("DriftDetected", "two").await;
    let handle = rig.start(vec![receiver("old", &old), receiver("new", &new)]);
    assert_eq!(messages(&old, 2).await, ["one", "two"]);
    rig.happens("DriftDetected", "three").await;
    assert_eq!(messages(&new, 1).await, ["three"]);
    assert_eq!(messages(&old, 3).await, ["one", "two", "three"]);
    handle.shutdown().await;
}

#[tokio::test]
async fn a_receiver_that_comes_back_is_not_told_of_what_happened_while_nobody_was_to_be_told() {
    let (rig, hook) = (Rig::new().await, Hook::new(&[]).await);
    let handle = rig.follow(vec![receiver("ops", &hook)]).await;
    rig.happens("DriftDetected", "one").await;
    hook.wait_for(1).await;
    handle.shutdown().await;
    let nobody = rig.start_as("two", Vec::new(), timing());
    eventually("it is forgotten", || async {
        rig.store.notification_receivers().await.unwrap().is_empty().then_some(())
    })
    .await;
    nobody.shutdown().await;
    rig.happens("DriftDetected", "in silence").await;
    let handle = rig.start_as("three", vec![receiver("ops", &hook)], timing());
    rig.followed().await;
    rig.happens("DriftDetected", "two").await;
    assert_eq!(messages(&hook, 2).await, ["one", "two"]);
    handle.shutdown().await;
}

#[tokio::test]
async fn without_receivers_no_lease_is_taken_and_nothing_is_followed() {
    let rig = Rig::new().await;
    let handle = rig.start(Vec::new());
    rig.happens("DriftDetected", "x").await;
    handle.shutdown().await;
    assert_eq!(rig.store.lease_of("notify").await.unwrap(), None);
}

#[tokio::test]
async fn what_waits_for_a_receiver_that_is_no_longer_configured_is_dropped() {
    let (rig, down) = (Rig::new().await, Hook::new(&[Answer::Status(503); 1000]).await);
    let handle = rig.follow(vec![receiver("old", &down)]).await;
    rig.happens("DriftDetected", "x").await;
    down.wait_for(1).await;
    handle.shutdown().await;
    let hook = Hook::new(&[]).await;
    let handle = rig.start(vec![receiver("new", &hook)]);
    eventually("it is dropped", || async { (rig.outcomes("old").await == [Some("Dropped".to_owned())]).then_some(()) })
        .await;
    handle.shutdown().await;
}

#[tokio::test]
async fn two_replicas_tell_each_event_once() {
    let (rig, hook) = (Rig::new().await, Hook::new(&[]).await);
    let one = rig.start_as("one", vec![receiver("ops", &hook)], timing());
    let two = rig.start_as("two", vec![receiver("ops", &hook)], timing());
    rig.followed().await;
    let all: Vec<String> = (0..40).map(|n| format!("drift {n}")).collect();
    for message in &all[..20] {
        rig.happens("DriftDetected", message).await;
    }
    hook.wait_for(1).await;
    // Whichever of them told so far, the other one goes on.
    let lease = rig.store.lease_of("notify").await.unwrap().unwrap();
    let (teller, other) = if lease.holder == "one" { (one, two) } else { (two, one) };
    teller.shutdown().await;
    for message in &all[20..] {
        rig.happens("DriftDetected", message).await;
    }
    assert_eq!(messages(&hook, 40).await, all, "each once, in order");
    eventually("all are settled", || async {
        rig.outcomes("ops").await.iter().all(|outcome| outcome.as_deref() == Some("Delivered")).then_some(())
    })
    .await;
    other.shutdown().await;
    let ids: BTreeSet<String> = hook.came().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!((hook.came().len(), ids.len()), (40, 40));
}

#[tokio::test]
async fn repetitions_are_told_together_once_the_time_between_two_messages_has_passed() {
    let (rig, hook, often) = (Rig::new().await, Hook::new(&[]).await, Hook::new(&[]).await);
    let all = vec![receiver("ops", &hook), Receiver { repeat_after: Duration::ZERO, ..receiver("often", &often) }];
    let handle = rig.follow(all).await;
    for seen in 1..=3 {
        rig.happens("DriftDetected", "the same").await;
        // Sent, so that what comes next is not merged into it.
        hook.wait_for(1).await;
        let came = often.wait_for(seen).await;
        let body: Value = serde_json::from_str(&came[seen - 1].text).unwrap();
        assert_eq!(body["data"]["count"], json!(seen));
    }
    rig.happens("DriftDetected", "another").await;
    assert_eq!(messages(&hook, 2).await, ["the same", "another"], "what is new is told at once");
    // The second and the third time, in one message.
    eventually("all else is settled", || async {
        let waiting = rig.waiting("ops").await;
        (waiting.len() == 1 && waiting[0].0 == 1 && waiting[0].1["data"]["count"] == 3).then_some(())
    })
    .await;
    assert!(rig.metric(r#"eventchain_notifications_merged_total{receiver="ops"} 1"#));
    let shown = &rig.store.notification_receivers().await.unwrap()[1];
    assert_eq!((shown.name.as_str(), shown.waiting), ("ops", 0), "what is not due does not wait for the receiver");
    rig.time_passes().await;
    assert_eq!(messages(&hook, 3).await[2], "the same");
    assert!(hook.came()[2].header("webhook-id") != hook.came()[0].header("webhook-id"));
    handle.shutdown().await;
}

#[tokio::test]
async fn while_a_receiver_is_away_what_repeats_waits_as_one_message() {
    let (rig, hook) = (Rig::new().await, Hook::new(&[Answer::Status(503)]).await);
    let slow = Timing { first_retry: Duration::from_secs(600), longest_retry: Duration::from_secs(600), ..timing() };
    let handle = rig.start_as("one", vec![receiver("ops", &hook)], slow);
    rig.followed().await;
    rig.happens("DriftDetected", "first").await;
    hook.wait_for(1).await;
    for _ in 0..50 {
        rig.happens("StepFailed", "again and again").await;
        rig.happens("DriftDetected", "again and again").await;
    }
    eventually("all are followed", || async {
        let waiting = rig.waiting("ops").await;
        (waiting.len() == 2 && waiting[1].1["data"]["count"] == 50).then_some(())
    })
    .await;
    let shown = rig.store.notification_receivers().await.unwrap();
    assert_eq!((shown[0].waiting, shown[0].failures), (2, 1));
    assert_eq!(shown[0].last_error.as_deref(), Some("HTTP 503"));
    assert!(shown[0].failing_since.is_some() && shown[0].last_delivered_at.is_none());
    handle.shutdown().await;
}
