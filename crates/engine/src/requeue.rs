//! When a key is looked at again: a table over error classes and what the pass waits for. Pure; jitter is a value.

use std::time::Duration;

use jiff::Timestamp;
use model::Class;
use strum::{Display, IntoStaticStr};

/// A wait in AWS (a rollout, a modification) is looked at this often: short enough that a chain of dependants moves
/// on quickly, and one direct read each is far below every budget.
pub const POLL: Duration = Duration::from_secs(5);

/// The safety net under the sweeps: each environment is passed at least this often, and never all at once.
pub const RESYNC_SHORTEST: Duration = Duration::from_secs(40 * 60);
/// See [`RESYNC_SHORTEST`].
pub const RESYNC_LONGEST: Duration = Duration::from_secs(60 * 60);

/// Even with full jitter no failing key comes back sooner.
const LEAST: Duration = Duration::from_millis(100);

/// What a pass says about its key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// The instant it ended.
    pub now: Timestamp,
    /// The class of its gravest failure, if it failed.
    pub failure: Option<Class>,
    /// How many passes of this key failed in a row, this one included.
    pub attempts: u32,
    /// It stopped with work left that can go on at once (the bound on rounds of one pass).
    pub more: bool,
    /// Something is under way in AWS.
    pub progressing: bool,
    /// The earliest known end of a wait or a hold.
    pub until: Option<Timestamp>,
    /// The next edge of a window, when a step waits for one.
    pub window_edge: Option<Timestamp>,
    /// From 0 to 1.
    pub jitter: f64,
}

/// Why a key is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, IntoStaticStr)]
pub enum Why {
    /// Work is left.
    More,
    /// It failed.
    Backoff,
    /// Something is under way.
    Poll,
    /// A wait or a hold ends, or a window opens.
    Until,
    /// The safety net.
    Resync,
}

/// When a key is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requeue {
    /// After so long.
    pub after: Duration,
    /// Why.
    pub why: Why,
}

/// The first delay and the longest, by class. They double with each failure in a row.
fn delays(class: Class) -> (Duration, Duration) {
    let seconds = |first: u64, longest: u64| (Duration::from_secs(first), Duration::from_secs(longest));
    match class {
        // The limiter slows down too; the key itself must not add to the load.
        Class::Throttled => seconds(2, 300),
        Class::Transient => seconds(1, 120),
        // A short fixed poll: a wait, not a failure.
        Class::NotYet => (POLL, POLL),
        // Looked at again at once in the pass; what remains is a race that the next look settles.
        Class::Conflict | Class::NotFound => seconds(1, 60),
        // Someone must act; looked at again slowly, never abandoned.
        Class::Quota | Class::Denied => seconds(60, 900),
        Class::Invalid => seconds(60, 1800),
        Class::Bug => seconds(60, 1800),
    }
}

/// Exponential, full jitter, capped.
pub fn backoff(class: Class, attempts: u32, jitter: f64) -> Duration {
    let (first, longest) = delays(class);
    if class == Class::NotYet {
        return first;
    }
    // 2^20 s is beyond every cap.
    let limit = first.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(longest);
    limit.mul_f64(jitter.clamp(0.0, 1.0)).max(LEAST)
}

/// The gravest of the classes: the one that should set the pace. A failure that someone must act on does not slow down
/// the others of the same environment.
pub fn gravest(classes: impl IntoIterator<Item = Class>) -> Option<Class> {
    classes.into_iter().min_by_key(|class| delays(*class).0)
}

/// When the key is looked at again: the earliest of all reasons.
pub fn next_run(facts: &Facts) -> Requeue {
    let resync = RESYNC_SHORTEST + RESYNC_LONGEST.saturating_sub(RESYNC_SHORTEST).mul_f64(facts.jitter.clamp(0.0, 1.0));
    let mut next = Requeue { after: resync, why: Why::Resync };
    let mut consider = |after: Duration, why: Why| {
        if after < next.after {
            next = Requeue { after, why };
        }
    };
    for at in [facts.until, facts.window_edge].into_iter().flatten() {
        // A wait that should have ended already is polled: it must not spin.
        let after = Duration::try_from(at.duration_since(facts.now)).unwrap_or_default();
        consider(after.max(Duration::from_secs(1)), Why::Until);
    }
    if facts.progressing {
        consider(POLL, Why::Poll);
    }
    if let Some(class) = facts.failure {
        consider(backoff(class, facts.attempts, facts.jitter), Why::Backoff);
    } else if facts.more {
        consider(Duration::ZERO, Why::More);
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle() -> Facts {
        Facts {
            now: Timestamp::UNIX_EPOCH,
            failure: None,
            attempts: 0,
            more: false,
            progressing: false,
            until: None,
            window_edge: None,
            jitter: 1.0,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn nothing_to_do_is_looked_at_between_forty_and_sixty_minutes_later() {
        let ends: Vec<u64> =
            [0.0, 0.5, 1.0].map(|jitter| next_run(&Facts { jitter, ..idle() }).after.as_secs() / 60).to_vec();
        assert_eq!(ends, [40, 50, 60]);
    }

    #[test]
    fn backoff_doubles_and_is_capped_by_class() {
        let table = [
            (Class::Throttled, [2, 4, 8, 300]),
            (Class::Transient, [1, 2, 4, 120]),
            (Class::NotYet, [5, 5, 5, 5]),
            (Class::Conflict, [1, 2, 4, 60]),
            (Class::NotFound, [1, 2, 4, 60]),
            (Class::Quota, [60, 120, 240, 900]),
            (Class::Denied, [60, 120, 240, 900]),
            (Class::Invalid, [60, 120, 240, 1800]),
            (Class::Bug, [60, 120, 240, 1800]),
        ];
        for (class, seconds) in table {
            assert_eq!([1, 2, 3, 99].map(|attempts| backoff(class, attempts, 1.0).as_secs()), seconds, "{class}");
        }
    }

    #[test]
    fn jitter_is_full_and_never_spins() {
        assert_eq!(backoff(Class::Transient, 3, 0.5), Duration::from_secs(2));
        assert_eq!(backoff(Class::Transient, 3, 0.0), LEAST);
    }

    #[test]
    fn the_earliest_reason_wins() {
        let next = next_run(&Facts { progressing: true, until: Some(at(3)), window_edge: Some(at(100)), ..idle() });
        assert_eq!(next, Requeue { after: Duration::from_secs(3), why: Why::Until });
        let next = next_run(&Facts { progressing: true, until: Some(at(100)), ..idle() });
        assert_eq!(next, Requeue { after: POLL, why: Why::Poll });
    }

    #[test]
    fn an_end_that_has_passed_is_polled() {
        let next = next_run(&Facts { until: Some(at(-50)), ..idle() });
        assert_eq!(next.after, Duration::from_secs(1));
    }

    #[test]
    fn work_left_goes_on_at_once_unless_the_pass_failed() {
        assert_eq!(next_run(&Facts { more: true, ..idle() }).why, Why::More);
        let failed = Facts { more: true, failure: Some(Class::Throttled), attempts: 1, ..idle() };
        assert_eq!(next_run(&failed).why, Why::Backoff);
    }

    #[test]
    fn a_failure_someone_must_act_on_does_not_slow_down_the_others() {
        assert_eq!(gravest([Class::Denied, Class::Transient]), Some(Class::Transient));
        assert_eq!(gravest([]), None);
    }
}
