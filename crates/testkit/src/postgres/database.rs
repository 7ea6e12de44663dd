//! A fresh, migrated database per test: a copy of a template that is migrated once per server.

use std::env;
use std::str::FromStr;
use std::sync::OnceLock;
use std::thread;

use anyhow::{Context, Result, anyhow};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use store::Store;
use uuid::Uuid;

use super::server::PrivateServer;

/// Advisory lock under which the template is made; an arbitrary number.
const TEMPLATE_LOCK: i64 = 0x6576_656e_7463_6861;

/// A database of one test; dropped with it.
#[derive(Debug)]
pub struct TestDb {
    /// Where it is.
    pub url: String,
    /// A pool on it.
    pub pool: PgPool,
    name: String,
    server: PgConnectOptions,
}

impl TestDb {
    /// A store on it.
    pub fn store(&self) -> Store {
        Store::from_pool(self.pool.clone())
    }
}

/// Makes a database with the present schema.
///
/// # Panics
/// When no server can be reached or started: the test cannot say anything then.
pub async fn test_database() -> TestDb {
    make_database().await.expect("a test that needs Postgres found none")
}

async fn make_database() -> Result<TestDb> {
    let server_url = tokio::task::spawn_blocking(server_url).await??;
    let server = PgConnectOptions::from_str(&server_url).context("the test server's URL cannot be parsed")?;
    let mut connection = server.connect().await.context("cannot reach the test server")?;
    let template = template(&mut connection, &server).await?;
    let name = format!("test_{}", Uuid::new_v4().simple());
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {template}"))).await?;
    connection.close().await?;

    let options = server.clone().database(&name);
    let url = with_database(&server_url, &name)?;
    let pool = PgPoolOptions::new().max_connections(10).connect_with(options).await?;
    Ok(TestDb { url, pool, name, server })
}

fn server_url() -> Result<String> {
    static PRIVATE: OnceLock<Result<PrivateServer, String>> = OnceLock::new();

    for variable in ["EVENTCHAIN_TEST_DATABASE_URL", "DATABASE_URL"] {
        if let Ok(url) = env::var(variable) {
            return Ok(url);
        }
    }
    // Statics are never dropped: the server stops because the process's end closes its lifeline.
    let server = PRIVATE.get_or_init(|| PrivateServer::start_temporary().map_err(|error| format!("{error:#}")));
    server.as_ref().map(|server| server.url("postgres")).map_err(|error| anyhow!(error.clone()))
}

/// The template's name holds the schema's checksum, so that a server which outlives a schema serves both.
async fn template(connection: &mut PgConnection, server: &PgConnectOptions) -> Result<String> {
    let mut checksum = 0_u64;
    for migration in store::MIGRATOR.iter() {
        for byte in migration.checksum.iter() {
            // FNV-1a: good enough to tell schemas apart.
            checksum = (checksum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let name = format!("eventchain_template_{checksum:016x}");
    if exists(connection, &name).await? {
        return Ok(name);
    }
    sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut *connection).await?;
    let made = make_template(connection, server, &name).await;
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(TEMPLATE_LOCK).execute(&mut *connection).await?;
    made.map(|()| name)
}

async fn make_template(connection: &mut PgConnection, server: &PgConnectOptions, name: &str) -> Result<()> {
    if exists(connection, name).await? {
        return Ok(());
    }
    // Under another name until it is whole: a template that exists is a good one.
    let unfinished = format!("{name}_unfinished");
    connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {unfinished}"))).await?;
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {unfinished}"))).await?;
    let mut fresh = server.clone().database(&unfinished).connect().await?;
    store::MIGRATOR.run(&mut fresh).await?;
    fresh.close().await?;
    connection.execute(AssertSqlSafe(format!("ALTER DATABASE {unfinished} RENAME TO {name}"))).await?;
    Ok(())
}

async fn exists(connection: &mut PgConnection, name: &str) -> Result<bool> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(connection)
        .await?)
}

/// `postgres://host/old?x` with another database.
fn with_database(url: &str, name: &str) -> Result<String> {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let (scheme, rest) = base.split_once("://").context("a database URL begins with postgres://")?;
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!("{scheme}://{host}/{name}{query}"))
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // Drop is not async, and the test's own runtime may be ending: a thread with a runtime of its own.
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = server.connect().await?;
                connection.execute(AssertSqlSafe(statement)).await?;
                connection.close().await?;
                anyhow::Ok(())
            })
        });
        // A database that stays behind on a private server goes with it; on a shared one it is only untidy.
        let _ = dropping.join();
    }
}
