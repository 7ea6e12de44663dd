//! Creations and changes in one statement: the rows of a transaction, and its refusals.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::postgres::{PgPool, PgPoolOptions};
use store::{
    ChangeLink, EnvironmentRow, EnvironmentUpdate, Error, NewChange, NewEnvironment, Origin, Precondition, SpecWrite,
    StatusPatch, Store,
};
use uuid::Uuid;

use crate::postgres::test_database;
use crate::support::{alarm, at, create, footprint, new_environment, spec_write, update_spec};

/// An update that says what it is made from.
fn made_from(row: &EnvironmentRow, spec: Value) -> EnvironmentUpdate<'_> {
    EnvironmentUpdate { made_from: Some(row), ..update_spec(&row.name, spec) }
}

/// All that was told of an environment, under a name that both share and without what differs by nature.
async fn told(pool: &PgPool, name: &str, uid: Uuid) -> Vec<Value> {
    let logged: Vec<Value> = sqlx::query_scalar(
        "SELECT jsonb_build_array(kind, name, event, object) FROM object_log
         WHERE coalesce(object ->> 'environment_uid', object ->> 'uid') = $1 ORDER BY resource_version",
    )
    .bind(uid.to_string())
    .fetch_all(pool)
    .await
    .unwrap();
    let audited: Vec<String> =
        sqlx::query_scalar("SELECT entry FROM audit_pending WHERE entry LIKE '%' || $1 || '%' ORDER BY id")
            .bind(uid.to_string())
            .fetch_all(pool)
            .await
            .unwrap();
    let audited = audited.iter().map(|entry| serde_json::from_str(entry).unwrap());
    logged
        .into_iter()
        .chain(audited)
        .map(|mut value| {
            alike(&mut value, name);
            value
        })
        .collect()
}

fn alike(value: &mut Value, name: &str) {
    match value {
        Value::String(text) => *text = text.replace(name, "it"),
        Value::Array(items) => items.iter_mut().for_each(|item| alike(item, name)),
        Value::Object(fields) => {
            for field in ["uid", "environment_uid", "environmentUid", "resource_version", "resourceVersion"] {
                if fields.contains_key(field) {
                    fields.insert(field.to_owned(), json!("another"));
                }
            }
            fields.values_mut().for_each(|field| alike(field, name));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether the one connection has ever taken the pen by itself.
async fn took_the_pen(pool: &PgPool) -> bool {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pg_prepared_statements WHERE statement LIKE '%FROM counter FOR UPDATE')",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

fn change(name: &str) -> NewChange {
    NewChange {
        name: format!("{name}-change"),
        environment: name.to_owned(),
        phase: "Applying".to_owned(),
        author: "bob".to_owned(),
        message: "scale".to_owned(),
        patch: json!({ "spec": { "n": 3 } }),
        requires: json!({ "count": 1 }),
        outcome: json!({ "reason": "Applied" }),
        applied_at: Some("2026-01-01T00:00:00.123456789Z".parse().unwrap()),
        ..NewChange::default()
    }
}

#[tokio::test]
async fn one_statement_writes_what_a_transaction_writes() {
    let db = test_database().await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&db.url).await.unwrap();
    let origin = Origin {
        actor: "bob".to_owned(),
        groups: vec!["web".to_owned()],
        address: Some("10.0.0.1".to_owned()),
        user_agent: None,
        request_id: None,
        request: Some("PATCH".to_owned()),
        verb: None,
        at: at(3),
    };
    let store = Store::from_pool(pool.clone()).acting_as(origin);
    let mut named = Vec::new();
    for name in ["quick", "usual"] {
        let new = NewEnvironment {
            labels: BTreeMap::from([("team".to_owned(), "web".to_owned())]),
            annotations: BTreeMap::from([("note".to_owned(), "ü \" \\ :x".to_owned())]),
            managed_fields: json!([{ "manager": "curl" }]),
            spec: json!({ "n": 1.5, "m": [] }),
            diff: json!([{ "field": "n", "to": 1.5 }]),
            claims: vec![alarm(name)],
            now: "2026-01-01T00:00:00.123456789Z".parse().unwrap(),
            ..new_environment(name)
        };
        // A record that is finished with it takes the transaction's way.
        let with = (name == "usual").then(|| ChangeLink::Create(change("first")));
        let row = store.create_environment(&NewEnvironment { change: with, ..new }).await.unwrap().environment;
        assert_eq!(took_the_pen(&pool).await, name == "usual", "{name}");
        assert_eq!(row, store.get_environment(name).await.unwrap());
        named.push(row);
    }
    sqlx::query("DISCARD ALL").execute(&pool).await.unwrap();
    pool.close().await;

    let pool = PgPoolOptions::new().max_connections(1).connect(&db.url).await.unwrap();
    let store = Store::from_pool(pool.clone());
    let ready = |status: &Value| json!({ "ready": "Unknown", "before": status });
    let mut all = Vec::new();
    for row in &named {
        let quick = row.name == "quick";
        let update = EnvironmentUpdate {
            made_from: quick.then_some(row),
            precondition: Precondition { resource_version: Some(row.resource_version), ..Precondition::default() },
            labels: Some(BTreeMap::from([("team".to_owned(), "api".to_owned())])),
            managed_fields: Some(json!([{ "manager": "kubectl" }])),
            spec: Some(SpecWrite {
                claims: vec![alarm(&row.name)],
                status: StatusPatch::Apply(&ready),
                ..spec_write(json!({ "n": 3, "m": null }))
            }),
            change: Some(ChangeLink::Create(change(&row.name))),
            ..EnvironmentUpdate::new(&row.name, "2026-01-01T00:00:10.123456789Z".parse().unwrap())
        };
        let written = store.update_environment(&update).await.unwrap();
        assert_eq!(took_the_pen(&pool).await, !quick, "{}", row.name);
        assert!(written.changed && written.spec_changed);
        assert_eq!(written.environment, store.get_environment(&row.name).await.unwrap());
        let record = written.change.unwrap();
        assert_eq!(record, store.get_change(&record.name).await.unwrap());
        assert_eq!((record.revision, record.generation), (Some(2), Some(2)));
        let revision = store.get_revision(&row.name, 2).await.unwrap();
        assert_eq!(revision.spec, json!({ "n": 3, "m": null }));
        assert_eq!(store.claims_of(row.uid).await.unwrap(), [alarm(&row.name)]);
        // The log holds the rows as they are.
        let logged = store.changes_since(row.resource_version, &["Revision"], 10).await.unwrap();
        let logged = logged.into_iter().rfind(|entry| entry.name == revision.name()).unwrap();
        assert_eq!(logged.object, json!(revision));
        all.push((row.name.clone(), row.uid));
    }
    let mut lists = Vec::new();
    for (name, uid) in all {
        let mut list = told(&db.pool, &name, uid).await;
        // The record that made the second one take the other way, and the words that name it.
        list.retain(|entry| !entry.to_string().contains("first-change"));
        lists.push(list);
    }
    assert_eq!(lists[0].len(), 7, "{:#?}", lists[0]);
    let of_the_update = |list: &[Value]| list[list.len() - 1].clone();
    assert_eq!(of_the_update(&lists[0]), of_the_update(&lists[1]));
    for entry in &lists[1] {
        assert!(lists[0].contains(entry), "{entry:#} is not among {:#?}", lists[0]);
    }
}

#[tokio::test]
async fn of_updates_made_from_one_version_one_is_written() {
    let db = test_database().await;
    let store = db.store();
    let row = create(&store, "prod").await;
    let mut racing = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (store, row) = (store.clone(), row.clone());
        racing.spawn(async move {
            let precondition = Precondition { generation: Some(row.generation), ..Precondition::default() };
            let update = EnvironmentUpdate { precondition, ..made_from(&row, json!({ "n": n })) };
            store.update_environment(&update).await.map(|written| written.environment)
        });
    }
    let (written, refused): (Vec<_>, Vec<_>) = racing.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(written.len(), 1);
    assert!(refused.iter().all(|refused| matches!(refused, Err(Error::Conflict { .. }))), "{refused:?}");
    let now = store.get_environment("prod").await.unwrap();
    assert_eq!(written[0].as_ref().unwrap(), &now);
    assert_eq!((now.generation, now.revision), (2, 2));
    let logged = store.changes_since(row.resource_version + 1, &[], 100).await.unwrap();
    let versions: Vec<i64> = logged.iter().map(|entry| entry.resource_version).collect();
    assert_eq!(versions.len(), 2, "{logged:?}");
    assert!(versions[1] <= store.resource_version().await.unwrap());
}

#[tokio::test]
async fn of_creations_of_one_name_one_is_written() {
    let db = test_database().await;
    let store = db.store();
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        racing.spawn(async move { store.create_environment(&new_environment("prod")).await });
    }
    let (written, refused): (Vec<_>, Vec<_>) = racing.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(written.len(), 1);
    assert!(refused.iter().all(|refused| matches!(refused, Err(Error::AlreadyExists { .. }))), "{refused:?}");
    assert_eq!(store.changes_since(1, &[], 100).await.unwrap().len(), 2);
}

#[tokio::test]
async fn of_creations_that_claim_one_object_one_is_written_and_its_name_told() {
    let db = test_database().await;
    let store = db.store();
    let mut racing = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        racing.spawn(async move {
            let claims = vec![alarm("cpu-high"), alarm(&format!("own-{n}"))];
            store.create_environment(&NewEnvironment { claims, ..new_environment(&format!("env-{n}")) }).await
        });
    }
    let (written, refused): (Vec<_>, Vec<_>) = racing.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(written.len(), 1);
    let holder = &written[0].as_ref().unwrap().environment.name;
    for refused in refused {
        let Err(Error::ClaimedBy(conflicts)) = refused else { panic!("{refused:?}") };
        let told: Vec<_> = conflicts.iter().map(|conflict| (&conflict.claim, &conflict.holder)).collect();
        assert_eq!(told, [(&alarm("cpu-high"), holder)]);
    }
}

#[tokio::test]
async fn a_stale_version_writes_nothing_and_uses_up_no_version() {
    let db = test_database().await;
    let store = db.store();
    let stale = create(&store, "prod").await;
    store.update_environment(&made_from(&stale, json!({ "n": 1 }))).await.unwrap();
    let before = footprint(&db.pool).await;
    let precondition = Precondition { generation: Some(stale.generation), ..Precondition::default() };
    let update = EnvironmentUpdate { precondition, ..made_from(&stale, json!({ "n": 2 })) };
    let error = store.update_environment(&update).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    assert_eq!(footprint(&db.pool).await, before);
}

#[tokio::test]
async fn a_status_that_was_written_meanwhile_is_kept() {
    let db = test_database().await;
    let store = db.store();
    let row = create(&store, "prod").await;
    let pause = store::Pause { reason: "x".to_owned(), owner: "x".to_owned(), until: None, since: at(1) };
    store.set_pause("prod", Precondition::default(), Some(&pause)).await.unwrap();
    let written = store.update_environment(&made_from(&row, json!({ "n": 2 }))).await.unwrap();
    assert_eq!(written.environment.pause, Some(pause));
    assert_eq!(written.environment, store.get_environment("prod").await.unwrap());
}

#[tokio::test]
async fn claims_that_change_with_the_spec_are_replaced() {
    let db = test_database().await;
    let store = db.store();
    let row = store
        .create_environment(&NewEnvironment { claims: vec![alarm("a"), alarm("b")], ..new_environment("prod") })
        .await
        .unwrap()
        .environment;
    create(&store, "other").await;
    let spec = SpecWrite { claims: vec![alarm("b"), alarm("c")], ..spec_write(json!({ "n": 1 })) };
    let update = EnvironmentUpdate { spec: Some(spec), ..made_from(&row, json!({})) };
    let row = store.update_environment(&update).await.unwrap().environment;
    assert_eq!(store.claims_of(row.uid).await.unwrap(), [alarm("b"), alarm("c")]);
    let other = store.get_environment("other").await.unwrap();
    let spec = SpecWrite { claims: vec![alarm("c")], ..spec_write(json!({ "n": 1 })) };
    let update = EnvironmentUpdate { spec: Some(spec), ..made_from(&other, json!({})) };
    let error = store.update_environment(&update).await.unwrap_err();
    assert!(matches!(error, Error::ClaimedBy(_)), "{error:?}");
}
