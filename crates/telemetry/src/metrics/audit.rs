//! The audit trail and its writer behind.

use std::time::Duration;

use prometheus::{Gauge, IntGauge};

use super::register::Register;

/// The audit trail.
#[derive(Clone)]
pub struct Audit {
    sequence: IntGauge,
    pending: IntGauge,
    oldest: Gauge,
}

impl Audit {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            sequence: register.gauge(
                "eventchain_audit_last_sequence",
                "Sequence of the newest entry in the audit trail's chain. It never goes down: alert when it does.",
            ),
            pending: register
                .gauge("eventchain_audit_pending_entries", "Entries that are written and not chained yet."),
            oldest: register.ratio(
                "eventchain_audit_oldest_pending_age_seconds",
                "Age of the oldest entry that is not chained yet. Alert above a minute: nobody writes the chain.",
            ),
        }
    }

    /// How far the chain has come.
    pub fn set_state(&self, sequence: i64, pending: i64, oldest: Duration) {
        self.sequence.set(sequence);
        self.pending.set(pending);
        self.oldest.set(oldest.as_secs_f64());
    }
}
