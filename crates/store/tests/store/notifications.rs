//! The outbox: who is told since when, what repeats, what is given up, and that only the holder of the lease writes.

use std::collections::BTreeMap;
use std::time::Duration;

use store::{Attempt, Error, Fence, NewDelivery, Queued, Store};
use uuid::Uuid;

use crate::postgres::test_database;
use crate::support::{event, expire_lease, hold};

const HOUR: Duration = Duration::from_hours(1);

/// Takes the lease and enrols `ops`.
async fn begun(store: &Store) -> Fence {
    let fence = hold(store, "one").await;
    store.enrol_receivers(&["ops"], &fence).await.unwrap();
    fence
}

fn delivery(event: u128, body: &str) -> NewDelivery {
    NewDelivery {
        receiver: "ops".to_owned(),
        event_uid: Uuid::from_u128(event),
        body: body.to_owned(),
        attributes: BTreeMap::from([("class".to_owned(), "drift".to_owned())]),
        repeat_after: HOUR,
    }
}

async fn queue(store: &Store, fence: &Fence, new: &[NewDelivery]) -> Queued {
    store.queue_notifications(1, new, fence).await.unwrap()
}

fn ops(count: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([("ops".to_owned(), count)])
}

#[tokio::test]
async fn a_receiver_is_told_of_what_is_after_its_enrolment_and_the_cursor_begins_at_now() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    store.write_events(&[event("DriftDetected", "long ago", 1)]).await.unwrap();
    let now = store.resource_version().await.unwrap();
    let first = store.enrol_receivers(&["ops"], &fence).await.unwrap();
    assert_eq!((first.cursor, first.receivers["ops"]), (now, now));
    store.write_events(&[event("DriftDetected", "new", 2)]).await.unwrap();
    let events = store.events_after(first.cursor, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.message.as_str()).collect::<Vec<_>>(), ["new"]);
    let later = store.enrol_receivers(&["ops", "late"], &fence).await.unwrap();
    assert_eq!((later.cursor, later.receivers["ops"], later.receivers["late"]), (now, now, events[0].resource_version));
}

#[tokio::test]
async fn what_was_not_begun_is_merged_and_what_was_sent_is_told_again_after_its_time() {
    let db = test_database().await;
    let store = db.store();
    let fence = begun(&store).await;
    let two = [delivery(1, "one"), delivery(2, "other")];
    assert_eq!(queue(&store, &fence, &two).await, Queued { queued: ops(2), ..Queued::default() });
    let again = queue(&store, &fence, &[delivery(1, "one, twice")]).await;
    assert_eq!(again, Queued { merged: ops(1), ..Queued::default() });
    let due = store.due_notifications("ops", 10).await.unwrap();
    assert_eq!(due.len(), 2);
    let sent = store.begin_delivery(due[0], HOUR, &fence).await.unwrap().unwrap();
    assert_eq!((sent.body.as_str(), sent.attempts), ("one, twice", 1));
    assert_eq!(store.begin_delivery(due[0], HOUR, &fence).await.unwrap(), None, "it is on its way");
    // On its way, its contents change no more: the next occurrence is another message, an hour later.
    for body in ["one, three times", "one, four times"] {
        queue(&store, &fence, &[delivery(1, body)]).await;
    }
    assert_eq!(store.end_delivery(due[0], &Attempt::Delivered).await.unwrap(), 0);
    assert_eq!(store.due_notifications("ops", 10).await.unwrap(), [due[1]]);
    let rows: Vec<(String, i64, bool)> = sqlx::query_as(
        "SELECT body, merged, due_at > clock_timestamp() + interval '50 minutes' FROM notification_deliveries ORDER BY id",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    let wanted = [("one, twice", 1, false), ("other", 0, false), ("one, four times", 1, true)];
    assert_eq!(rows, wanted.map(|(body, merged, later)| (body.to_owned(), merged, later)));
}

#[tokio::test]
async fn failures_in_a_row_are_counted_until_something_is_delivered() {
    let db = test_database().await;
    let store = db.store();
    let fence = begun(&store).await;
    queue(&store, &fence, &[delivery(1, "x")]).await;
    let id = store.due_notifications("ops", 1).await.unwrap()[0];
    let away = Attempt::Away { after: Duration::ZERO, error: "HTTP 503".to_owned() };
    for before in 0..3 {
        assert_eq!(store.end_delivery(id, &away).await.unwrap(), before);
    }
    let refused = Attempt::Refused { after: Duration::ZERO, error: "HTTP 400".to_owned() };
    assert_eq!(store.end_delivery(id, &refused).await.unwrap(), 3, "a refusal says nothing about the receiver");
    let shown = &store.notification_receivers().await.unwrap()[0];
    assert_eq!((shown.failures, shown.waiting, shown.last_error.as_deref()), (3, 1, Some("HTTP 400")));
    assert!(shown.failing_since.is_some() && shown.last_delivered_at.is_none());
    assert_eq!(store.end_delivery(id, &Attempt::Delivered).await.unwrap(), 3);
    assert_eq!(store.end_delivery(id, &away).await.unwrap(), 0, "it is settled, and nothing changes any more");
    let shown = &store.notification_receivers().await.unwrap()[0];
    assert_eq!((shown.failures, shown.waiting, shown.failing_since), (0, 0, None));
    assert!(shown.last_delivered_at.is_some());
}

#[tokio::test]
async fn a_receiver_that_is_away_is_left_alone_by_whoever_sends_and_its_failures_are_known_to_the_next() {
    let db = test_database().await;
    let store = db.store();
    let fence = begun(&store).await;
    queue(&store, &fence, &[delivery(1, "x"), delivery(2, "y")]).await;
    let due = store.due_notifications("ops", 10).await.unwrap();
    assert_eq!(store.begin_delivery(due[0], Duration::ZERO, &fence).await.unwrap().unwrap().failures, 0);
    let away = Attempt::Away { after: HOUR, error: "HTTP 503".to_owned() };
    store.end_delivery(due[0], &away).await.unwrap();
    assert_eq!(store.due_notifications("ops", 10).await.unwrap(), [0; 0], "not even what was never tried");
    expire_lease(&db.pool).await;
    let successor = hold(&store, "two").await;
    assert_eq!(store.due_notifications("ops", 10).await.unwrap(), [0; 0], "nor by another");
    sqlx::query("UPDATE notification_receivers SET resting_until = clock_timestamp()")
        .execute(store.pool())
        .await
        .unwrap();
    assert_eq!(store.due_notifications("ops", 10).await.unwrap(), [due[1]]);
    assert_eq!(store.begin_delivery(due[1], HOUR, &successor).await.unwrap().unwrap().failures, 1);
    store.end_delivery(due[1], &away).await.unwrap();
    store.end_delivery(due[0], &Attempt::Delivered).await.unwrap();
    queue(&store, &successor, &[delivery(3, "z")]).await;
    assert_eq!(store.due_notifications("ops", 10).await.unwrap().len(), 1, "whoever takes one is asked again at once");
}

#[tokio::test]
async fn the_old_and_the_oldest_of_too_many_are_given_up() {
    let db = test_database().await;
    let store = db.store();
    let fence = begun(&store).await;
    let many: Vec<NewDelivery> = (0..5).map(|n| delivery(n, "x")).collect();
    queue(&store, &fence, &many).await;
    let give_up = async |age, most| store.give_up_notifications("ops", (age, most), "down", &fence).await.unwrap();
    assert_eq!(give_up(HOUR, 5).await, 0);
    assert_eq!(give_up(HOUR, 3).await, 2, "the oldest");
    let left = store.due_notifications("ops", 10).await.unwrap();
    assert_eq!(left.len(), 3);
    assert_eq!(give_up(Duration::ZERO, 5).await, 3);
    assert_eq!(store.notification_receivers().await.unwrap()[0].waiting, 0);
    store.prune_notifications(HOUR, &fence).await.unwrap();
    let count = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notification_deliveries")
            .fetch_one(store.pool())
            .await
            .unwrap()
    };
    assert_eq!(count().await, 5, "kept for a while");
    store.prune_notifications(Duration::ZERO, &fence).await.unwrap();
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn a_receiver_that_was_configured_a_moment_ago_is_not_forgotten_yet() {
    let db = test_database().await;
    let store = db.store();
    let fence = begun(&store).await;
    queue(&store, &fence, &[delivery(1, "x")]).await;
    store.enrol_receivers(&["new"], &fence).await.unwrap();
    assert_eq!(store.forget_receivers(&["new"], HOUR, &fence).await.unwrap(), 0);
    assert_eq!(store.notification_receivers().await.unwrap().len(), 2);
    assert_eq!(store.forget_receivers(&["new"], Duration::ZERO, &fence).await.unwrap(), 1, "what waited is dropped");
    assert_eq!(store.notification_receivers().await.unwrap().len(), 1);
    store.enrol_receivers(&[], &fence).await.unwrap();
    assert_eq!(store.notification_receivers().await.unwrap(), []);
}

#[tokio::test]
async fn whoever_lost_the_lease_queues_and_sends_nothing() {
    let db = test_database().await;
    let store = db.store();
    let fence = begun(&store).await;
    queue(&store, &fence, &[delivery(1, "x")]).await;
    let id = store.due_notifications("ops", 1).await.unwrap()[0];
    expire_lease(&db.pool).await;
    let stale = |result: Result<(), Error>| assert!(matches!(result, Err(Error::StaleEpoch { .. })), "{result:?}");
    stale(store.queue_notifications(9, &[delivery(2, "y")], &fence).await.map(drop));
    stale(store.begin_delivery(id, HOUR, &fence).await.map(drop));
    stale(store.enrol_receivers(&["ops"], &fence).await.map(drop));
    stale(store.forget_receivers(&[], Duration::ZERO, &fence).await.map(drop));
    stale(store.give_up_notifications("ops", (Duration::ZERO, 0), "x", &fence).await.map(drop));
    stale(store.prune_notifications(Duration::ZERO, &fence).await);
    assert_eq!(store.due_notifications("ops", 10).await.unwrap(), [id]);
    // What was sent before the lease was lost is sent: that is true, whoever holds it now.
    store.end_delivery(id, &Attempt::Delivered).await.unwrap();
    assert_eq!(store.due_notifications("ops", 10).await.unwrap(), [0; 0]);
}
