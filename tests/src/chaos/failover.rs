//! Fail-over, timed: the owner of an account is killed, stopped or cut off, again and again, with leases and periods as they
//! are by default. A person writes through another replica at once: how long until that is carried out? And whoever wakes up
//! or comes back must change nothing that it had not checked before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, interval, timeout};

use super::checker::{self, Evidence, Violation};
use super::keep;
use super::people;
use super::record::{self, Log};
use super::report::median_and_worst;
use super::stage::{Plan, Stage, now};
use crate::api::Api;
use crate::say::print;
use crate::wait::until;

/// The promise: lease and poll together.
const PROMISED: f64 = 15.0;
/// Longer than any fail-over takes.
const LIMIT: Duration = Duration::from_secs(60);
const CONVERGES: Duration = Duration::from_secs(180);
/// The service whose count people change.
const SERVICE: &str = "order-service";

/// How an owner is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    Kill,
    Freeze,
    Partition { lossy: bool },
}

impl Blow {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Freeze => "SIGSTOP, and SIGCONT once another acts",
            Self::Partition { lossy: true } => "cut off from Postgres, what was on its way is lost",
            Self::Partition { lossy: false } => "cut off from Postgres, what was on its way arrives late",
        }
    }
}

/// Times it, `rounds` times each way; answers whether the promises were kept.
///
/// # Errors
/// When it cannot be run.
pub async fn measure(rounds: usize) -> Result<bool> {
    let plan = Plan { seed: 1, replicas: 2, accounts: 1, lease: None };
    let stage = Arc::new(Stage::start(&plan).await?);
    let keeper = tokio::spawn(people::keep(Arc::clone(&stage)));
    let account = stage.accounts[0].clone();
    let (_, api) = stage.replicas[0].present().context("it is up")?;
    api.create(&account.document).await?;
    api.converged(&account.environment, CONVERGES).await?;
    keeper.await?;

    let mut times: BTreeMap<Blow, Vec<f64>> = BTreeMap::new();
    let blows = [Blow::Kill, Blow::Freeze, Blow::Partition { lossy: true }, Blow::Partition { lossy: false }];
    for round in 0..rounds {
        for blow in blows {
            // The two ways of a partition take turns.
            if blow == (Blow::Partition { lossy: round % 2 == 0 }) {
                continue;
            }
            let took = match once(&stage, blow).await {
                Ok(took) => took,
                Err(error) => {
                    let place = keep::evidence(&stage, &gathered(&stage).await?, plan.seed).await?;
                    return Err(error.context(format!("{}; what was recorded is in {}", blow.name(), place.display())));
                }
            };
            stage.note(&format!("{}: {took:.2} s", blow.name()));
            times.entry(blow).or_default().push(took);
        }
    }
    let (_, api) = stage.replicas[0].present().context("it is up")?;
    api.converged(&account.environment, CONVERGES).await?;

    let evidence = gathered(&stage).await?;
    // Specs and ends are the business of whole runs.
    let violations: Vec<Violation> = checker::judge(&evidence);
    let late = checker::late(&evidence.calls, &evidence.leases);
    let stage = Arc::into_inner(stage).context("nobody uses the stage any more")?;
    stage.stop().await?;
    Ok(report(&times, &late, &violations))
}

async fn gathered(stage: &Stage) -> Result<Evidence> {
    let mut log = Log::default();
    log.read(&stage.simaws).await?;
    Ok(Evidence {
        calls: log.changes,
        leases: record::leases(&stage.database).await?,
        intents: record::intents(&stage.database).await?,
        ..Evidence::default()
    })
}

fn report(times: &BTreeMap<Blow, Vec<f64>>, late: &[String], violations: &[Violation]) -> bool {
    print("from the blow to the first change that another replica made in AWS, as a person had asked meanwhile:");
    let mut kept = violations.is_empty();
    for (blow, values) in times {
        let Some((median, worst)) = median_and_worst(values) else { continue };
        let mark = if worst <= PROMISED { "ok    " } else { "MISSED" };
        kept &= worst <= PROMISED;
        let (name, count) = (blow.name(), values.len());
        print(&format!("{mark} {name:<56} {count} times, median {median:.1} s, worst {worst:.1} s, promised ≤ 15 s"));
    }
    print(&format!(
        "calls of owners whose lease had run out (allowed: the one that was checked before): {}",
        late.len()
    ));
    for call in late {
        print(&format!("  {call}"));
    }
    for violation in violations {
        print(&format!("VIOLATION of \"{}\"\n  {}", violation.rule, violation.what));
    }
    kept
}

async fn once(stage: &Stage, blow: Blow) -> Result<f64> {
    let environment = stage.accounts[0].environment.clone();
    let owner = until("an owner", LIMIT, async || stage.owner(0).await.ok_or_else(|| "nobody".to_owned())).await?;
    let struck = stage.replica_of(&owner).context("a replica")?;
    let standby = stage.replicas.iter().find(|replica| !replica.has(&owner)).context("a standby")?;
    let (_, api) = standby.present().context("it is up")?;
    // Nothing else is to be done, and the standby has had the time to notice everything.
    api.converged(&environment, CONVERGES).await?;

    let (over, ended) = tokio::sync::oneshot::channel();
    let struck_at = now();
    let acted = async {
        let acted = acts(stage, &api, &environment, &owner).await;
        let _ = over.send(());
        acted
    };
    let blow = async {
        match blow {
            Blow::Kill => struck.kill_until(ended, LIMIT).await,
            Blow::Freeze => struck.freeze_until(ended).await,
            Blow::Partition { lossy } => struck.partition_until(ended, lossy).await,
        }
    };
    let (acted, blow) = tokio::join!(acted, blow);
    blow?;
    let acted: jiff::Timestamp = acted?["machine_at"].as_str().context("a time")?.parse()?;
    Ok(acted.duration_since(struck_at).as_secs_f64())
}

/// A person asks for another count; answers the call by which somebody else than `owner` carries it out.
async fn acts(stage: &Stage, api: &Api, environment: &str, owner: &str) -> Result<Value> {
    let read = api.environment(environment).await?;
    let count = read["spec"]["services"][SERVICE]["desiredCount"].as_u64().unwrap_or(1);
    let next = if count >= 4 { 1 } else { count + 1 };
    let patch = json!({ "spec": { "services": { SERVICE: { "desiredCount": next } } } });
    let before = stage.simaws.calls("").await?["total"].as_u64().unwrap_or_default();
    let deadline = Instant::now() + LIMIT;
    let mut ticks = interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        let answer = api.patch(&format!("environments/{environment}"), &patch).await?;
        if answer.status == 200 {
            break;
        }
        // Whoever is stopped in the middle of a transaction holds what others wait for, for a while: one tries again.
        ensure!(answer.status == 503 && Instant::now() < deadline, "{} {}", answer.status, answer.text);
    }
    loop {
        ticks.tick().await;
        let query = format!("?log=5000&mutating=true&after={before}");
        let calls = timeout(Duration::from_secs(5), stage.simaws.calls(&query)).await??;
        let is_it = |call: &&Value| {
            call["operation"] == "UpdateService"
                && call["input"]["desiredCount"].as_u64() == Some(next)
                && call["applied"] == true
                && call["app"] != owner
        };
        if let Some(call) = calls["log"].as_array().into_iter().flatten().find(is_it) {
            return Ok(call.clone());
        }
        ensure!(Instant::now() < deadline, "nobody acts within {LIMIT:?}");
    }
}
