//! A password that is replaced while the store runs.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use store::{Config, NoObserver, Notification, Store};
use tokio::time::timeout;
use uuid::Uuid;

use crate::postgres::test_database;

/// A bound, not a wait: it reconnects within a second.
const PATIENCE: Duration = Duration::from_secs(20);

async fn run(pool: &PgPool, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await.unwrap();
}

#[tokio::test]
async fn connections_made_after_the_password_was_replaced_use_the_new_one() {
    let db = test_database().await;
    let role = format!("login_{}", Uuid::new_v4().simple());
    run(&db.pool, format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'first'")).await;
    let (_, place) = db.url.split_once('@').unwrap();
    let with = |password: &str| Config::new(format!("postgres://{role}:{password}@{place}"));
    // A server that is started without `cargo xtask` trusts everybody on its machine.
    let checked = Store::connect(&with("wrong"), Arc::new(NoObserver)).await.is_err();
    let store = Store::connect(&with("first"), Arc::new(NoObserver)).await.unwrap();
    let mut listener = store.listen();
    assert_eq!(timeout(PATIENCE, listener.recv()).await.unwrap(), Notification::Resync);

    // As RDS does it, and then all connections are lost: a failover.
    run(&db.pool, format!("ALTER ROLE {role} PASSWORD 'second'")).await;
    let lose = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    run(&db.pool, lose.clone()).await;
    assert_eq!(store.ping().await.is_err(), checked, "the old password is refused");
    store.set_login(&role, "second");
    store.ping().await.unwrap();
    assert_eq!(timeout(PATIENCE, listener.recv()).await.unwrap(), Notification::Resync, "the listener is back too");

    drop((store, listener));
    run(&db.pool, lose).await;
    run(&db.pool, format!("DROP ROLE {role}")).await;
}
