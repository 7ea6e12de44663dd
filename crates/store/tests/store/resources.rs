//! Managed resources: only what differs is written.

use serde_json::{Value, json};
use store::{AccountFreshness, Error, Freshness, ManagedResourceRow, PageRequest, ResourceFilter, ResourceUpsert};
use uuid::Uuid;

use crate::postgres::test_database;
use crate::support::{ACCOUNT, alarm, at, create, exact_footprint, expire_lease, footprint, hold, upsert, versions};

#[tokio::test]
async fn only_the_rows_that_differ_get_a_new_version() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let batch = [upsert("a", json!({ "on": true })), upsert("b", json!({ "on": true })), upsert("c", Value::Null)];
    let written = store.upsert_resources(environment.uid, &batch, &fence, at(1)).await.unwrap();
    assert_eq!(written.changed.len(), 3);
    let before = store.resources_of(environment.uid).await.unwrap();
    assert_eq!(before[&alarm("c")].observed, Value::Null);

    let batch = [upsert("a", json!({ "on": true })), upsert("b", json!({ "on": false })), upsert("c", Value::Null)];
    let written = store.upsert_resources(environment.uid, &batch, &fence, at(2)).await.unwrap();
    assert_eq!(written.changed.keys().collect::<Vec<_>>(), [&alarm("b")]);
    let after = store.resources_of(environment.uid).await.unwrap();
    assert_eq!(after[&alarm("a")], before[&alarm("a")]);
    let b = &after[&alarm("b")];
    assert_eq!((b.resource_version, b.changed_at, b.created_at), (written.changed[&alarm("b")], at(2), at(1)));
    assert_eq!(b.uid, before[&alarm("b")].uid);
}

#[tokio::test]
async fn an_equal_batch_writes_nothing_at_all() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let batch = [
        ResourceUpsert { memory: Some(json!({ "n": 1 })), ..upsert("a", json!({ "list": [1, { "x": null }] })) },
        upsert("b", json!({ "big": 1e16, "small": 0.1, "int": u64::MAX })),
    ];
    store.upsert_resources(environment.uid, &batch, &fence, at(1)).await.unwrap();
    let before = exact_footprint(&db.pool).await;
    let written = store.upsert_resources(environment.uid, &batch, &fence, at(2)).await.unwrap();
    assert!(written.changed.is_empty() && written.memory_only == 0);
    assert!(store.upsert_resources(environment.uid, &[], &fence, at(2)).await.unwrap().changed.is_empty());
    assert_eq!(exact_footprint(&db.pool).await, before);
}

#[tokio::test]
async fn memory_is_kept_privately_and_changes_no_version() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let with_memory = |memory: Option<Value>, observed: Value| ResourceUpsert { memory, ..upsert("a", observed) };
    let write =
        async |one: ResourceUpsert| store.upsert_resources(environment.uid, &[one], &fence, at(1)).await.unwrap();
    write(with_memory(None, json!(1))).await;
    let row = async || store.get_resource("prod-alarm-a").await.unwrap();
    assert_eq!(row().await.memory, Value::Null);
    let before = versions(&db.pool).await;
    let written = write(with_memory(Some(json!({ "seen": "v1" })), json!(1))).await;
    assert_eq!((written.changed.len(), written.memory_only), (0, 1));
    assert_eq!(row().await.memory, json!({ "seen": "v1" }));
    assert_eq!(versions(&db.pool).await, before);
    // A public change without a word about the memory keeps it.
    write(with_memory(None, json!(2))).await;
    assert_eq!(row().await.memory, json!({ "seen": "v1" }));

    let log = store.changes_since(0, &["ManagedResource"], 10).await.unwrap();
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|change| !change.object.to_string().contains("seen")));
    let logged: ManagedResourceRow = serde_json::from_value(log[1].object.clone()).unwrap();
    assert_eq!(logged, ManagedResourceRow { memory: Value::Null, ..row().await });
}

#[tokio::test]
async fn the_last_entry_for_one_object_in_a_batch_counts() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let batch = [upsert("a", json!(1)), upsert("a", json!(2))];
    store.upsert_resources(environment.uid, &batch, &fence, at(1)).await.unwrap();
    assert_eq!(store.get_resource("prod-alarm-a").await.unwrap().observed, json!(2));
}

#[tokio::test]
async fn a_stale_owner_writes_and_deletes_nothing() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    store.upsert_resources(environment.uid, &[upsert("a", json!(1))], &fence, at(1)).await.unwrap();
    expire_lease(&db.pool).await;
    let before = footprint(&db.pool).await;
    let stale = store.upsert_resources(environment.uid, &[upsert("a", json!(2))], &fence, at(1)).await;
    assert!(matches!(stale, Err(Error::StaleEpoch { .. })));
    let stale = store.delete_resources(environment.uid, &[alarm("a")], &fence).await;
    assert!(matches!(stale, Err(Error::StaleEpoch { .. })));
    assert_eq!(footprint(&db.pool).await, before);
}

#[tokio::test]
async fn resources_of_an_environment_that_is_gone_are_refused() {
    let db = test_database().await;
    let store = db.store();
    let fence = hold(&store, "one").await;
    let result = store.upsert_resources(Uuid::new_v4(), &[upsert("a", json!(1))], &fence, at(1)).await;
    assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
}

#[tokio::test]
async fn a_sweeps_freshness_is_joined_and_bumps_nothing() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    store.upsert_resources(environment.uid, &[upsert("a", json!(1))], &fence, at(1)).await.unwrap();
    assert_eq!(store.get_resource("prod-alarm-a").await.unwrap().observed_at, None);
    let before = versions(&db.pool).await;
    let sweep = |kind: &str, second| Freshness {
        account: ACCOUNT.to_owned(),
        region: "us-east-1".to_owned(),
        kind: kind.to_owned(),
        observed_at: at(second),
    };
    store.write_freshness(&fence, &[sweep("Alarm", 1), sweep("Alarm", 2), sweep("EcsService", 2)]).await.unwrap();
    store.write_freshness(&fence, &[sweep("Alarm", 9)]).await.unwrap();
    store.write_freshness(&fence, &[]).await.unwrap();
    assert_eq!(versions(&db.pool).await, before);
    assert_eq!(store.get_resource("prod-alarm-a").await.unwrap().observed_at, Some(at(9)));
    let sweeps = store.sweeps(&[ACCOUNT.to_owned()]).await.unwrap();
    let sweeps: Vec<_> = sweeps.iter().map(|row| (row.kind.as_str(), row.observed_at)).collect();
    assert_eq!(sweeps, [("Alarm", at(9)), ("EcsService", at(2))]);
    assert!(store.sweeps(&["other".to_owned()]).await.unwrap().is_empty());

    let (row, known) = store.get_environment_fresh("prod").await.unwrap();
    assert_eq!(row, store.get_environment("prod").await.unwrap());
    assert!(known.attended);
    let mut found: Vec<_> = known.sweeps.iter().map(|row| (row.kind.as_str(), row.observed_at)).collect();
    found.sort_unstable();
    assert_eq!(found, [("Alarm", at(9)), ("EcsService", at(2))]);
    assert_eq!(store.account_freshness(ACCOUNT).await.unwrap(), known);
    assert_eq!(store.account_freshness("other").await.unwrap(), AccountFreshness::default());
    let missing = store.get_environment_fresh("other").await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");

    expire_lease(&db.pool).await;
    assert!(!store.get_environment_fresh("prod").await.unwrap().1.attended);
    let stale = store.write_freshness(&fence, &[sweep("Alarm", 10)]).await;
    assert!(matches!(stale, Err(Error::StaleEpoch { .. })));
}

#[tokio::test]
async fn filters_and_pages_select_resources() {
    let db = test_database().await;
    let store = db.store();
    let environment = create(&store, "prod").await;
    let fence = hold(&store, "one").await;
    let batch: Vec<_> = ["a", "b", "c"].iter().map(|identity| upsert(identity, json!(1))).collect();
    store.upsert_resources(environment.uid, &batch, &fence, at(1)).await.unwrap();
    let list = async |filter: ResourceFilter, page: PageRequest| store.list_resources(&filter, &page).await.unwrap();
    let page = list(ResourceFilter::default(), PageRequest { limit: Some(2), after: None }).await;
    assert_eq!(page.items.len(), 2);
    let rest = list(ResourceFilter::default(), PageRequest { limit: Some(2), after: page.next }).await;
    assert_eq!(rest.items.iter().map(|row| row.key.identity.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(rest.next, None);
    let some = |text: &str| Some(text.to_owned());
    let none = ResourceFilter::default;
    let cases = [
        (ResourceFilter { environment: some("prod"), ..none() }, 3),
        (ResourceFilter { environment: some("other"), ..none() }, 0),
        (ResourceFilter { environment_uid: Some(environment.uid), ..none() }, 3),
        (ResourceFilter { account: some(ACCOUNT), ..none() }, 3),
        (ResourceFilter { kind: some("EcsService"), ..none() }, 0),
        (ResourceFilter { kind: some("Alarm"), identity: some("b"), ..none() }, 1),
        (ResourceFilter { name: some("prod-alarm-c"), ..none() }, 1),
    ];
    for (filter, expected) in cases {
        assert_eq!(list(filter.clone(), PageRequest::default()).await.items.len(), expected, "{filter:?}");
    }
    assert!(matches!(store.get_resource("none").await, Err(Error::NotFound { .. })));
}
