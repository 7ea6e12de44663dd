//! Leases and requests to the owner.

use std::time::Duration;

use serde_json::json;
use store::{Acquired, Error, Fence, Lease, NewRequest, RequestKind, Store};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::postgres::test_database;
use crate::support::{ACCOUNT, expire_lease};

const TTL: Duration = Duration::from_mins(1);

async fn acquire(store: &Store, holder: &str) -> Acquired {
    store.acquire_lease(ACCOUNT, holder, TTL).await.unwrap()
}

async fn acquired(store: &Store, holder: &str) -> Lease {
    match acquire(store, holder).await {
        Acquired::Held(lease) => lease,
        other @ Acquired::HeldBy { .. } => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_holds_a_shard_and_the_other_is_told_who_and_for_how_long() {
    let db = test_database().await;
    let store = db.store();
    let lease = acquired(&store, "one").await;
    assert_eq!((lease.epoch, lease.remaining), (1, TTL));
    assert_eq!(lease.deadline(), lease.since + TTL);
    let Acquired::HeldBy { holder, remaining } = acquire(&store, "two").await else { panic!() };
    assert_eq!(holder, "one");
    assert!(remaining <= TTL && remaining > TTL / 2, "{remaining:?}");
    // Taking what one holds prolongs it, under the same epoch.
    assert_eq!(acquired(&store, "one").await.epoch, 1);
    let rows = store.leases().await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].shard.as_str(), rows[0].holder.as_str(), rows[0].epoch), (ACCOUNT, "one", 1));
    assert!(rows[0].held_for < TTL);
    assert_eq!(store.lease_of("other").await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_under_a_new_epoch_and_the_old_holder_finds_out() {
    let db = test_database().await;
    let store = db.store();
    let first = acquired(&store, "one").await;
    expire_lease(&db.pool).await;
    assert_eq!(store.lease_of(ACCOUNT).await.unwrap().unwrap().remaining, Duration::ZERO);
    assert!(matches!(store.renew_lease(&first.fence(), "one", TTL).await, Err(Error::StaleEpoch { .. })));
    let second = acquired(&store, "two").await;
    assert_eq!(second.epoch, 2);
    assert!(matches!(store.renew_lease(&first.fence(), "one", TTL).await, Err(Error::StaleEpoch { .. })));
    assert!(!store.release_lease(&first.fence(), "one").await.unwrap());
    assert_eq!(store.renew_lease(&second.fence(), "two", TTL).await.unwrap().epoch, 2);
}

#[tokio::test]
async fn a_tenure_that_was_interrupted_has_a_new_epoch_even_for_the_same_holder() {
    let db = test_database().await;
    let store = db.store();
    acquired(&store, "one").await;
    expire_lease(&db.pool).await;
    assert_eq!(acquired(&store, "one").await.epoch, 2);
}

#[tokio::test]
async fn a_released_lease_is_free_at_once_and_its_epoch_never_comes_back() {
    let db = test_database().await;
    let store = db.store();
    let first = acquired(&store, "one").await;
    assert!(store.release_lease(&first.fence(), "one").await.unwrap());
    assert!(!store.release_lease(&first.fence(), "one").await.unwrap());
    assert_eq!(acquired(&store, "two").await.epoch, 2);
}

#[tokio::test]
async fn of_many_that_race_for_a_free_shard_one_gets_it() {
    let db = test_database().await;
    let store = db.store();
    for round in 1..=5 {
        let mut racing = tokio::task::JoinSet::new();
        for racer in 0..8 {
            let store = store.clone();
            racing.spawn(async move { acquire(&store, &format!("racer-{racer}")).await });
        }
        let results = racing.join_all().await;
        let held: Vec<_> = results.iter().filter(|one| matches!(one, Acquired::Held(_))).collect();
        assert_eq!(held.len(), 1, "{results:?}");
        assert!(matches!(held[0], Acquired::Held(lease) if lease.epoch == round));
        expire_lease(&db.pool).await;
    }
}

#[tokio::test]
async fn another_holder_cannot_renew_under_a_guessed_epoch() {
    let db = test_database().await;
    let store = db.store();
    let lease = acquired(&store, "one").await;
    assert!(matches!(store.renew_lease(&lease.fence(), "two", TTL).await, Err(Error::StaleEpoch { .. })));
    let never = Fence { shard: "other".to_owned(), epoch: 1 };
    assert!(matches!(store.renew_lease(&never, "one", TTL).await, Err(Error::StaleEpoch { .. })));
}

fn request(shard: &str, ttl: Duration) -> NewRequest {
    NewRequest {
        kind: RequestKind::Plan,
        shard: shard.to_owned(),
        environment: "prod".to_owned(),
        body: json!({ "patch": {} }),
        ttl,
    }
}

#[tokio::test]
async fn the_owner_finds_what_it_is_asked_and_the_first_answer_stands() {
    let db = test_database().await;
    let store = db.store();
    let id = store.ask(&request("a", TTL)).await.unwrap();
    store.ask(&request("b", TTL)).await.unwrap();
    store.ask(&request("a", Duration::ZERO)).await.unwrap();
    let pending = store.pending_requests(&["a".to_owned(), "c".to_owned()]).await.unwrap();
    assert_eq!(pending.len(), 1, "another shard's, and one that is too late, are not there: {pending:?}");
    let one = &pending[0];
    assert_eq!((one.id, one.kind, one.environment.as_str()), (id, RequestKind::Plan, "prod"));
    assert_eq!(one.body, json!({ "patch": {} }));
    assert!(one.remaining > TTL / 2 && one.remaining <= TTL);

    assert_eq!(store.request_answer(id).await.unwrap(), None);
    assert!(store.answer_request(id, &json!({ "steps": 0 })).await.unwrap());
    assert!(!store.answer_request(id, &json!({ "steps": 9 })).await.unwrap());
    assert_eq!(store.request_answer(id).await.unwrap(), Some(json!({ "steps": 0 })));
    assert!(store.pending_requests(&["a".to_owned()]).await.unwrap().is_empty());
    let unknown = Uuid::new_v4();
    assert!(matches!(store.answer_request(unknown, &json!(1)).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.request_answer(unknown).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.wait_for_answer(unknown, TTL).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_waiter_is_woken_by_the_answer() {
    let db = test_database().await;
    let store = db.store();
    let (stop, stopped) = oneshot::channel::<()>();
    let listening = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .run_listener(async {
                    let _ = stopped.await;
                })
                .await;
        }
    });
    // A JSON null is an answer too.
    let id = store.ask(&request("a", TTL)).await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.wait_for_answer(id, TTL).await }
    });
    tokio::task::yield_now().await;
    store.answer_request(id, &json!(null)).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Some(json!(null)));
    stop.send(()).unwrap();
    listening.await.unwrap();
}

#[tokio::test]
async fn a_waiter_looks_by_itself_and_gives_up_in_time() {
    let db = test_database().await;
    let store = db.store();
    let id = store.ask(&request("a", TTL)).await.unwrap();
    assert_eq!(store.wait_for_answer(id, Duration::ZERO).await.unwrap(), None);
    assert_eq!(store.wait_for_answer(id, Duration::from_millis(20)).await.unwrap(), None);
    // No listener runs here.
    let (waited, answered) =
        tokio::join!(store.wait_for_answer(id, TTL), async { store.answer_request(id, &json!(1)).await });
    assert_eq!((waited.unwrap(), answered.unwrap()), (Some(json!(1)), true));
}

#[tokio::test]
async fn old_requests_are_pruned() {
    let db = test_database().await;
    let store = db.store();
    let late = store.ask(&request("a", Duration::ZERO)).await.unwrap();
    let open = store.ask(&request("a", TTL)).await.unwrap();
    assert_eq!(store.prune_requests(TTL).await.unwrap(), 0);
    assert_eq!(store.prune_requests(Duration::ZERO).await.unwrap(), 1);
    assert!(matches!(store.request_answer(late).await, Err(Error::NotFound { .. })));
    assert_eq!(store.request_answer(open).await.unwrap(), None);
}
