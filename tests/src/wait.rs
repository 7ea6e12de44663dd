//! Waiting on a condition with a limit, never for a time.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Looks until it finds something. `look` answers what it found, or in words what it saw instead; the last of these is in
/// the error.
///
/// # Errors
/// When `limit` has passed.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Cancel-safe: nobody cancels it.
        ticks.tick().await;
        match look().await {
            Ok(found) => return Ok(found),
            Err(seen) if Instant::now() >= deadline => bail!("waited {limit:?} for {what}; last seen: {seen}"),
            Err(_) => {}
        }
    }
}
