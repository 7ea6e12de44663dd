//! The work queue, under client-go's names.

use std::time::Duration;

use prometheus::{Gauge, HistogramVec, IntCounterVec, IntGaugeVec};

use super::register::Register;

/// The only queue there is.
const NAME: &str = "environment";

/// A user's write is taken up in milliseconds; background work may wait behind others for a minute.
const QUEUE_SECONDS: &[f64] = &[0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0];

/// A pass without work takes milliseconds; one that creates a whole environment minutes.
const WORK_SECONDS: &[f64] = &[0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0];

/// The work queue.
#[derive(Clone)]
pub struct WorkQueue {
    adds: IntCounterVec,
    retries: IntCounterVec,
    depth: IntGaugeVec,
    queued: HistogramVec,
    worked: HistogramVec,
    oldest: Gauge,
    longest: Gauge,
    unfinished: Gauge,
}

impl WorkQueue {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            adds: register.counters("workqueue_adds_total", "Keys put into the queue.", &["name"]),
            retries: register.counters("workqueue_retries_total", "Keys put back after a failure.", &["name"]),
            depth: register.gauges(
                "workqueue_depth",
                "Keys that are due and wait for a worker. Alert when priority=user is above 0 for a minute.",
                &["name", "priority"],
            ),
            queued: register.histograms(
                "workqueue_queue_duration_seconds",
                "Time a due key waited for a worker.",
                &["name"],
                QUEUE_SECONDS,
            ),
            worked: register.histograms(
                "workqueue_work_duration_seconds",
                "Time of one pass.",
                &["name"],
                WORK_SECONDS,
            ),
            oldest: register.ratio("queue_oldest_age_seconds", "Time the key that is due the longest has waited."),
            longest: register.ratio(
                "workqueue_longest_running_processor_seconds",
                "Time of the pass that has been running the longest. Alert above five minutes.",
            ),
            unfinished: register.ratio("workqueue_unfinished_work_seconds", "Sum of the times of all running passes."),
        }
    }

    /// A key was put in.
    pub fn added(&self) {
        self.adds.with_label_values(&[NAME]).inc();
    }

    /// A key was put back after a failure.
    pub fn retried(&self) {
        self.retries.with_label_values(&[NAME]).inc();
    }

    /// A worker took a key that had been due for so long.
    pub fn taken(&self, waited: Duration) {
        self.queued.with_label_values(&[NAME]).observe(waited.as_secs_f64());
    }

    /// A pass has ended.
    pub fn worked(&self, elapsed: Duration) {
        self.worked.with_label_values(&[NAME]).observe(elapsed.as_secs_f64());
    }

    /// How things stand: due keys by priority, the wait of the oldest, the longest and the sum of running passes.
    pub fn set_state(&self, user: usize, background: usize, oldest: Duration, longest: Duration, sum: Duration) {
        self.depth.with_label_values(&[NAME, "user"]).set(user as i64);
        self.depth.with_label_values(&[NAME, "background"]).set(background as i64);
        self.oldest.set(oldest.as_secs_f64());
        self.longest.set(longest.as_secs_f64());
        self.unfinished.set(sum.as_secs_f64());
    }
}
