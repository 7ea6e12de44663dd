//! Calls to AWS and the rate budgets they draw from.

use std::time::Duration;

use prometheus::{GaugeVec, HistogramVec, IntCounterVec};

use super::register::Register;

/// Most calls take 20–300 ms; RDS and ECS answer some in seconds; above 10 s the call's own time-out ends it.
const CALL_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Waiting for a budget is normally nothing; half a minute means that the budget is far too small.
const WAIT_SECONDS: &[f64] = &[0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Calls to AWS and the rate budgets they draw from.
#[derive(Clone)]
pub struct Aws {
    calls: IntCounterVec,
    duration: HistogramVec,
    waited: HistogramVec,
    headroom: GaugeVec,
}

impl Aws {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            calls: register.counters(
                "aws_calls_total",
                "Calls to AWS by service, operation and class of the answer (ok, or the class of the failure). Alert on a rise of Throttled or Denied.",
                &["service", "operation", "class"],
            ),
            duration: register.histograms(
                "aws_call_duration_seconds",
                "Time from sending a call to AWS to its answer, without the wait for the rate budget.",
                &["service", "operation"],
                CALL_SECONDS,
            ),
            waited: register.histograms(
                "aws_call_wait_seconds",
                "Time a call to AWS waited for our own rate budget. Above a second for long: raise the share, or the periods.",
                &["service"],
                WAIT_SECONDS,
            ),
            headroom: register.ratios(
                "aws_budget_headroom_ratio",
                "Part of a rate budget's burst that is left, 0 to 1. Near 0 for minutes: calls are waiting.",
                &["account", "region", "bucket"],
            ),
        }
    }

    /// A call has ended. `operation` is as IAM names it: `ecs:DescribeServices`. `class` is `ok` or the class of its
    /// failure.
    pub fn called(&self, operation: &str, class: &str, duration: Duration, waited: Duration) {
        let (service, name) = operation.split_once(':').unwrap_or(("", operation));
        self.calls.with_label_values(&[service, name, class]).inc();
        self.duration.with_label_values(&[service, name]).observe(duration.as_secs_f64());
        self.waited.with_label_values(&[service]).observe(waited.as_secs_f64());
    }

    /// What is left of one budget, 0 to 1.
    pub fn set_headroom(&self, account: &str, region: &str, bucket: &str, part: f64) {
        self.headroom.with_label_values(&[account, region, bucket]).set(part);
    }
}
