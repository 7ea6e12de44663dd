//! `cargo xtask chaos` builds the daemon, the simulated AWS and this, and runs this.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use e2e::chaos::failover;
use e2e::chaos::run::{Settings, run};
use e2e::chaos::schedule::Shape;
use e2e::say::say;

/// Does everything to an installation that may happen, and judges.
#[derive(Debug, Parser)]
struct Args {
    /// The seed: the same one does the same things at the same times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long things are done.
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// Daemons.
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// Accounts, with one environment each.
    #[arg(long, default_value_t = 2)]
    accounts: usize,
    /// Life of a lease: 3 to 12 seconds.
    #[arg(long, default_value_t = 4)]
    lease: u64,
    /// People who write.
    #[arg(long, default_value_t = 4)]
    people: usize,
    /// Instead of all that: times fail-over, so many times each way, with leases and periods as they are by default.
    #[arg(long, value_name = "ROUNDS")]
    failover: Option<usize>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match chaos(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("chaos: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn chaos(args: &Args) -> Result<bool> {
    if let Some(rounds) = args.failover {
        ensure!((1..=100).contains(&rounds), "--failover must be 1 to 100");
        return failover::measure(rounds).await;
    }
    ensure!((1..=10).contains(&args.replicas), "--replicas must be 1 to 10");
    ensure!((1..=10).contains(&args.accounts), "--accounts must be 1 to 10");
    ensure!((3..=12).contains(&args.lease), "--lease must be 3 to 12");
    // A snapshot is due each minute, and a hundred are kept: none is pruned, and so none deleted.
    ensure!(args.minutes > 0.0 && args.minutes <= 90.0, "--minutes must be more than 0, and at most 90");
    let shape = Shape {
        seed: args.seed,
        length: Duration::from_secs_f64(args.minutes * 60.0),
        replicas: args.replicas,
        accounts: args.accounts,
        lease: Duration::from_secs(args.lease),
    };
    let settings = Settings { shape, people: args.people, pause: (100, 1_500), converges: Duration::from_secs(400) };
    Ok(run(&settings).await?.print())
}
