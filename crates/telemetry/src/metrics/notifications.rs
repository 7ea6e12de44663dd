//! Notifications to receivers outside.

use std::time::Duration;

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::register::Register;

/// A receiver that is well answers in a fraction of a second; 10 s is the time-out.
const SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Notifications. Labels are the receivers' names, as configured.
#[derive(Clone)]
pub struct Notifications {
    attempts: IntCounterVec,
    seconds: HistogramVec,
    merged: IntCounterVec,
    waiting: IntGaugeVec,
    oldest: GaugeVec,
}

impl Notifications {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            attempts: register.counters(
                "eventchain_notification_attempts_total",
                "Attempts to deliver, by outcome: delivered, retried, given_up. Alert on given_up.",
                &["receiver", "outcome"],
            ),
            seconds: register.histograms(
                "eventchain_notification_duration_seconds",
                "Time of one attempt.",
                &["receiver"],
                SECONDS,
            ),
            merged: register.counters(
                "eventchain_notifications_merged_total",
                "Further occurrences of an event that a waiting message tells of too.",
                &["receiver"],
            ),
            waiting: register.gauges(
                "eventchain_notifications_waiting",
                "Notifications that are due and not delivered yet.",
                &["receiver"],
            ),
            oldest: register.ratios(
                "eventchain_notification_oldest_age_seconds",
                "Age of the oldest notification that is not delivered yet. Alert above ten minutes: the receiver is down.",
                &["receiver"],
            ),
        }
    }

    /// An attempt ended: `delivered`, `retried` or `given_up`.
    pub fn attempted(&self, receiver: &str, outcome: &str, elapsed: Duration) {
        self.attempts.with_label_values(&[receiver, outcome]).inc();
        self.seconds.with_label_values(&[receiver]).observe(elapsed.as_secs_f64());
    }

    /// Notifications were given up without a further attempt.
    pub fn given_up(&self, receiver: &str, count: u64) {
        self.attempts.with_label_values(&[receiver, "given_up"]).inc_by(count);
    }

    /// Occurrences were merged into a message that waits.
    pub fn merged(&self, receiver: &str, count: u64) {
        self.merged.with_label_values(&[receiver]).inc_by(count);
    }

    /// What waits for a receiver.
    pub fn set_waiting(&self, receiver: &str, waiting: i64, oldest: Duration) {
        self.waiting.with_label_values(&[receiver]).set(waiting);
        self.oldest.with_label_values(&[receiver]).set(oldest.as_secs_f64());
    }
}
