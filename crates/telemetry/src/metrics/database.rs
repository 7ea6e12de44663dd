//! Calls to Postgres.

use std::time::Duration;

use prometheus::HistogramVec;

use super::register::Register;

/// A read takes about a millisecond, a commit a few; a lock may be waited for 5 s, a statement for 10 s.
const QUERY_SECONDS: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Calls to Postgres.
#[derive(Clone)]
pub struct Database {
    queries: HistogramVec,
}

impl Database {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            queries: register.histograms(
                "db_query_duration_seconds",
                "Time of a store call, waiting for a connection and retries included, by operation and outcome. Alert when outcome=unavailable rises.",
                &["operation", "outcome"],
                QUERY_SECONDS,
            ),
        }
    }

    /// A call has ended. Both labels come from closed sets.
    pub fn queried(&self, operation: &'static str, outcome: &'static str, elapsed: Duration) {
        self.queries.with_label_values(&[operation, outcome]).observe(elapsed.as_secs_f64());
    }
}
