//! How long to wait before the next attempt. Pure: the jitter is an argument.

use std::time::Duration;

use crate::config::Timing;

/// After so many failures in a row (from 1): doubling, capped, spread over the upper half by `jitter` (0 to 1). What the
/// receiver asks for by `Retry-After` counts where it is longer, within the cap.
pub(crate) fn wait(timing: &Timing, failures: u32, jitter: f64, asked: Option<Duration>) -> Duration {
    let doubled = timing.first_retry.saturating_mul(1_u32 << failures.saturating_sub(1).min(20));
    let full = doubled.min(timing.longest_retry);
    let spread = full / 2 + (full / 2).mul_f64(jitter.clamp(0.0, 1.0));
    spread.max(asked.unwrap_or_default()).min(timing.longest_retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_never_fall_below_half() {
        let timing = Timing::default();
        let seconds = |failures, jitter| wait(&timing, failures, jitter, None).as_secs_f64();
        assert_eq!((seconds(1, 0.0), seconds(1, 1.0)), (2.5, 5.0));
        assert_eq!((seconds(3, 0.0), seconds(3, 1.0)), (10.0, 20.0));
        assert_eq!((seconds(99, 0.0), seconds(99, 1.0)), (300.0, 600.0));
    }

    #[test]
    fn a_receiver_may_ask_for_longer_within_the_cap() {
        let timing = Timing::default();
        let asked = |seconds| wait(&timing, 1, 1.0, Some(Duration::from_secs(seconds))).as_secs();
        assert_eq!((asked(1), asked(60), asked(100_000)), (5, 60, 600));
    }
}
