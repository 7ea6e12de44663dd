//! Speed and size of the release build against what the project promises: the daemon on a simulated AWS in a process of
//! its own. `cargo xtask bench` builds all three programs and runs this.

mod fewest;
mod steady;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use e2e::api::{Api, is_converged};
use e2e::daemon::{Daemon, Setup};
use e2e::figures::{Figure, report};
use e2e::say::print;
use e2e::simaws_process::SimawsProcess;
use e2e::wait::until;
use serde_json::{Value, json};
use testkit::fixtures::{ACCOUNT, named, patched};
use tokio::time::Instant;

/// Speed and size of the daemon.
#[derive(Debug, Parser)]
struct Args {
    /// Environments of the guide's size, in one account and region.
    #[arg(long, default_value_t = 100)]
    environments: usize,
    /// How long the steady state is watched.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Drifts that are timed.
    #[arg(long, default_value_t = 5)]
    drifts: usize,
    /// Prints what was missed without failing.
    #[arg(long)]
    lenient: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(figures) => {
            let code = report(&figures, args.lenient);
            print("plans a second: `cargo bench -p e2e --features planning`");
            code
        }
        Err(error) => {
            e2e::say::say(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<Vec<Figure>> {
    ensure!(args.environments > 0, "--environments must be at least 1");
    let aws = SimawsProcess::start().await?;
    aws.move_clock(-e2e::world::BEHIND.as_secs()).await?;
    let database = testkit::postgres::test_database().await;
    // Periods, budgets and leases as they are by default, but for one: at half of AWS's rate (RegisterTaskDefinition: one a
    // second) the making of 100 environments takes a quarter of an hour, at the whole rate half of that.
    let setup = Setup::new(&database.url, aws.url(), &[ACCOUNT])?
        .unset("EVENTCHAIN_SWEEPS_HOT")
        .unset("EVENTCHAIN_SWEEPS_SLOW")
        .set("EVENTCHAIN_LOG_FILTER", "warn")
        .quiet();
    let daemon = setup.start("operator").await?;
    print(&format!("making {} environments", args.environments));
    make(args.environments, &aws, &daemon).await?;

    let mut figures = steady::measure(args, &aws, &daemon, &database).await?;
    figures.push(drifts(args, &aws, &daemon).await?);
    let errors = daemon.errors();
    daemon.stop(&[""]).await?;
    aws.stop().await?;
    for error in errors.iter().take(5) {
        print(&format!("the daemon logged: {error}"));
    }
    Ok(figures)
}

fn name(index: usize) -> String {
    format!("e{index:03}")
}

async fn make(count: usize, aws: &SimawsProcess, daemon: &Daemon) -> Result<()> {
    aws.create_subnet_group("eventchain-db-subnet-group").await?;
    // Far from now: nothing of a steady state may depend on the day.
    let patch = json!({ "spec": { "policy": { "windows": [{ "cron": "0 4 1 1 *", "duration": "1h" }] } } });
    for index in 0..count {
        let balancer = aws.create_load_balancer(&format!("alb-{index}")).await?;
        daemon.api().create(&patched(named(&name(index), &balancer), &patch)).await?;
    }
    // 4 task definitions each at one a second, twice over for a slow machine, and a start.
    let limit = Duration::from_secs(120 + 8 * count as u64);
    let mut said = 0;
    let mut given = BTreeSet::new();
    let (mut looked, mut behind) = (Instant::now(), true);
    until("all environments to be Ready and Synced", limit, async || {
        let open = unconverged(daemon.api(), count).await.map_err(|error| format!("{error:#}"))?;
        let done = count - open.len();
        if looked.elapsed() > Duration::from_secs(5) {
            give_secrets_a_value(aws, &open, &mut given).await;
            looked = Instant::now();
            // All databases are older than the last slot now: their snapshots are due.
            let calls = aws.calls("").await.map_err(|error| format!("{error:#}"))?;
            if behind && calls["byOperation"]["rds:CreateDBInstance"].as_u64() >= Some(count as u64) {
                behind = false;
                aws.move_clock(e2e::world::BEHIND.as_secs()).await.map_err(|error| format!("{error:#}"))?;
            }
        }
        if done >= said + 10 {
            said = done;
            print(&format!("  {done} of {count}"));
        }
        match open.first() {
            None => Ok(()),
            Some(first) => Err(format!("{} open, the first: {}", open.len(), e2e::api::conditions(first))),
        }
    })
    .await
}

/// The part of the person who keeps the secrets: the operator makes them and never gives one a value.
async fn give_secrets_a_value(aws: &SimawsProcess, open: &[Value], given: &mut BTreeSet<String>) {
    for environment in open {
        for secret in environment["spec"]["secrets"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            let body = json!({ "SecretId": secret, "SecretString": "a value that someone gave" });
            // It fails as long as the secret is not there.
            if !given.contains(secret) && aws.json("secretsmanager", "PutSecretValue", body).await.is_ok() {
                given.insert(secret.clone());
            }
        }
    }
}

async fn unconverged(api: &Api, count: usize) -> Result<Vec<Value>> {
    let answer = api.get("/apis/eventchain.io/v1/environments").await?;
    let all = answer.json["items"].as_array().cloned().unwrap_or_default();
    ensure!(all.len() == count, "{} environments are listed: {}", all.len(), answer.status);
    Ok(all.into_iter().filter(|environment| !is_converged(environment)).collect())
}

/// From the look that could see a drift to the call that repairs it. Alarms, since one call looks at a hundred of them.
async fn drifts(args: &Args, aws: &SimawsProcess, daemon: &Daemon) -> Result<Figure> {
    let mut seconds = Vec::new();
    for index in 0..args.drifts.min(args.environments) {
        aws.reset_calls().await?;
        let alarm = format!("EventChain-{}-High-CPU", name(index));
        aws.json("monitoring", "DisableAlarmActions", json!({ "AlarmNames": [alarm] })).await?;
        let log = until("the repair", Duration::from_secs(60), async || {
            let calls = aws.calls("?log=5000").await.map_err(|error| format!("{error:#}"))?;
            let log = calls["log"].as_array().cloned().unwrap_or_default();
            let repairs =
                |call: &Value| call["operation"] == "PutMetricAlarm" || call["operation"] == "EnableAlarmActions";
            if log.iter().any(repairs) { Ok(log) } else { Err(format!("{} calls", log.len())) }
        })
        .await?;
        let at = |call: &Value| call["at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let first = |after: usize, operations: &[&str]| {
            log.iter()
                .skip(after)
                .position(|call| operations.iter().any(|name| call["operation"] == *name))
                .map(|at| after + at)
        };
        let drift = first(0, &["DisableAlarmActions"]).context("the drift is in the log")?;
        let seen = first(drift, &["DescribeAlarms"]).context("a look is in the log")?;
        let repaired = first(seen, &["PutMetricAlarm", "EnableAlarmActions"]).context("the repair follows a look")?;
        let (seen, repaired) = (at(&log[seen]).context("a time")?, at(&log[repaired]).context("a time")?);
        seconds.push(repaired.duration_since(seen).as_secs_f64());
        // One drift at a time.
        daemon.api().converged(&name(index), Duration::from_secs(60)).await?;
    }
    let worst = seconds.iter().copied().fold(0.0, f64::max);
    print(&format!("drift seen → repair call, seconds: {seconds:.3?}"));
    Ok(Figure {
        what: format!("drift seen → repair call, worst of {}", seconds.len()),
        is: format!("{worst:.3} s"),
        promised: "< 1 s".to_owned(),
        kept: worst < 1.0 && !seconds.is_empty(),
    })
}
