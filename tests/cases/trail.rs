//! The audit trail of a running daemon, verified by the program; and what it says once somebody has touched it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::daemon::Setup;
use e2e::wait::until;
use e2e::world::World;
use serde_json::json;

/// Changes the trail past its triggers, as somebody who owns the database can.
async fn tamper(world: &World, sql: &'static str) -> Result<()> {
    let mut transaction = world.database.pool.begin().await?;
    for sql in ["ALTER TABLE audit_log DISABLE TRIGGER ALL", sql, "ALTER TABLE audit_log ENABLE TRIGGER ALL"] {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// The head that `verify` prints.
async fn head(setup: &Setup) -> Result<String> {
    let said = setup.run(&["audit", "verify"]).await?;
    let head = said.lines().find_map(|line| line.strip_prefix("head "));
    Ok(head.with_context(|| format!("no head in {said}"))?.to_owned())
}

/// It is said that the trail does not hold, and where.
async fn broken(setup: &Setup, words: &[&str], at: &str) -> Result<()> {
    let told = setup.run(words).await.err().map(|error| format!("{error:#}"));
    let told = told.with_context(|| format!("{words:?}: a broken trail is called good"))?;
    ensure!(told.contains("BROKEN") && told.contains(at), "{words:?} does not say {at}: {told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_of_a_running_daemon_holds_and_who_touches_it_is_found_out() -> Result<()> {
    let world = World::new().await?;
    let setup = world.setup()?.quiet();
    setup.run(&["migrate"]).await?;
    let empty = setup.run(&["audit", "verify"]).await?;
    ensure!(empty.contains("is empty"), "{empty}");
    let daemon = setup.start("operator").await?;
    let api = daemon.api();
    api.create(&world.document()).await?;
    for count in [3, 4, 5] {
        let patch = json!({ "spec": { "services": { "event-service": { "desiredCount": count } } } });
        let answer = api.patch("environments/prod", &patch).await?;
        ensure!(answer.status == 200, "{}", answer.text);
    }
    until("all to be chained", Duration::from_secs(30), async || {
        let said = setup.run(&["audit", "verify"]).await.map_err(|error| format!("{error:#}"))?;
        if said.contains("; 0 wait") && !said.contains("empty") { Ok(()) } else { Err(said) }
    })
    .await?;
    daemon.stop(&[]).await?;
    let noted = head(&setup).await?;
    setup.run(&["audit", "verify", "--head", &noted]).await?;

    let refused = sqlx::query("UPDATE audit_log SET content = content").execute(&world.database.pool).await;
    ensure!(refused.is_err(), "the database lets the trail be changed");
    let refused = sqlx::query("DELETE FROM audit_log").execute(&world.database.pool).await;
    ensure!(refused.is_err(), "the database lets the trail be emptied");

    sqlx::query("CREATE TABLE kept AS SELECT * FROM audit_log").execute(&world.database.pool).await?;
    let restore = "INSERT INTO audit_log SELECT * FROM kept k WHERE NOT EXISTS
                   (SELECT 1 FROM audit_log l WHERE l.sequence = k.sequence)";
    tamper(&world, "UPDATE audit_log SET content = replace(content, 'anonymous', 'somebody') WHERE sequence = 2")
        .await?;
    broken(&setup, &["audit", "verify"], "2").await?;
    tamper(&world, "DELETE FROM audit_log WHERE sequence = 2").await?;
    broken(&setup, &["audit", "verify"], "2").await?;
    tamper(&world, restore).await?;
    ensure!(head(&setup).await? == noted, "whole again");
    // The end cut off leaves a chain that holds by itself: the head that was noted elsewhere tells.
    tamper(&world, "DELETE FROM audit_log WHERE sequence = (SELECT max(sequence) FROM audit_log)").await?;
    setup.run(&["audit", "verify"]).await?;
    broken(&setup, &["audit", "verify", "--head", &noted], "").await
}
