//! The object log: what was written, in the order of commits, with nothing missing.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use store::{EnvironmentRow, Error, LoggedEvent, Precondition, RevisionRow};

use crate::postgres::test_database;
use crate::support::{at, create, event, hold, update_spec, upsert};

#[tokio::test]
async fn every_write_is_logged_with_the_object_as_it_became() {
    let db = test_database().await;
    let store = db.store();
    let created = create(&store, "prod").await;
    let updated = store.update_environment(&update_spec("prod", json!({ "v": 2 }))).await.unwrap().environment;
    let deleting = store.request_delete("prod", Precondition::default(), None, at(20)).await.unwrap();
    store.remove_environment(created.uid, None).await.unwrap();

    let log = store.changes_since(0, &["Environment"], 100).await.unwrap();
    let events: Vec<_> = log.iter().map(|change| change.event).collect();
    assert_eq!(events, [LoggedEvent::Added, LoggedEvent::Modified, LoggedEvent::Modified, LoggedEvent::Deleted]);
    for (change, expected) in log.iter().zip([&created, &updated, &deleting]) {
        let object: EnvironmentRow = serde_json::from_value(change.object.clone()).unwrap();
        assert_eq!(&object, expected);
        assert_eq!(change.resource_version, object.resource_version);
        assert_eq!(change.name, "prod");
    }
    let last: EnvironmentRow = serde_json::from_value(log[3].object.clone()).unwrap();
    assert!(last.resource_version > deleting.resource_version);

    let revisions = store.changes_since(0, &["Revision"], 100).await.unwrap();
    let names: Vec<_> = revisions.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(names, ["prod-1", "prod-2"]);
    let revision: RevisionRow = serde_json::from_value(revisions[1].object.clone()).unwrap();
    assert_eq!(revision, store.get_revision("prod", 2).await.unwrap());
}

#[tokio::test]
async fn the_log_is_read_on_from_any_version() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "a").await;
    let middle = store.resource_version().await.unwrap();
    create(&store, "b").await;
    let all = store.changes_since(0, &[], 100).await.unwrap();
    assert_eq!(all.len(), 4);
    let rest = store.changes_since(middle, &[], 100).await.unwrap();
    assert_eq!(rest, all[2..]);
    assert_eq!(store.changes_since(0, &[], 3).await.unwrap(), all[..3]);
    assert!(store.changes_since(all[3].resource_version, &[], 100).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_pruned_is_gone_and_said_to_be() {
    let db = test_database().await;
    let store = db.store();
    create(&store, "a").await;
    let old = store.resource_version().await.unwrap();
    assert_eq!(store.prune_log(Duration::from_hours(1)).await.unwrap(), 0);
    sqlx::query("UPDATE object_log SET logged_at = logged_at - interval '2 hours'").execute(&db.pool).await.unwrap();
    create(&store, "b").await;

    assert_eq!(store.prune_log(Duration::from_hours(1)).await.unwrap(), 2);
    assert_eq!(store.prune_log(Duration::from_hours(1)).await.unwrap(), 0);
    let gone = store.changes_since(old - 1, &[], 10).await.unwrap_err();
    assert!(matches!(gone, Error::Gone { pruned_through } if pruned_through == old), "{gone:?}");
    assert_eq!(store.changes_since(old, &[], 10).await.unwrap().len(), 2);
    assert!(matches!(store.changes_since(0, &["Change"], 10).await, Err(Error::Gone { .. })));
}

#[tokio::test]
async fn pruning_goes_on_until_nothing_old_is_left() {
    let db = test_database().await;
    let store = db.store();
    let many: Vec<_> = (0..1500).map(|number| event("A", &format!("number {number}"), 1)).collect();
    store.write_events(&many).await.unwrap();
    assert_eq!(store.prune_log(Duration::ZERO).await.unwrap(), 1500);
    let version = store.resource_version().await.unwrap();
    assert!(store.changes_since(version, &[], 10).await.unwrap().is_empty());
    assert!(matches!(store.changes_since(version - 1, &[], 10).await, Err(Error::Gone { .. })));
}

/// Two replicas' worth of writers, and a reader that follows the log all the while. A version that became visible after
/// a later one would be missed by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_follows_the_log_misses_nothing_under_concurrent_writers() {
    const WRITERS: usize = 8;
    const WRITES: usize = 15;
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        let fence = fence.clone();
        writers.spawn(async move {
            let name = format!("env-{writer}");
            let uid = create(&store, &name).await.uid;
            for write in 0..WRITES {
                match write % 3 {
                    0 => {
                        store.update_environment(&update_spec(&name, json!({ "write": write }))).await.unwrap();
                    }
                    1 => {
                        let mut one = upsert(&name, json!({ "write": write }));
                        one.name = format!("{name}-alarm");
                        store.upsert_resources(uid, &[one], &fence, at(1)).await.unwrap();
                    }
                    _ => {
                        store.write_events(&[event("Drift", &format!("{name} {write}"), 1)]).await.unwrap();
                    }
                }
            }
        });
    }
    let reader = store.clone();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let following = tokio::spawn(async move {
        let mut seen = Vec::new();
        let mut from = 0;
        loop {
            // Asked before the read: what was committed until then must be in it.
            let last = stopped.try_recv().is_ok();
            let changes = reader.changes_since(from, &[], 1000).await.unwrap();
            from = changes.last().map_or(from, |change| change.resource_version);
            seen.extend(changes.into_iter().map(|change| change.resource_version));
            if last {
                return seen;
            }
        }
    });
    while let Some(result) = writers.join_next().await {
        result.unwrap();
    }
    stop.send(()).unwrap();
    let seen = following.await.unwrap();
    let all: Vec<i64> =
        sqlx::query_scalar("SELECT resource_version FROM object_log ORDER BY 1").fetch_all(&db.pool).await.unwrap();
    assert!(all.len() >= WRITERS * WRITES);
    assert_eq!(seen, all);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(all.last().copied(), Some(store.resource_version().await.unwrap()));
    assert_eq!(all, (2..2 + all.len() as i64).collect::<Vec<_>>(), "no version is lost or skipped");
}
