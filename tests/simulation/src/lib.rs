//! Chaos in one process: the daemon's own sweeps and passes on a simulated AWS with a clock of its own and a real Postgres,
//! run one after another as a seed says: faults strike, replicas crash in the middle of any call, another takes over while
//! one is in the middle of a pass, people write and change AWS by hand. The judge is that of `cargo xtask chaos`. The same
//! seed makes the same calls to AWS.

mod replica;
mod script;
mod seed;
mod world;

pub use seed::{Outcome, play};

use anyhow::{Result, anyhow};

/// Passes of an unoptimised build nest deeper than the two megabytes that threads have by default.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Plays a seed on a thread of its own: one thread, so that the order of things is the seed's.
///
/// # Errors
/// When the simulation itself fails.
pub fn play_alone(seed: u64) -> Result<Outcome> {
    let playing = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(play(seed))
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(playing)?;
    thread.join().map_err(|_| anyhow!("seed {seed} panicked"))?
}
