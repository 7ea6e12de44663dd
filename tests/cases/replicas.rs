//! Shutdown, and two replicas of one installation.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use e2e::daemon::{Daemon, GRACE};
use e2e::hand;
use e2e::wait::until;
use e2e::world::{CONVERGES, World};
use serde_json::json;
use simaws::{Effect, Fault};
use testkit::fixtures::{ACCOUNT, REGION};
use tokio::time::Instant;

async fn two_tasks(world: &World, limit: Duration) -> Result<()> {
    until("2 tasks", limit, async || match hand::count(&world.sim, "eventchain-event-service").await {
        Ok(2) => Ok(()),
        seen => Err(format!("{seen:?}")),
    })
    .await
}

async fn owns(daemon: &Daemon) -> Result<()> {
    until("an owner", CONVERGES, async || if holds_the_lease(daemon).await { Ok(()) } else { Err("none".to_owned()) })
        .await
}

/// An account without environments has no owner: this gives it one.
async fn an_empty_environment(daemon: &Daemon) -> Result<()> {
    let document = json!({
        "apiVersion": "eventchain.io/v1", "kind": "Environment", "metadata": { "name": "empty" },
        "spec": { "aws": { "accountId": ACCOUNT, "region": REGION } }
    });
    daemon.api().create(&document).await?;
    owns(daemon).await
}

async fn holds_the_lease(daemon: &Daemon) -> bool {
    let label = format!("account=\"{ACCOUNT}\"");
    daemon.api().metric("lease_held", &label).await.is_ok_and(|held| held > 0.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_within_15_seconds_of_the_owners_death() -> Result<()> {
    let world = World::new().await?;
    // The lease as it is by default: the promise is about the default.
    let setup = world.setup()?;
    let first = setup.start("first").await?;
    an_empty_environment(&first).await?;
    let second = setup.start("second").await?;
    // Any replica serves the API.
    world.converged(second.api()).await?;
    ensure!(!holds_the_lease(&second).await, "two owners");

    first.kill9().await?;
    let died = Instant::now();
    hand::set_count(&world.sim, "eventchain-event-service", 7).await?;
    until("the standby to own the account", Duration::from_secs(20), async || {
        if holds_the_lease(&second).await { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    let took = died.elapsed();
    // Half a second for our own polling.
    ensure!(took <= Duration::from_millis(15_500), "it took {took:?}");
    e2e::say::say(&format!("takeover: {took:?}"));
    two_tasks(&world, CONVERGES).await?;
    second.api().converged("prod", CONVERGES).await?;
    world.holds_the_fixture_once().await?;
    world.journal_is_settled().await?;
    second.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_dies_while_it_makes_things_is_followed_without_duplicates() -> Result<()> {
    let world = World::new().await?;
    let setup = world.setup()?.set("EVENTCHAIN_LEASES_TTL", "3s");
    let first = setup.start("first").await?;
    an_empty_environment(&first).await?;
    let second = setup.start("second").await?;
    world.sim.faults().add(Fault::new(Effect::Hang { applied: true }).mutating(true).skip(12).times(1));
    second.api().create(&world.document()).await?;
    until("the middle of a call", CONVERGES, async || {
        let struck = world.sim.faults().struck();
        if struck > 0 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    first.kill9().await?;
    second.api().converged("prod", CONVERGES).await?;
    world.holds_the_fixture_once().await?;
    world.journal_is_settled().await?;
    second.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_work_releases_the_lease_and_loses_nothing() -> Result<()> {
    let world = World::new().await?;
    let setup = world.setup()?;
    let daemon = setup.start("operator").await?;
    // A call that takes two seconds is under way when the daemon is asked to stop.
    world.sim.faults().add(Fault::new(Effect::Latency { millis: 2_000 }).mutating(true).skip(5).times(1));
    daemon.api().create(&world.document()).await?;
    until(
        "a slow call",
        CONVERGES,
        async || {
            if world.sim.faults().struck() > 0 { Ok(()) } else { Err("not yet".to_owned()) }
        },
    )
    .await?;
    let asked = Instant::now();
    daemon.stop(&[]).await?;
    ensure!(asked.elapsed() <= GRACE, "{:?}", asked.elapsed());
    let live: i64 = sqlx::query_scalar("SELECT count(*) FROM leases WHERE expires_at > clock_timestamp()")
        .fetch_one(&world.database.pool)
        .await?;
    ensure!(live == 0, "{live} leases are still held");

    let next = setup.start("next").await?;
    let began = Instant::now();
    until("the next to own the account at once", Duration::from_secs(6), async || {
        if holds_the_lease(&next).await { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    e2e::say::say(&format!("stopped in {:?}, followed in {:?}", began - asked, began.elapsed()));
    next.api().converged("prod", CONVERGES).await?;
    world.holds_the_fixture_once().await?;
    world.journal_is_settled().await?;
    next.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_the_owner_is_503_without_one() -> Result<()> {
    let world = World::new().await?;
    let setup = world.setup()?;
    let owner = setup.start("owner").await?;
    an_empty_environment(&owner).await?;
    let standby = setup.start("standby").await?;
    world.converged(standby.api()).await?;
    // Asked of the standby, answered by the owner.
    let handled = standby.api().post("environments/prod/reconcile?wait=30s", &serde_json::Value::Null).await?;
    ensure!(handled.status < 300, "{} {}", handled.status, handled.text);
    owner.kill9().await?;
    let answer = standby.api().post("environments/prod/plan", &json!({ "patch": {} })).await?;
    // Whether it is already over or not is a race; a 503 must say when to come back.
    match answer.status {
        503 => ensure!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers),
        200..300 => {}
        other => bail!("{other} {}", answer.text),
    }
    standby.stop(&[]).await
}
