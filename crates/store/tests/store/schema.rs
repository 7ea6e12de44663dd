//! Migrations: from empty, checked, ahead, behind, edited. And the pool's behaviour towards a server that is not there.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use store::{Config, Error, NoObserver, SchemaStatus, Store, Unavailable};

use crate::postgres::test_database;

#[tokio::test]
async fn an_empty_database_is_behind_and_current_after_migrating() {
    let db = test_database().await;
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").execute(&db.pool).await.unwrap();
    let store = db.store();
    let SchemaStatus::Behind { missing } = store.schema_status().await.unwrap() else { panic!() };
    assert_eq!(missing.len(), store::MIGRATOR.iter().count());
    store.migrate().await.unwrap();
    assert_eq!(store.schema_status().await.unwrap(), SchemaStatus::Current);
    assert!(store.schema_status().await.unwrap().is_usable());
    store.migrate().await.unwrap();
}

#[tokio::test]
async fn replicas_that_migrate_together_do_not_disturb_each_other() {
    let db = test_database().await;
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").execute(&db.pool).await.unwrap();
    let store = db.store();
    let (left, right) = tokio::join!(store.migrate(), store.migrate());
    left.unwrap();
    right.unwrap();
    assert_eq!(store.schema_status().await.unwrap(), SchemaStatus::Current);
}

#[tokio::test]
async fn a_newer_schema_is_compatible_until_it_says_otherwise() {
    let db = test_database().await;
    let store = db.store();
    let newer = 99_990_101_000_000_i64;
    sqlx::query("INSERT INTO _sqlx_migrations SELECT $1, 'later', now(), true, '\\x00', 1")
        .bind(newer)
        .execute(&db.pool)
        .await
        .unwrap();
    let status = store.schema_status().await.unwrap();
    assert_eq!(status, SchemaStatus::AheadCompatible { unknown: vec![newer] });
    assert!(status.is_usable());
    store.migrate().await.unwrap();
    sqlx::query("UPDATE schema_info SET oldest_reader = $1").bind(newer).execute(&db.pool).await.unwrap();
    let status = store.schema_status().await.unwrap();
    assert_eq!(status, SchemaStatus::TooNew { oldest_reader: newer });
    assert!(!status.is_usable());
}

#[tokio::test]
async fn an_edited_migration_is_noticed() {
    let db = test_database().await;
    let store = db.store();
    let version = store::MIGRATOR.iter().next().unwrap().version;
    sqlx::query("UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = $1")
        .bind(version)
        .execute(&db.pool)
        .await
        .unwrap();
    assert_eq!(store.schema_status().await.unwrap(), SchemaStatus::Diverged { versions: vec![version] });
    assert!(matches!(store.migrate().await, Err(Error::Migrate(_))));
}

#[tokio::test]
async fn every_constraint_has_a_name_of_its_own() {
    let db = test_database().await;
    // Names that Postgres makes up end in _check, _fkey1, _key1, …; ours are written out in the migrations.
    let migrations: String = store::MIGRATOR.iter().map(|one| one.sql.as_str().to_owned()).collect();
    let rows = sqlx::query(
        "SELECT conname::text AS name FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
           AND conrelid <> '_sqlx_migrations'::regclass",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert!(rows.len() > 20);
    for row in rows {
        let name: String = row.get("name");
        assert!(migrations.contains(&format!("CONSTRAINT {name} ")), "{name} is not named in a migration");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let mut config = Config::new("postgres://nobody@localhost/none?host=/nonexistent");
    config.connect_timeout = Duration::from_millis(200);
    let store = Store::connect_lazy(&config, Arc::new(NoObserver)).unwrap();
    let error = store.ping().await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    let error = Store::connect(&config, Arc::new(NoObserver)).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

#[tokio::test]
async fn statements_and_locks_have_limits_on_the_server() {
    let db = test_database().await;
    let mut config = Config::new(&db.url);
    config.statement_timeout = Duration::from_millis(300);
    config.lock_timeout = Duration::from_millis(50);
    let store = Store::connect(&config, Arc::new(NoObserver)).await.unwrap();
    let mut blocker = db.pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM counter FOR UPDATE").execute(&mut *blocker).await.unwrap();
    let error = store.write_events(&[crate::support::event("A", "a", 1)]).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { class: Unavailable::Timeout, .. }), "{error:?}");
    blocker.rollback().await.unwrap();
    store.write_events(&[crate::support::event("A", "a", 1)]).await.unwrap();
    store.close().await;
    assert!(store.ping().await.unwrap_err().is_unavailable());
}

#[tokio::test]
async fn a_transaction_that_lost_to_another_is_run_again() {
    let db = test_database().await;
    // Under this isolation, whoever waited for the counter row is told to begin anew.
    let strict =
        db.pool.connect_options().as_ref().clone().options([("default_transaction_isolation", "repeatable read")]);
    let pool = sqlx::postgres::PgPoolOptions::new().connect_with(strict).await.unwrap();
    let store = Store::from_pool(pool);
    let mut blocker = db.pool.begin().await.unwrap();
    sqlx::query("UPDATE counter SET resource_version = resource_version + 1").execute(&mut *blocker).await.unwrap();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.write_events(&[crate::support::event("A", "a", 1)]).await }
    });
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&db.pool).await.unwrap() {
        tokio::task::yield_now().await;
    }
    blocker.commit().await.unwrap();
    let written = writing.await.unwrap().unwrap();
    assert_eq!((written[0].count, written[0].resource_version), (1, 3));
}

#[tokio::test]
async fn contention_that_lasts_is_reported_as_such() {
    let db = test_database().await;
    sqlx::raw_sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = 'serialization_failure'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .execute(&db.pool)
    .await
    .unwrap();
    let error = db.store().write_events(&[crate::support::event("A", "a", 1)]).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { class: Unavailable::Contention, .. }), "{error:?}");
}

#[tokio::test]
async fn a_password_is_not_shown() {
    let config = Config::new("postgres://user:hunter2@localhost/db");
    assert!(!format!("{config:?}").contains("hunter2"));
}
