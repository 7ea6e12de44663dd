//! A bounded number of seeds; `cargo xtask chaos --in-process --seeds A..B` plays more.

use anyhow::{Result, ensure};
use simulation::play_alone;

fn kept(seeds: std::ops::Range<u64>) -> Result<()> {
    for seed in seeds {
        let outcome = play_alone(seed)?;
        let show = (&outcome.notes, &outcome.violations);
        ensure!(outcome.violations.is_empty(), "seed {seed}: {show:#?}");
    }
    Ok(())
}

#[test]
fn no_promise_is_broken_by_crashes_and_take_overs_seeds_1_to_6() -> Result<()> {
    kept(1..7)
}

#[test]
fn no_promise_is_broken_by_crashes_and_take_overs_seeds_7_to_12() -> Result<()> {
    kept(7..13)
}

#[test]
fn the_same_seed_makes_the_same_calls() -> Result<()> {
    let (first, second) = (play_alone(7)?, play_alone(7)?);
    ensure!(first.crashes + first.take_overs > 0, "the seed is about something: {:#?}", first.notes);
    for (number, (one, other)) in first.log.iter().zip(&second.log).enumerate() {
        ensure!(one == other, "call {number} differs:\n{one}\n{other}");
    }
    ensure!(first.log.len() == second.log.len() && first.notes == second.notes, "one run is longer");
    Ok(())
}
