//! AWS misbehaves: in each way the daemon converges in the end, makes nothing twice, deletes nothing, and its status tells
//! of the trouble meanwhile.

use anyhow::{Result, ensure};
use e2e::api::{conditions, is_converged};
use e2e::daemon::Setup;
use e2e::hand;
use e2e::inventory::{by_kind, inventory, of_the_fixture};
use e2e::wait::until;
use e2e::world::{CONVERGES, World};
use simaws::{Effect, Fault};

async fn world() -> Result<(World, Setup)> {
    let world = World::new().await?;
    let setup = world
        .setup()?
        .set("EVENTCHAIN_LEASES_TTL", "3s")
        .set("EVENTCHAIN_AWS_CALL_TIMEOUT", "1s")
        .set("EVENTCHAIN_WRITES_BUDGET", "50");
    Ok((world, setup))
}

/// Never synced while an object of the fixture is missing.
async fn synced_is_true_or_unsaid(world: &World, environment: &serde_json::Value) -> Result<(), String> {
    if !is_converged(environment) {
        return Ok(());
    }
    let found = inventory(&world.sim).await.map_err(|error| format!("{error:#}"))?;
    if by_kind(&found) == of_the_fixture() { Ok(()) } else { Err(format!("falsely synced: {found:?}")) }
}

/// Creates the fixture while faults strike, waits until they have struck `least` times and `trouble` is told somewhere
/// in the environment, its resources or its events, lifts them, and waits for the end.
async fn converges_through(faults: Vec<Fault>, least: u64, trouble: &[&str]) -> Result<()> {
    let (world, setup) = world().await?;
    for fault in faults {
        world.sim.faults().add(fault);
    }
    let daemon = setup.start("operator").await?;
    let api = daemon.api();
    api.create(&world.document()).await?;
    let mut told = trouble.is_empty();
    until("the faults to have struck, and to be told of", CONVERGES, async || {
        let environment = api.environment("prod").await.map_err(|error| format!("{error:#}"))?;
        if !told {
            let resources = api.resources().await.map_err(|error| format!("{error:#}"))?;
            let events = api.events().await.map_err(|error| format!("{error:#}"))?;
            let all = format!("{environment}{resources:?}{events:?}");
            told = trouble.iter().any(|word| all.contains(word));
        }
        let struck = world.sim.faults().struck();
        if struck >= least && told {
            Ok(())
        } else {
            Err(format!("struck {struck}, told {told}: {}", conditions(&environment)))
        }
    })
    .await?;
    world.sim.faults().clear();
    let environment = api.environment("prod").await?;
    synced_is_true_or_unsaid(&world, &environment).await.map_err(anyhow::Error::msg)?;
    api.converged("prod", CONVERGES).await?;
    world.holds_the_fixture_once().await?;
    world.journal_is_settled().await?;
    daemon.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttle_storm_is_waited_out_and_told() -> Result<()> {
    converges_through(vec![Fault::new(Effect::Throttle).probability(0.6)], 40, &["hrottl"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_errors_applied_or_not_make_nothing_twice() -> Result<()> {
    let faults = vec![
        Fault::new(Effect::ServerError { status: 500, applied: true }).mutating(true).probability(0.3).times(8),
        Fault::new(Effect::ServerError { status: 503, applied: false }).mutating(true).probability(0.3).times(8),
        Fault::new(Effect::ServerError { status: 503, applied: false }).mutating(false).probability(0.2).times(15),
    ];
    converges_through(faults, 20, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_responses_make_nothing_twice() -> Result<()> {
    let faults = vec![
        Fault::new(Effect::LostResponse).mutating(true).probability(0.6).times(15),
        Fault::new(Effect::Refused).probability(0.1).times(10),
    ];
    converges_through(faults, 15, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_hang_end_in_time_and_make_nothing_twice() -> Result<()> {
    let faults = vec![
        Fault::new(Effect::Hang { applied: true }).mutating(true).probability(0.3).times(4),
        Fault::new(Effect::Hang { applied: false }).mutating(true).probability(0.2).times(3),
        Fault::new(Effect::Hang { applied: true }).mutating(false).probability(0.05).times(4),
    ];
    converges_through(faults, 8, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_reads_after_writes_make_nothing_twice() -> Result<()> {
    converges_through(vec![Fault::new(Effect::StaleReads { seconds: 1.5 }).times(12)], 8, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_pages_are_followed_to_the_end() -> Result<()> {
    converges_through(vec![Fault::new(Effect::ShortPages { size: 1 })], 30, &[]).await
}

/// Converged, then listings lie for some sweeps: nothing is written meanwhile, whatever they leave out.
async fn listings_that_lie_cause_no_write(faults: Vec<Fault>) -> Result<()> {
    let (world, setup) = world().await?;
    let daemon = setup.start("operator").await?;
    let api = daemon.api();
    world.converged(api).await?;
    world.swept(2).await?;
    let mutated = world.sim.with_calls(simaws::Calls::mutating);
    let struck = world.sim.faults().struck();
    for fault in faults {
        world.sim.faults().add(fault.mutating(false));
    }
    until("the lie to be told", CONVERGES, async || {
        let times = world.sim.faults().struck() - struck;
        if times >= 30 { Ok(()) } else { Err(format!("{times} times")) }
    })
    .await?;
    let written = world.sim.with_calls(|calls| {
        let log = calls.log().filter(|call| call.mutating && call.error.is_none());
        log.map(|call| format!("{}:{}", call.service, call.operation)).collect::<Vec<_>>()
    });
    ensure!(
        world.sim.with_calls(simaws::Calls::mutating) == mutated,
        "written because of a listing: {:?}",
        &written[written.len().saturating_sub(5)..]
    );
    // And drift is still found once AWS tells the truth.
    world.sim.faults().clear();
    hand::set_count(&world.sim, "eventchain-event-service", 7).await?;
    until("2 tasks", CONVERGES, async || match hand::count(&world.sim, "eventchain-event-service").await {
        Ok(2) => Ok(()),
        seen => Err(format!("{seen:?}")),
    })
    .await?;
    api.converged("prod", CONVERGES).await?;
    world.holds_the_fixture_once().await?;
    daemon.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_repeats_for_ever_ends_no_sweep_in_a_loop_and_causes_no_write() -> Result<()> {
    listings_that_lie_cause_no_write(vec![Fault::new(Effect::RepeatToken)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_listings_cause_no_write() -> Result<()> {
    // Those operations that name what they do not have, or that are no direct reads: an answer that is empty for another
    // reason (of DescribeAlarms or DescribeLogGroups with one name) could not be told from absence by anyone.
    let listings = [
        ("ecs", "DescribeClusters"),
        ("ecs", "DescribeServices"),
        ("rds", "DescribeDBInstances"),
        ("elasticloadbalancing", "DescribeTargetGroups"),
        ("secretsmanager", "ListSecrets"),
        ("tagging", "GetResources"),
    ];
    let fault = |(service, operation): (&str, &str)| Fault::new(Effect::PartialList).on(service, operation);
    listings_that_lie_cause_no_write(listings.map(fault).to_vec()).await
}

/// Converged, then no call of AWS succeeds: nobody may go on saying that it is synced.
async fn synced_is_not_said_without_looking(effect: Effect, why: &[&str]) -> Result<()> {
    let (world, setup) = world().await?;
    let daemon = setup.start("operator").await?;
    let api = daemon.api();
    world.converged(api).await?;
    let mutated = world.sim.with_calls(simaws::Calls::mutating);
    world.sim.faults().add(Fault::new(effect));
    let synced = api.condition_is("prod", "Synced", "Unknown", CONVERGES).await?;
    ensure!(!synced["message"].as_str().unwrap_or_default().is_empty(), "it does not say why: {synced}");
    let environment = api.environment("prod").await?;
    let resources = api.resources().await?;
    let all = format!("{environment}{resources:?}");
    ensure!(why.iter().any(|word| all.contains(word)), "none of {why:?} is told: {}", conditions(&environment));
    ensure!(world.sim.with_calls(simaws::Calls::mutating) == mutated, "something was tried blindly");
    world.sim.faults().clear();
    api.converged("prod", CONVERGES).await?;
    ensure!(world.sim.with_calls(simaws::Calls::mutating) == mutated, "nothing had drifted");
    daemon.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_aws_is_down_synced_is_unknown_and_status_says_why() -> Result<()> {
    let down = Effect::ServerError { status: 503, applied: false };
    synced_is_not_said_without_looking(down, &["ServiceUnavailable", "Transient"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_aws_denies_reads_synced_is_unknown_and_status_says_why() -> Result<()> {
    let message = "User is not authorized to perform this action".to_owned();
    let denied = Effect::Error { code: "AccessDeniedException".to_owned(), status: 400, message };
    synced_is_not_said_without_looking(denied, &["AccessDenied", "Denied"]).await
}
