//! The operator's database, dumped and put into an empty one, as docs/operations.md describes a restore: a daemon on it goes on
//! where the other stopped, and changes nothing.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::inventory::mutations;
use e2e::programs;
use e2e::wait::until;
use e2e::world::{CONVERGES, World};
use serde_json::{Value, json};
use sqlx::postgres::PgPool;
use tokio::process::Command;

/// Runs one of Postgres's programs.
async fn run(program: &str, words: &[&str]) -> Result<()> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output().await.context("it cannot be run")?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// How many rows each table has.
async fn rows(pool: &PgPool) -> Result<Vec<(String, i64)>> {
    let sql = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(pool).await?;
    let mut counts = Vec::new();
    for table in tables {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        counts.push((table, sqlx::query_scalar(sql).fetch_one(pool).await?));
    }
    Ok(counts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_on_a_restored_database_goes_on_and_changes_nothing() -> Result<()> {
    let Some(dump) = programs::provided("pg_dump", "EVENTCHAIN_PG_DUMP")? else { return Ok(()) };
    let Some(restore) = programs::provided("pg_restore", "EVENTCHAIN_PG_RESTORE")? else { return Ok(()) };
    let world = World::new().await?;
    let setup = world.setup()?;
    setup.run(&["migrate"]).await?;
    let daemon = setup.start("before").await?;
    let before = world.converged(daemon.api()).await?;
    let patch = json!({ "spec": { "services": { "event-service": { "desiredCount": 3 } } } });
    ensure!(daemon.api().patch("environments/prod", &patch).await?.status == 200, "patch");
    let before = daemon.api().converged("prod", CONVERGES).await.map(|now| (before, now))?.1;
    // What is still to be chained is chained before the dump, so that both can be compared row by row.
    until("the trail to be chained", Duration::from_secs(30), async || {
        let said = setup.run(&["audit", "verify"]).await.map_err(|error| format!("{error:#}"))?;
        if said.contains("; 0 wait") { Ok(()) } else { Err(said) }
    })
    .await?;
    daemon.stop(&[]).await?;

    // Another database, empty: not even a schema.
    let empty = testkit::postgres::test_database().await;
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").execute(&empty.pool).await?;
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("operator.dump").display().to_string();
    run(&dump, &["--format=custom", "--file", &file, &world.database.url]).await?;
    run(&restore, &["--no-owner", "--exit-on-error", "--dbname", &empty.url, &file]).await?;
    ensure!(rows(&empty.pool).await? == rows(&world.database.pool).await?, "not all rows came with it");

    let setup = setup.set("DATABASE_URL", &empty.url);
    setup.run(&["migrate"]).await?;
    setup.run(&["audit", "verify"]).await?;
    let refused = sqlx::query("UPDATE audit_log SET content = content").execute(&empty.pool).await;
    ensure!(refused.is_err(), "the triggers came with it");

    let acts = mutations(&world.sim);
    let daemon = setup.start("after").await?;
    let api = daemon.api();
    let after = api.converged("prod", CONVERGES).await?;
    world.swept(3).await?;
    ensure!(mutations(&world.sim) == acts, "it changed AWS: {:?}", mutations(&world.sim));
    for pointer in ["/spec", "/metadata/uid", "/metadata/generation", "/metadata/labels", "/status/revision"] {
        ensure!(after.pointer(pointer) == before.pointer(pointer), "{pointer}: {:?}", after.pointer(pointer));
    }
    // Numbers go on where they were: nothing that a client holds comes a second time.
    let version = |of: &Value| of["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<i64>().ok());
    ensure!(version(&after) >= version(&before), "{:?} < {:?}", version(&after), version(&before));
    let patch = json!({ "spec": { "services": { "event-service": { "desiredCount": 2 } } } });
    let changed = api.patch("environments/prod", &patch).await?;
    ensure!(changed.status == 200 && version(&changed.json) > version(&after), "{}", changed.text);
    api.converged("prod", CONVERGES).await?;
    setup.run(&["audit", "verify"]).await?;
    daemon.stop(&[]).await
}
