//! The metric registry, and one typed struct for each part of the daemon.
//!
//! Names that exist in the field are used where they exist (controller-runtime, client-go's workqueue). `help` says
//! what to watch for.

mod access;
mod audit;
mod aws;
mod database;
mod environments;
mod notifications;
mod observer;
mod queue;
mod reconcile;
mod register;

use jiff::Timestamp;
use prometheus::{Registry, TextEncoder};

pub use access::{AccessMetrics, AuthOutcome};
pub use audit::Audit;
pub use aws::Aws;
pub use database::Database;
pub use environments::{EnvironmentGauges, Environments, ResourceCounts};
pub use notifications::Notifications;
pub use observer::Observer;
pub use queue::WorkQueue;
pub use reconcile::{Reconcile, Result as ReconcileResult, StepOutcome};

use register::Register;

/// Every metric of the daemon. Cheap to clone: clones count together.
#[derive(Clone)]
pub struct Metrics {
    /// Passes, steps, drift.
    pub reconcile: Reconcile,
    /// The work queue.
    pub queue: WorkQueue,
    /// Sweeps and the age of observations.
    pub observer: Observer,
    /// Calls to AWS, and rate budgets.
    pub aws: Aws,
    /// Calls to Postgres.
    pub database: Database,
    /// Environments, backups, leases.
    pub environments: Environments,
    /// Who gets in.
    pub access: AccessMetrics,
    /// The audit trail.
    pub audit: Audit,
    /// Notifications.
    pub notifications: Notifications,
    registry: Registry,
}

impl Metrics {
    /// All metrics, registered in a registry of their own.
    pub fn new() -> (Self, Registry) {
        let register = Register::new();
        let metrics = Self {
            reconcile: Reconcile::new(&register),
            queue: WorkQueue::new(&register),
            observer: Observer::new(&register),
            aws: Aws::new(&register),
            database: Database::new(&register),
            environments: Environments::new(&register),
            access: AccessMetrics::new(&register),
            audit: Audit::new(&register),
            notifications: Notifications::new(&register),
            registry: register.into_registry(),
        };
        let registry = metrics.registry.clone();
        (metrics, registry)
    }

    /// The text that Prometheus scrapes. Ages are those at `now`.
    pub fn render(&self, now: Timestamp) -> String {
        self.observer.refresh_ages(now);
        self.environments.refresh_ages(now);
        // Only a metric without name or help cannot be encoded, and the registry refuses those.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
