//! What is delivered, how often, to whom, and what happens when it cannot be.

use std::time::Duration;

use notify::{Class, Failure, Receiver, Secret, Target, Timing, sign};
use serde_json::Value;

use crate::support::{Answer, Hook, Rig, SECRET, eventually, receiver, timing, wants};

#[tokio::test]
async fn an_event_is_posted_once_signed_with_all_that_is_known_of_it() {
    let (rig, hook) = (Rig::new().await, Hook::new(&[]).await);
    rig.happens("DriftDetected", "before anybody listened").await;
    let handle = rig.follow(vec![receiver("ops", &hook)]).await;
    rig.happens("DriftDetected", "windows: backups.window").await;
    rig.happens("Updated", "not wanted").await;
    rig.happens("ChangeApproved", "by ann").await;
    let came = hook.wait_for(2).await;
    handle.shutdown().await;

    assert_eq!(hook.came().len(), 2);
    let reasons: Vec<String> = came.iter().map(super::support::Came::reason).collect();
    assert_eq!(reasons, ["DriftDetected", "ChangeApproved"], "in the order in which they happened");
    let first = &came[0];
    let id = first.header("webhook-id");
    assert!(id.starts_with("msg_") && id != came[1].header("webhook-id"), "{id}");
    let timestamp: i64 = first.header("webhook-timestamp").parse().unwrap();
    let secret = Secret::parse(SECRET).unwrap();
    assert_eq!(first.header("webhook-signature"), sign(&[secret], id, timestamp, &first.text));
    assert_eq!(first.header("content-type"), "application/json");
    let body: Value = serde_json::from_str(&first.text).unwrap();
    assert_eq!(body["type"], "drift.DriftDetected");
    assert_eq!(body["data"]["message"], "windows: backups.window");
    assert_eq!(body["data"]["environment"]["name"], "prod");
    assert_eq!(rig.outcomes("ops").await, [Some("Delivered".to_owned()), Some("Delivered".to_owned())]);
    let lease = rig.store.lease_of("notify").await.unwrap().unwrap();
    assert!(lease.remaining.is_zero(), "it was given back");
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_with_the_same_id_until_it_takes_it() {
    let rig = Rig::new().await;
    let hook = Hook::new(&[Answer::Status(500), Answer::Hang, Answer::Status(302), Answer::Status(429)]).await;
    let handle = rig.follow(vec![receiver("ops", &hook)]).await;
    rig.happens("DriftDetected", "x").await;
    let came = hook.wait_for(5).await;
    eventually("it is delivered", || async {
        (rig.outcomes("ops").await == [Some("Delivered".to_owned())]).then_some(())
    })
    .await;
    assert!(came.iter().all(|one| one.header("webhook-id") == came[0].header("webhook-id")));
    assert!(came.iter().all(|one| one.path == "/hook"), "a redirection is not followed");
    assert!(came.iter().all(|one| one.text == came[0].text));
    eventually("what happened to it is told", || async {
        (rig.events("NotificationFailing").await == 1 && rig.events("NotificationRecovered").await == 1).then_some(())
    })
    .await;
    assert!(rig.metric(r#"eventchain_notification_attempts_total{outcome="retried",receiver="ops"} 4"#));
    assert!(rig.metric(r#"eventchain_notification_attempts_total{outcome="delivered",receiver="ops"} 1"#));
    handle.shutdown().await;
}

#[tokio::test]
async fn a_receiver_that_dawdles_with_the_rest_of_its_answer_has_the_message_all_the_same() {
    let (rig, hook) = (Rig::new().await, Hook::new(&[Answer::Dawdle]).await);
    let patient = Timing { attempt: Duration::from_secs(20), ..timing() };
    let handle = rig.start_as("one", vec![receiver("ops", &hook)], patient);
    rig.followed().await;
    rig.happens("DriftDetected", "x").await;
    eventually("it is delivered", || async {
        (rig.outcomes("ops").await == [Some("Delivered".to_owned())]).then_some(())
    })
    .await;
    assert_eq!(hook.came().len(), 1);
    handle.shutdown().await;
}

#[tokio::test]
async fn a_receiver_that_is_down_holds_up_no_other() {
    let rig = Rig::new().await;
    let (up, hangs) = (Hook::new(&[]).await, Hook::new(&[Answer::Hang; 100]).await);
    // Nobody listens there any more.
    let gone = Hook { url: "http://127.0.0.1:9/hook".to_owned(), ..Hook::new(&[]).await };
    let all = vec![receiver("gone", &gone), receiver("hangs", &hangs), receiver("up", &up)];
    let patient = Timing { attempt: Duration::from_secs(20), ..timing() };
    let handle = rig.start_as("one", all, patient);
    rig.followed().await;
    for n in 0..5 {
        rig.happens("DriftDetected", &format!("drift {n}")).await;
    }
    up.wait_for(5).await;
    hangs.wait_for(1).await;
    assert_eq!(hangs.came().len(), 1, "it is still being waited for");
    assert_eq!(rig.outcomes("gone").await, vec![None; 5], "kept until it comes back");
    drop(handle);
}

#[tokio::test]
async fn what_one_message_is_refused_for_does_not_hold_up_the_next() {
    let rig = Rig::new().await;
    let hook = Hook::new(&[Answer::Status(400), Answer::Status(204)]).await;
    let slow = Timing { first_retry: Duration::from_secs(60), longest_retry: Duration::from_secs(60), ..timing() };
    let handle = rig.start_as("one", vec![receiver("ops", &hook)], slow);
    rig.followed().await;
    rig.happens("DriftDetected", "refused").await;
    rig.happens("DriftDetected", "taken").await;
    eventually("the second is delivered", || async {
        (rig.outcomes("ops").await == [None, Some("Delivered".to_owned())]).then_some(())
    })
    .await;
    handle.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_delivered_in_time_or_ever_is_given_up_and_said_to_be() {
    let rig = Rig::new().await;
    let (late, gone) = (Hook::new(&[Answer::Status(503); 100]).await, Hook::new(&[Answer::Status(410)]).await);
    let other = Hook::new(&[]).await;
    let watcher = Receiver { wants: wants(&[Class::Notifications]), ..receiver("watcher", &other) };
    let impatient = Timing { give_up_after: Duration::from_millis(150), ..timing() };
    let all = vec![receiver("late", &late), receiver("gone", &gone), watcher];
    let handle = rig.start_as("one", all, impatient);
    rig.followed().await;
    rig.happens("BackupTooOld", "x").await;
    for name in ["late", "gone"] {
        eventually(&format!("{name} is given up"), || async {
            (rig.outcomes(name).await == [Some("GivenUp".to_owned())]).then_some(())
        })
        .await;
    }
    assert_eq!(gone.came().len(), 1, "whoever says that he is gone is not asked again");
    // One that fails and is given up, and one that is given up at once.
    let told = other.wait_for(3).await;
    assert!(told.iter().filter(|one| one.reason() == "NotificationGivenUp").count() >= 2);
    assert!(rig.metric(r#"eventchain_notification_attempts_total{outcome="given_up",receiver="late"} 1"#));
    handle.shutdown().await;
}

#[tokio::test]
async fn a_crash_loses_nothing_and_one_replica_tells_at_a_time() {
    let (rig, hook) = (Rig::new().await, Hook::new(&[]).await);
    let first = rig.follow(vec![receiver("ops", &hook)]).await;
    rig.happens("DriftDetected", "one").await;
    hook.wait_for(1).await;
    let second = rig.start_as("two", vec![receiver("ops", &hook)], timing());
    rig.happens("DriftDetected", "two").await;
    hook.wait_for(2).await;
    first.shutdown().await;
    // Nobody, or the second already: what happens meanwhile is told all the same.
    rig.happens("DriftDetected", "three").await;
    hook.wait_for(3).await;
    second.shutdown().await;
    rig.happens("DriftDetected", "four").await;
    let third = rig.start_as("three", vec![receiver("ops", &hook)], timing());
    let came = hook.wait_for(4).await;
    third.shutdown().await;
    let ids: std::collections::BTreeSet<&str> = came.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!((came.len(), ids.len()), (4, 4));
}

#[tokio::test]
async fn a_delivery_whose_sender_died_is_sent_again_under_its_id() {
    let (rig, hook) = (Rig::new().await, Hook::new(&[Answer::Hang]).await);
    let patient = Timing { attempt: Duration::from_secs(1), lease_ttl: Duration::from_secs(1), ..timing() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mortal = {
        let _inside = runtime.enter();
        rig.start_as("mortal", vec![receiver("ops", &hook)], patient.clone())
    };
    rig.followed().await;
    rig.happens("DriftDetected", "x").await;
    hook.wait_for(1).await;
    // The process is gone in the middle of the call: nothing is settled, no lease is given back.
    runtime.shutdown_background();
    let successor = rig.start_as("successor", vec![receiver("ops", &hook)], patient);
    let came = hook.wait_for(2).await;
    assert_eq!(came[0].header("webhook-id"), came[1].header("webhook-id"));
    successor.shutdown().await;
    drop(mortal);
}

#[tokio::test]
async fn whoever_sends_next_goes_on_waiting_where_the_one_before_ended() {
    let (rig, hook) = (Rig::new().await, Hook::new(&[Answer::Status(503)]).await);
    let slow = Timing { first_retry: Duration::from_secs(600), longest_retry: Duration::from_secs(600), ..timing() };
    let first = rig.start_as("one", vec![receiver("ops", &hook)], slow.clone());
    rig.followed().await;
    rig.happens("DriftDetected", "x").await;
    eventually("it is seen away", || async {
        (rig.store.notification_receivers().await.unwrap()[0].failures == 1).then_some(())
    })
    .await;
    first.shutdown().await;
    let second = rig.start_as("two", vec![receiver("ops", &hook)], slow);
    rig.happens("DriftDetected", "y").await;
    // Followed, and so looked at by the sender; and looked at again for the next.
    for waiting in 2..4 {
        eventually("it is queued", || async { (rig.waiting("ops").await.len() == waiting).then_some(()) }).await;
        rig.happens("DriftDetected", "z").await;
    }
    assert_eq!(hook.came().len(), 1, "it was knocked on by the successor");
    sqlx::query("UPDATE notification_receivers SET resting_until = NULL").execute(rig.store.pool()).await.unwrap();
    sqlx::query("UPDATE notification_deliveries SET next_attempt_at = due_at").execute(rig.store.pool()).await.unwrap();
    assert_eq!(hook.wait_for(4).await.len(), 4);
    second.shutdown().await;
}

#[tokio::test]
async fn what_is_too_old_is_given_up_also_while_its_receiver_is_left_alone() {
    let (rig, hook) = (Rig::new().await, Hook::new(&[Answer::Status(503)]).await);
    let slow = Timing { first_retry: Duration::from_secs(600), longest_retry: Duration::from_secs(600), ..timing() };
    let first = rig.start_as("one", vec![receiver("ops", &hook)], slow.clone());
    rig.followed().await;
    rig.happens("DriftDetected", "x").await;
    eventually("it is seen away", || async {
        (rig.store.notification_receivers().await.unwrap()[0].failures == 1).then_some(())
    })
    .await;
    first.shutdown().await;
    sqlx::query("UPDATE notification_deliveries SET due_at = due_at - interval '1 hour'")
        .execute(rig.store.pool())
        .await
        .unwrap();
    let second = rig.start_as("two", vec![receiver("ops", &hook)], slow);
    eventually("it is given up", || async {
        (rig.outcomes("ops").await == [Some("GivenUp".to_owned())]).then_some(())
    })
    .await;
    assert_eq!(hook.came().len(), 1);
    second.shutdown().await;
}

#[tokio::test]
async fn topics_get_the_same_message_with_attributes_to_filter_by() {
    let rig = Rig::new().await;
    rig.topics.failures.lock().unwrap().push_back(Failure::Unavailable);
    let hook = Hook::new(&[]).await;
    let topic_arn = "arn:aws:sns:us-east-1:123456789012:ops".to_owned();
    let target = Target::Sns { topic_arn: topic_arn.clone() };
    let handle = rig.follow(vec![Receiver { target, ..receiver("topic", &hook) }, receiver("ops", &hook)]).await;
    rig.happens("BackupTooOld", "the newest snapshot is 30 h old").await;
    let posted = hook.wait_for(1).await;
    let published = eventually("it is published", || async { rig.topics.published.lock().unwrap().pop() }).await;
    assert_eq!(published.topic_arn, topic_arn);
    assert_eq!(published.subject, "[critical] BackupTooOld: prod");
    assert_eq!(published.body, posted[0].text);
    let of = |name: &str| published.attributes.get(name).map(String::as_str);
    assert_eq!((of("class"), of("severity"), of("reason")), (Some("backup"), Some("critical"), Some("BackupTooOld")));
    assert_eq!((of("environment"), of("installation")), (Some("prod"), Some("eventchain")));
    handle.shutdown().await;
}
