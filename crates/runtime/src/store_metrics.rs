//! Counts the store's calls. It belongs here because the store knows no metrics library, and telemetry no store.

use std::time::Duration;

use store::{Operation, QueryObserver, QueryOutcome};
use telemetry::Metrics;

/// Give it to `Store::connect_lazy`.
#[derive(Clone)]
pub struct StoreMetrics(pub Metrics);

impl QueryObserver for StoreMetrics {
    fn observe(&self, operation: Operation, outcome: QueryOutcome, elapsed: Duration) {
        self.0.database.queried(operation.into(), outcome.into(), elapsed);
    }
}
