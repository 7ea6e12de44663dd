//! Passes, steps and drift.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use strum::IntoStaticStr;

use super::register::Register;

/// The only controller there is.
const CONTROLLER: &str = "environment";

/// A pass without work takes milliseconds; one that creates a whole environment minutes.
const PASS_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

/// Detection is bounded by the lane: 15 s hot, 120 s slow; beyond, sweeps fail or are throttled.
const DETECTION_SECONDS: &[f64] = &[1.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 240.0, 600.0];

/// The repair call follows within a second; a rollout or a window takes minutes to days.
const CONVERGENCE_SECONDS: &[f64] = &[0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 86_400.0, 604_800.0];

/// How a pass ended, in controller-runtime's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Result {
    /// Nothing is left to do before the next resync.
    Success,
    /// It failed and is tried again after a back-off.
    Error,
    /// It is run again at once.
    Requeue,
    /// It is run again at a known time.
    RequeueAfter,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum StepOutcome {
    /// Carried out, and verification saw its effect.
    Effective,
    /// Carried out, and verification did not see its effect (yet).
    WithoutEffect,
    /// Refused by AWS.
    NotApplied,
    /// Perhaps carried out.
    Unknown,
}

/// Passes, steps and drift.
#[derive(Clone)]
pub struct Reconcile {
    total: IntCounterVec,
    errors: IntCounterVec,
    time: HistogramVec,
    active: IntGaugeVec,
    most: IntGaugeVec,
    steps: IntCounterVec,
    drift: IntCounterVec,
    detection: HistogramVec,
    convergence: HistogramVec,
}

impl Reconcile {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            total: register.counters(
                "controller_runtime_reconcile_total",
                "Passes by result (success, error, requeue, requeue_after).",
                &["controller", "result"],
            ),
            errors: register.counters(
                "controller_runtime_reconcile_errors_total",
                "Passes that failed. Alert when its rate stays above that of success.",
                &["controller"],
            ),
            time: register.histograms(
                "controller_runtime_reconcile_time_seconds",
                "Time of one pass.",
                &["controller"],
                PASS_SECONDS,
            ),
            active: register.gauges("controller_runtime_active_workers", "Passes that are running.", &["controller"]),
            most: register.gauges(
                "controller_runtime_max_concurrent_reconciles",
                "Passes that may run at once.",
                &["controller"],
            ),
            steps: register.counters(
                "reconcile_steps_total",
                "Steps carried out, by kind, AWS operation and outcome. Alert on without_effect.",
                &["kind", "step", "outcome"],
            ),
            drift: register.counters(
                "eventchain_drift_detected_total",
                "Objects found to differ from a spec that they agreed with before, by kind.",
                &["kind"],
            ),
            detection: register.histograms(
                "eventchain_drift_detection_seconds",
                "Longest possible time from a drift to the sweep that saw it: the time since the observation before, by kind.",
                &["kind"],
                DETECTION_SECONDS,
            ),
            convergence: register.histograms(
                "eventchain_drift_convergence_seconds",
                "Time from the sweep that saw a drift to the read that verified its repair, by kind.",
                &["kind"],
                CONVERGENCE_SECONDS,
            ),
        }
    }

    /// So many passes may run at once.
    pub fn set_most(&self, workers: usize) {
        self.most.with_label_values(&[CONTROLLER]).set(workers as i64);
    }

    /// So many passes run now.
    pub fn set_active(&self, passes: usize) {
        self.active.with_label_values(&[CONTROLLER]).set(passes as i64);
    }

    /// A pass has ended.
    pub fn passed(&self, result: Result, elapsed: Duration) {
        self.total.with_label_values(&[CONTROLLER, result.into()]).inc();
        self.time.with_label_values(&[CONTROLLER]).observe(elapsed.as_secs_f64());
        if result == Result::Error {
            self.errors.with_label_values(&[CONTROLLER]).inc();
        }
    }

    /// A step has ended.
    pub fn stepped(&self, kind: &str, operation: &str, outcome: StepOutcome) {
        self.steps.with_label_values(&[kind, operation, outcome.into()]).inc();
    }

    /// Drift was seen; it can be no older than this.
    pub fn drifted(&self, kind: &str, at_most: Option<Duration>) {
        self.drift.with_label_values(&[kind]).inc();
        if let Some(at_most) = at_most {
            self.detection.with_label_values(&[kind]).observe(at_most.as_secs_f64());
        }
    }

    /// Drift was repaired, so long after it was seen.
    pub fn repaired(&self, kind: &str, after: Duration) {
        self.convergence.with_label_values(&[kind]).observe(after.as_secs_f64());
    }
}
