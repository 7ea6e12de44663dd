//! The status: written when it differs, by the owner, for the present generation.

use std::time::Duration;

use serde_json::json;
use store::{Acquired, Error, Fence, StatusOutcome, StatusWrite, Unavailable};
use uuid::Uuid;

use crate::postgres::test_database;
use crate::support::{ACCOUNT, create, exact_footprint, expire_lease, hold, update_spec};

#[tokio::test]
async fn an_equal_status_writes_nothing_at_all() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let status = json!({ "ready": true, "age": 1.5 });
    let write = StatusWrite { uid: environment.uid, generation: 1, status: &status };
    let StatusOutcome::Written(version) = store.write_status(write, &fence).await.unwrap() else { panic!() };
    let row = store.get_environment("prod").await.unwrap();
    assert_eq!((row.resource_version, &row.status, row.generation), (version, &status, 1));

    let before = exact_footprint(&db.pool).await;
    assert_eq!(store.write_status(write, &fence).await.unwrap(), StatusOutcome::Unchanged);
    assert_eq!(exact_footprint(&db.pool).await, before);
}

#[tokio::test]
async fn a_status_of_an_older_generation_is_not_written() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    store.update_environment(&update_spec("prod", json!({ "v": 2 }))).await.unwrap();
    let status = json!({ "synced": true });
    let write = StatusWrite { uid: environment.uid, generation: 1, status: &status };
    let outcome = store.write_status(write, &fence).await.unwrap();
    assert_eq!(outcome, StatusOutcome::Superseded { generation: 2 });
    assert_eq!(store.get_environment("prod").await.unwrap().status, environment.status);
}

#[tokio::test]
async fn only_the_holder_of_the_present_epoch_writes() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let first = hold(&store, "one").await;
    let status = json!({ "by": "one" });
    let write = StatusWrite { uid: environment.uid, generation: 1, status: &status };

    let future = Fence { epoch: first.epoch + 1, ..first.clone() };
    let unknown = Fence { shard: "other".to_owned(), epoch: 1 };
    for fence in [future, unknown] {
        assert!(matches!(store.write_status(write, &fence).await, Err(Error::StaleEpoch { .. })));
    }
    expire_lease(&db.pool).await;
    assert!(matches!(store.write_status(write, &first).await, Err(Error::StaleEpoch { .. })), "it has run out");
    let taken = store.acquire_lease(ACCOUNT, "two", Duration::from_mins(1)).await.unwrap();
    let Acquired::Held(second) = taken else { panic!("{taken:?}") };
    let error = store.write_status(write, &first).await.unwrap_err();
    assert!(matches!(error, Error::StaleEpoch { ref shard, epoch } if shard == ACCOUNT && epoch == first.epoch));
    assert!(matches!(store.write_status(write, &second.fence()).await.unwrap(), StatusOutcome::Written(_)));
}

#[tokio::test]
async fn an_environment_that_is_gone_is_not_found() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let status = json!({});
    let write = StatusWrite { uid: Uuid::new_v4(), generation: 1, status: &status };
    assert!(matches!(store.write_status(write, &fence).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn nobody_takes_the_shard_between_the_check_and_the_commit() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    // A write that has checked its fence and then has to wait for the row.
    let mut blocker = db.pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM environments FOR UPDATE").execute(&mut *blocker).await.unwrap();
    let writing = tokio::spawn({
        let store = store.clone();
        let uid = environment.uid;
        async move {
            let status = json!({ "by": "one" });
            store.write_status(StatusWrite { uid, generation: 1, status: &status }, &fence).await
        }
    });
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'UPDATE environments%')";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&db.pool).await.unwrap() {
        tokio::task::yield_now().await;
    }
    let mut taker = db.pool.acquire().await.unwrap();
    sqlx::query("SET lock_timeout = '50ms'").execute(&mut *taker).await.unwrap();
    let taking = sqlx::query("UPDATE leases SET epoch = epoch + 1, holder = 'two'").execute(&mut *taker).await;
    let error = Error::from(taking.unwrap_err());
    assert!(matches!(error, Error::Unavailable { class: Unavailable::Timeout, .. }), "{error:?}");
    blocker.rollback().await.unwrap();
    assert!(matches!(writing.await.unwrap().unwrap(), StatusOutcome::Written(_)));
}
