//! `cargo xtask chaos --in-process` builds this and runs it.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use e2e::say::{print, say};
use simulation::play_alone;

/// Plays seeds.
#[derive(Debug, Parser)]
struct Args {
    /// The first and the one after the last: 1..200.
    #[arg(long, default_value = "1..200")]
    seeds: String,
    /// Shows what was done and every call of each seed.
    #[arg(long)]
    show: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("seeds: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    let (from, to) = args.seeds.split_once("..").context("--seeds is A..B")?;
    let (from, to): (u64, u64) = (from.parse().context("--seeds")?, to.parse().context("--seeds")?);
    ensure!(from < to, "--seeds is A..B with A below B");
    let next = AtomicU64::new(from);
    let total = Mutex::new(Total::default());
    let workers = std::thread::available_parallelism()?.get();
    let played: Result<()> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| worker(args, &next, to, &total))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    });
    played?;
    let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    print(&format!(
        "{} seeds: {} crashes in the middle of calls, {} take-overs in the middle of passes, {} writes by people, {} calls to AWS",
        to - from,
        total.crashes,
        total.take_overs,
        total.writes,
        total.calls
    ));
    if total.broken.is_empty() {
        print("no promise was broken");
    } else {
        print(&format!("broken by seeds {:?}", total.broken));
    }
    Ok(total.broken.is_empty())
}

#[derive(Debug, Default)]
struct Total {
    broken: BTreeSet<u64>,
    crashes: u32,
    take_overs: u32,
    writes: usize,
    calls: usize,
}

/// Plays seeds as long as there are any.
fn worker(args: &Args, next: &AtomicU64, to: u64, total: &Mutex<Total>) -> Result<()> {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= to {
            return Ok(());
        }
        let outcome = play_alone(seed).with_context(|| format!("seed {seed}"))?;
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        total.crashes += outcome.crashes;
        total.take_overs += outcome.take_overs;
        total.writes += outcome.writes;
        total.calls += outcome.log.len();
        if outcome.violations.is_empty() && !args.show {
            continue;
        }
        print(&format!("seed {seed}"));
        for line in outcome.notes.iter().chain(args.show.then_some(&outcome.log).into_iter().flatten()) {
            print(&format!("  {line}"));
        }
        for violation in &outcome.violations {
            total.broken.insert(seed);
            print(&format!("VIOLATION of \"{}\"\n  {}", violation.rule, violation.what));
        }
    }
}
