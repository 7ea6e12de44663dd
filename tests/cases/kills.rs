//! kill -9 between any two steps: nothing made twice, nothing lost, nothing deleted, nothing wrongly called synced.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::api::{conditions, is_converged};
use e2e::wait::until;
use e2e::world::{CONVERGES, World};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use simaws::{Effect, Fault};

/// Kills of one run. Each costs a restart and the old lease's remaining life.
const KILLS: usize = 10;

/// Where the next kill strikes: in the middle of a call that hangs, so that the daemon cannot know whether it was applied.
fn next_kill(rng: &mut StdRng) -> Fault {
    let applied = rng.random_bool(0.5);
    let fault = Fault::new(Effect::Hang { applied }).times(1);
    if rng.random_bool(0.75) {
        fault.mutating(true).skip(rng.random_range(0..5))
    } else {
        fault.mutating(false).skip(rng.random_range(0..60))
    }
}

/// Starts the daemon, kills it in the middle of a call, starts it again, until it has converged in spite of that.
async fn survives(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new().await?;
    // The shortest lease, since each restart waits for the dead owner's to expire.
    let setup = world
        .setup()?
        .set("EVENTCHAIN_LEASES_TTL", "3s")
        .set("EVENTCHAIN_AWS_CALL_TIMEOUT", "2s")
        .set("EVENTCHAIN_WRITES_BUDGET", "50");
    let mut daemon = setup.start("operator").await?;
    daemon.api().create(&world.document()).await?;
    let (mut killed, mut in_writes) = (0, 0);
    for round in 0..KILLS {
        let struck = world.sim.faults().struck();
        world.sim.faults().add(next_kill(&mut rng));
        let api = daemon.api().clone();
        let converged = until("a call in the middle of which to kill, or the end", CONVERGES, async || {
            if world.sim.faults().struck() > struck {
                return Ok(false);
            }
            let environment = api.environment("prod").await.map_err(|error| format!("{error:#}"))?;
            // Once it has converged only reads are left to be killed in.
            if is_converged(&environment) { Ok(true) } else { Err(conditions(&environment)) }
        })
        .await?;
        world.sim.faults().clear();
        in_writes +=
            usize::from(world.sim.with_calls(|calls| calls.log().next_back().is_some_and(|call| call.mutating)));
        let environment = api.environment("prod").await;
        daemon.kill9().await?;
        killed += 1;
        if let Ok(environment) = environment
            && is_converged(&environment)
            && !converged
        {
            // It was told that it is synced while a call hung: only true if that call was a look.
            let counts = e2e::inventory::by_kind(&e2e::inventory::inventory(&world.sim).await?);
            ensure!(counts == e2e::inventory::of_the_fixture(), "falsely synced: {counts:?}\n{environment}");
        }
        daemon = setup.start(&format!("operator-{}", round + 2)).await?;
        if converged {
            break;
        }
    }
    ensure!(killed >= KILLS / 2, "it converged before it was killed often: {killed} times");
    e2e::say::say(&format!("killed {killed} times, in the middle of {in_writes} writes"));
    daemon.api().converged("prod", CONVERGES).await?;
    world.holds_the_fixture_once().await?;
    world.journal_is_settled().await?;
    // It stays as it is.
    let mutated = world.sim.with_calls(simaws::Calls::mutating);
    world.swept(3).await?;
    ensure!(
        world.sim.with_calls(simaws::Calls::mutating) == mutated,
        "it goes on writing: {:?}",
        e2e::inventory::mutations(&world.sim)
    );
    daemon.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_in_the_middle_of_calls_makes_nothing_twice_seed_1() -> Result<()> {
    survives(1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_in_the_middle_of_calls_makes_nothing_twice_seed_2() -> Result<()> {
    survives(2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_in_the_middle_of_calls_makes_nothing_twice_seed_3() -> Result<()> {
    survives(3).await
}

/// `EVENTCHAIN_KILL_SEEDS=4,5,6` runs as many more as one has time for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_in_the_middle_of_calls_makes_nothing_twice_more_seeds() -> Result<()> {
    let seeds = std::env::var("EVENTCHAIN_KILL_SEEDS").unwrap_or_default();
    for seed in seeds.split(',').filter(|seed| !seed.is_empty()) {
        survives(seed.trim().parse()?).await.with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_accepted_before_a_kill_is_carried_out_after_it() -> Result<()> {
    let world = World::new().await?;
    let setup = world.setup()?.set("EVENTCHAIN_LEASES_TTL", "3s");
    let daemon = setup.start("operator").await?;
    world.converged(daemon.api()).await?;
    let patch = serde_json::json!({ "spec": { "services": { "order-service": { "desiredCount": 3 } } } });
    let answer = daemon.api().patch("environments/prod", &patch).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text);
    // Right after the answer: nothing but the database can know of it.
    daemon.kill9().await?;
    let daemon = setup.start("operator-2").await?;
    until("3 tasks", Duration::from_secs(30), async || {
        match e2e::hand::count(&world.sim, "eventchain-order-service").await {
            Ok(3) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await?;
    daemon.api().converged("prod", CONVERGES).await?;
    world.journal_is_settled().await?;
    daemon.stop(&[]).await
}
