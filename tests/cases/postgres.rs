//! Postgres goes away and returns.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::daemon::Setup;
use e2e::hand;
use e2e::wait::until;
use e2e::world::{CONVERGES, brisk_sim};
use testkit::fixtures::{ACCOUNT, document};
use testkit::postgres::{Lifetime, PrivateServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_nothing_is_written_and_with_it_again_drift_is_repaired() -> Result<()> {
    let directory = tempfile::Builder::new().prefix("eventchain-pg-").tempdir()?;
    let place = directory.path().to_owned();
    let start = move || PrivateServer::start(&place, Lifetime::Persistent);
    let server = tokio::task::spawn_blocking(start.clone()).await??;
    let (sim, load_balancer) = brisk_sim().await?;
    let aws = sim.serve(tokio::net::TcpListener::bind("127.0.0.1:0").await?)?;
    let setup = Setup::new(&server.url("postgres"), &aws.url(), &[ACCOUNT])?;
    let refused = setup.start("operator-without-schema").await;
    ensure!(refused.is_err(), "serve only checks the schema: an empty database is refused");
    setup.run(&["migrate"]).await?;
    setup.run(&["migrate"]).await?;

    let daemon = setup.start("operator").await?;
    let api = daemon.api();
    ensure!(api.get("/readyz").await?.status == 200, "ready");
    let keeper = tokio::spawn(e2e::world::other_people(sim.clone()));
    api.create(&document(&load_balancer)).await?;
    api.converged("prod", CONVERGES).await?;

    keeper.await?;

    tokio::task::spawn_blocking(move || server.stop()).await?;
    hand::delete_alarm(&sim, "EventChain-High-CPU").await?;
    hand::set_count(&sim, "eventchain-event-service", 7).await?;
    let mutated = sim.with_calls(simaws::Calls::mutating);
    until("/readyz to tell that the database is gone", CONVERGES, async || match api.get("/readyz").await {
        Ok(answer) if answer.status == 503 => Ok(()),
        seen => Err(format!("{seen:?}")),
    })
    .await?;
    ensure!(api.get("/livez").await?.status == 200, "alive: a restart would not bring the database back");
    // Long enough for the lease to expire as well; each look is one of the daemon's own chances to go wrong.
    let looks = std::cell::Cell::new(0);
    until("ten looks at a daemon without its database", CONVERGES, async || {
        looks.set(looks.get() + 1);
        let environment = api.get("/apis/eventchain.io/v1/environments/prod").await.map_err(|e| format!("{e:#}"))?;
        if environment.status == 200 {
            return Err(format!("it answers from nowhere: {}", environment.text));
        }
        if looks.get() >= 10 { Ok(()) } else { Err("looking".to_owned()) }
    })
    .await?;
    ensure!(sim.with_calls(simaws::Calls::mutating) == mutated, "written to AWS without a journal");

    let server = tokio::task::spawn_blocking(start).await??;
    until("the drift to be repaired", CONVERGES, async || {
        let count = hand::count(&sim, "eventchain-event-service").await;
        let alarm = hand::alarm(&sim, "EventChain-High-CPU").await;
        // Synced may only be said again after looking.
        let environment = api.environment("prod").await;
        let repaired = count.as_ref().is_ok_and(|count| *count == 2) && alarm["ActionsEnabled"] == true;
        if repaired { Ok(()) } else { Err(format!("{count:?} {alarm} {environment:?}")) }
    })
    .await?;
    api.converged("prod", CONVERGES).await?;
    ensure!(api.get("/readyz").await?.status == 200, "ready again");
    let errors = daemon.errors();
    let about_the_database = |line: &String| {
        let line = line.to_lowercase();
        ["database", "postgres", "sql", "connection", "store", "lease"].iter().any(|word| line.contains(word))
    };
    ensure!(errors.iter().all(about_the_database), "other errors than of the database: {errors:#?}");
    daemon.ask_to_stop().await?;
    daemon.ended(&[""]).await?;
    tokio::task::spawn_blocking(move || server.stop()).await?;
    aws.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_started_without_a_database_says_so_and_ends() -> Result<()> {
    let (sim, _) = brisk_sim().await?;
    let aws = sim.serve(tokio::net::TcpListener::bind("127.0.0.1:0").await?)?;
    // Port 1 is nobody's.
    let setup = Setup::new("postgres://nobody:hunter2-secret@127.0.0.1:1/none", &aws.url(), &[ACCOUNT])?;
    let failed = tokio::time::timeout(Duration::from_secs(45), setup.start("operator")).await;
    let said = match failed {
        Ok(Err(error)) => format!("{error:#}"),
        Ok(Ok(_)) => "it came up".to_owned(),
        Err(_) => "it hangs".to_owned(),
    };
    ensure!(said.contains("did not come up"), "{said}");
    ensure!(!said.contains("hunter2-secret"), "the password is in the log: {said}");
    Ok(())
}
