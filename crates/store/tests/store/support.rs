//! Fixtures: small valid objects, and a lease to write under.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;
use store::{
    Acquired, Claim, EnvironmentRow, EnvironmentUpdate, Fence, NewEnvironment, NewEvent, ResourceKey, ResourceUpsert,
    SpecWrite, StatusPatch, Store,
};
use uuid::Uuid;

pub(crate) const ACCOUNT: &str = "123456789012";

/// A fixed day, so many seconds in.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

pub(crate) fn key(kind: &str, identity: &str) -> ResourceKey {
    ResourceKey {
        account: ACCOUNT.to_owned(),
        region: "us-east-1".to_owned(),
        kind: kind.to_owned(),
        identity: identity.to_owned(),
    }
}

pub(crate) fn alarm(identity: &str) -> Claim {
    key("Alarm", identity)
}

pub(crate) fn new_environment(name: &str) -> NewEnvironment {
    NewEnvironment {
        uid: Uuid::new_v4(),
        name: name.to_owned(),
        account: ACCOUNT.to_owned(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        finalizers: vec!["eventchain.io/converge".to_owned()],
        managed_fields: Value::Null,
        spec: json!({ "services": { "api": { "desiredCount": 2 } } }),
        status: json!({ "conditions": [] }),
        claims: Vec::new(),
        author: "alice".to_owned(),
        message: "first".to_owned(),
        diff: json!([]),
        change: None,
        now: at(0),
    }
}

pub(crate) async fn create(store: &Store, name: &str) -> EnvironmentRow {
    store.create_environment(&new_environment(name)).await.unwrap().environment
}

pub(crate) fn spec_write(spec: Value) -> SpecWrite<'static> {
    SpecWrite {
        spec,
        claims: Vec::new(),
        diff: json!([{ "path": "services.api.desiredCount" }]),
        author: "bob".to_owned(),
        message: "scale".to_owned(),
        status: StatusPatch::Keep,
    }
}

pub(crate) fn update_spec(name: &str, spec: Value) -> EnvironmentUpdate<'_> {
    EnvironmentUpdate { spec: Some(spec_write(spec)), ..EnvironmentUpdate::new(name, at(10)) }
}

pub(crate) async fn hold(store: &Store, holder: &str) -> Fence {
    match store.acquire_lease(ACCOUNT, holder, Duration::from_mins(1)).await.unwrap() {
        Acquired::Held(lease) => lease.fence(),
        other @ Acquired::HeldBy { .. } => panic!("expected to get the lease, found {other:?}"),
    }
}

/// Lets a lease run out, as if its holder had vanished long ago.
pub(crate) async fn expire_lease(pool: &PgPool) {
    sqlx::query("UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'").execute(pool).await.unwrap();
}

pub(crate) fn upsert(identity: &str, observed: Value) -> ResourceUpsert {
    ResourceUpsert {
        name: format!("prod-alarm-{identity}"),
        key: alarm(identity),
        desired: json!({ "threshold": 80 }),
        observed,
        diff: json!([]),
        conditions: json!([]),
        report: json!({}),
        memory: None,
    }
}

pub(crate) fn event(reason: &str, message: &str, second: i64) -> NewEvent {
    NewEvent {
        environment: "prod".to_owned(),
        environment_uid: None,
        regarding_kind: "Alarm".to_owned(),
        regarding_identity: "cpu-high".to_owned(),
        event_type: "Normal".to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        details: json!({ "requestId": format!("r{second}") }),
        now: at(second),
    }
}

/// The store's resourceVersion, and how many entries the log has.
pub(crate) async fn versions(pool: &PgPool) -> (i64, i64) {
    sqlx::query_as("SELECT (SELECT resource_version FROM counter), (SELECT count(*) FROM object_log)")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Where every row of every table is, and which transaction wrote it: equal before and after means that nothing was
/// written.
pub(crate) async fn footprint(pool: &PgPool) -> BTreeMap<String, String> {
    rows_by_table(pool, "concat(ctid, ' ', xmin)").await
}

/// As `footprint`, and which transaction locked it last: equal means that there was not even a row lock.
pub(crate) async fn exact_footprint(pool: &PgPool) -> BTreeMap<String, String> {
    rows_by_table(pool, "concat(ctid, ' ', xmin, ' ', xmax)").await
}

async fn rows_by_table(pool: &PgPool, what: &str) -> BTreeMap<String, String> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            .fetch_all(pool)
            .await
            .unwrap();
    assert!(tables.len() > 10);
    let mut rows = BTreeMap::new();
    for table in tables {
        let query = format!("SELECT coalesce(string_agg({what}, ',' ORDER BY ctid), '') FROM {table}");
        let found: String = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(pool).await.unwrap();
        rows.insert(table, found);
    }
    rows
}
