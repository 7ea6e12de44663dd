//! Events: one row per meaning.

use serde_json::json;
use store::{EventFilter, EventRow, LoggedEvent, NewEvent, PageRequest};

use crate::postgres::test_database;
use crate::support::{at, event, footprint};

#[tokio::test]
async fn what_happens_again_raises_a_count() {
    let db = test_database().await;
    let store = db.store();
    let first = store.write_events(&[event("Drift", "threshold", 1)]).await.unwrap();
    let again = store
        .write_events(&[event("Drift", "threshold", 5), event("Drift", "threshold", 3), event("Repaired", "x", 6)])
        .await
        .unwrap();
    assert_eq!(again.len(), 2);
    let drift = again.iter().find(|row| row.reason == "Drift").unwrap();
    assert_eq!((drift.count, drift.first_seen, drift.last_seen), (3, at(1), at(5)));
    assert_eq!((drift.uid, &drift.name), (first[0].uid, &first[0].name));
    assert_eq!(drift.details, json!({ "requestId": "r5" }));
    assert!(drift.resource_version > first[0].resource_version);
    assert!(drift.name.starts_with("prod."));

    let log = store.changes_since(0, &["Event"], 10).await.unwrap();
    let kinds: Vec<_> = log.iter().map(|change| change.event).collect();
    assert_eq!(kinds, [LoggedEvent::Added, LoggedEvent::Modified, LoggedEvent::Added]);
    let logged: EventRow = serde_json::from_value(log[1].object.clone()).unwrap();
    assert_eq!(&logged, drift);
}

#[tokio::test]
async fn whatever_differs_in_meaning_is_another_event() {
    let db = test_database().await;
    let store = db.store();
    let base = event("Drift", "threshold", 1);
    let variants = [
        base.clone(),
        NewEvent { environment: "other".to_owned(), ..base.clone() },
        NewEvent { environment: String::new(), ..base.clone() },
        NewEvent { regarding_kind: "EcsService".to_owned(), ..base.clone() },
        NewEvent { regarding_identity: "memory-high".to_owned(), ..base.clone() },
        NewEvent { event_type: "Warning".to_owned(), ..base.clone() },
        NewEvent { reason: "Tampered".to_owned(), ..base.clone() },
        NewEvent { message: "period".to_owned(), ..base.clone() },
    ];
    assert_eq!(store.write_events(&variants).await.unwrap().len(), variants.len());
    let page = store.list_events(&EventFilter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!(page.items.len(), variants.len());
    assert!(page.items.iter().all(|row| row.count == 1));
    assert!(page.items.iter().any(|row| row.name.starts_with("operator.")));

    let some = |text: &str| Some(text.to_owned());
    let none = EventFilter::default;
    let cases = [
        (EventFilter { environment: some("other"), ..none() }, 1),
        (EventFilter { regarding_kind: some("EcsService"), ..none() }, 1),
        (EventFilter { regarding_identity: some("cpu-high"), ..none() }, 7),
        (EventFilter { event_type: some("Warning"), ..none() }, 1),
        (EventFilter { reason: some("Tampered"), ..none() }, 1),
        (EventFilter { name: some(&page.items[0].name), ..none() }, 1),
    ];
    for (filter, expected) in cases {
        let listed = store.list_events(&filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!(listed.len(), expected, "{filter:?}");
        assert_eq!(store.recent_events(&filter, 100).await.unwrap().len(), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn the_newest_come_first() {
    let db = test_database().await;
    let store = db.store();
    store.write_events(&[event("A", "a", 1), event("B", "b", 3), event("C", "c", 2)]).await.unwrap();
    let recent = store.recent_events(&EventFilter::default(), 2).await.unwrap();
    assert_eq!(recent.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["B", "C"]);
}

#[tokio::test]
async fn no_event_is_no_write() {
    let db = test_database().await;
    let store = db.store();
    let before = footprint(&db.pool).await;
    assert!(store.write_events(&[]).await.unwrap().is_empty());
    assert_eq!(footprint(&db.pool).await, before);
}

#[tokio::test]
async fn old_events_are_pruned_and_watchers_see_it() {
    let db = test_database().await;
    let store = db.store();
    // More than one batch of the pruning.
    let old: Vec<_> = (0..501).map(|number| event("Old", &format!("number {number}"), 1)).collect();
    store.write_events(&old).await.unwrap();
    store.write_events(&[event("New", "new", 100)]).await.unwrap();
    let before = store.resource_version().await.unwrap();
    assert_eq!(store.prune_events(at(50)).await.unwrap(), 501);
    assert_eq!(store.prune_events(at(50)).await.unwrap(), 0);
    let left = store.list_events(&EventFilter::default(), &PageRequest::default()).await.unwrap().items;
    assert_eq!(left.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["New"]);
    let log = store.changes_since(before, &["Event"], 1000).await.unwrap();
    assert_eq!(log.len(), 501);
    assert!(log.iter().all(|change| change.event == LoggedEvent::Deleted));
}
