//! A pass's results, written together.

use serde_json::json;
use store::{Error, EventFilter, PageRequest, PassRecord, StatusOutcome};

use crate::postgres::test_database;
use crate::support::{alarm, at, create, event, exact_footprint, expire_lease, footprint, hold, update_spec, upsert};

#[tokio::test]
async fn a_pass_that_changed_nothing_writes_nothing_at_all() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let status = json!({ "synced": true });
    let resources = [upsert("a", json!(1)), upsert("b", json!(2))];
    let pass = PassRecord {
        uid: environment.uid,
        generation: 1,
        status: &status,
        resources: &resources,
        gone: &[],
        events: &[event("Adopted", "a", 1)],
        changes: &[],
        now: at(1),
    };
    let recorded = store.record_pass(&pass, &fence).await.unwrap();
    assert!(matches!(recorded.status, StatusOutcome::Written(_)));
    assert_eq!(recorded.resources.changed.len(), 2);
    let events = store.list_events(&EventFilter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!(events.items.len(), 1);

    let before = exact_footprint(&db.pool).await;
    let pass = PassRecord { events: &[], now: at(2), ..pass };
    let recorded = store.record_pass(&pass, &fence).await.unwrap();
    assert_eq!(recorded.status, StatusOutcome::Unchanged);
    assert!(recorded.resources.changed.is_empty());
    assert_eq!(exact_footprint(&db.pool).await, before);

    expire_lease(&db.pool).await;
    assert!(matches!(store.record_pass(&pass, &fence).await, Err(Error::StaleEpoch { .. })));
}

#[tokio::test]
async fn what_a_superseded_pass_saw_and_did_is_kept_and_its_status_is_not() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    store.upsert_resources(environment.uid, &[upsert("old", json!(1))], &fence, at(1)).await.unwrap();
    store.update_environment(&update_spec("prod", json!({ "v": 2 }))).await.unwrap();
    let status = json!({ "synced": true });
    let pass = PassRecord {
        uid: environment.uid,
        generation: 1,
        status: &status,
        resources: &[upsert("a", json!(1))],
        gone: &[alarm("old"), alarm("never")],
        events: &[event("Repaired", "a", 1)],
        changes: &[],
        now: at(1),
    };
    let recorded = store.record_pass(&pass, &fence).await.unwrap();
    assert_eq!(recorded.status, StatusOutcome::Superseded { generation: 2 });
    assert_eq!(recorded.deleted, 1);
    let resources = store.resources_of(environment.uid).await.unwrap();
    assert_eq!(resources.keys().collect::<Vec<_>>(), [&alarm("a")]);
    assert_eq!(store.get_environment("prod").await.unwrap().status, environment.status);

    // Nothing but an old status to write: that is found out without writing.
    let before = footprint(&db.pool).await;
    let again = PassRecord { gone: &[], events: &[], ..pass };
    assert_eq!(store.record_pass(&again, &fence).await.unwrap().status, StatusOutcome::Superseded { generation: 2 });
    assert_eq!(footprint(&db.pool).await, before);
}

#[tokio::test]
async fn a_pass_is_written_whole_or_not_at_all() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let before = footprint(&db.pool).await;
    let status = json!({ "synced": true });
    let pass = PassRecord {
        uid: environment.uid,
        generation: 1,
        status: &status,
        resources: &[upsert("a", json!(1))],
        gone: &[],
        events: &[event("Bad", "nul \u{0}", 1)],
        changes: &[],
        now: at(1),
    };
    assert!(matches!(store.record_pass(&pass, &fence).await, Err(Error::Rejected { .. })));
    assert_eq!(footprint(&db.pool).await, before);
    assert!(store.resources_of(environment.uid).await.unwrap().is_empty());
}
