//! Sweeps, and how old what we know of AWS is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::{GaugeVec, HistogramVec, IntCounterVec};

use super::register::Register;

/// A sweep of one kind is a few calls of 50–300 ms; hundreds of pages take some ten seconds.
const SWEEP_SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Sweeps, and how old what we know of AWS is.
#[derive(Clone)]
pub struct Observer {
    sweeps: IntCounterVec,
    duration: HistogramVec,
    changes: IntCounterVec,
    reads: IntCounterVec,
    age: GaugeVec,
    oldest: Arc<Mutex<BTreeMap<(String, String), Timestamp>>>,
}

impl Observer {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            sweeps: register.counters(
                "eventchain_sweeps_total",
                "Sweeps by kind and result (ok, partial, or the class of the failure).",
                &["kind", "result"],
            ),
            duration: register.histograms(
                "eventchain_sweep_duration_seconds",
                "Time of one sweep of a kind in an account and region, waits for the rate budget included.",
                &["kind"],
                SWEEP_SECONDS,
            ),
            changes: register.counters(
                "eventchain_observed_changes_total",
                "Objects that a sweep saw changed, by kind.",
                &["kind"],
            ),
            reads: register.counters(
                "eventchain_direct_reads_total",
                "Direct reads of one object by kind and result (present, absent, unknown, or the class of the failure).",
                &["kind", "result"],
            ),
            age: register.ratios(
                "eventchain_observation_age_seconds",
                "Age of the oldest sweep by kind. Alert when it exceeds four times the lane's period.",
                &["kind"],
            ),
            oldest: Arc::default(),
        }
    }

    /// A sweep of a kind has ended. `result`: `ok`, `partial`, or the class of its failure.
    pub fn swept(&self, kind: &str, result: &str, elapsed: Duration, changed: usize) {
        self.sweeps.with_label_values(&[kind, result]).inc();
        self.duration.with_label_values(&[kind]).observe(elapsed.as_secs_f64());
        self.changes.with_label_values(&[kind]).inc_by(changed as u64);
    }

    /// A direct read has ended.
    pub fn read(&self, kind: &str, result: &str) {
        self.reads.with_label_values(&[kind, result]).inc();
    }

    /// A kind was last swept whole in a scope (an account and region) at that time.
    pub fn observed(&self, kind: &str, scope: &str, at: Timestamp) {
        self.lock().insert((kind.to_owned(), scope.to_owned()), at);
    }

    /// A scope is not ours any more.
    pub fn forget(&self, kind: &str, scope: &str) {
        let mut oldest = self.lock();
        oldest.remove(&(kind.to_owned(), scope.to_owned()));
        if !oldest.keys().any(|(other, _)| other == kind) {
            // Fails only when it was never set.
            let _ = self.age.remove_label_values(&[kind]);
        }
    }

    pub(super) fn refresh_ages(&self, now: Timestamp) {
        let mut by_kind: BTreeMap<String, Timestamp> = BTreeMap::new();
        for ((kind, _), at) in self.lock().iter() {
            by_kind.entry(kind.clone()).and_modify(|oldest| *oldest = (*oldest).min(*at)).or_insert(*at);
        }
        for (kind, at) in by_kind {
            self.age.with_label_values(&[&kind]).set(now.duration_since(at).as_secs_f64().max(0.0));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Timestamp>> {
        self.oldest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
