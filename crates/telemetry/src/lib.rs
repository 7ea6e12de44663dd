//! What the daemon says about itself: metrics with typed names and labels, and the set-up of its log.
//!
//! The only place that names a metric. No label holds a resource's identity, an ARN or a message; the only unbounded
//! ones are `environment`, `account` and `region`, bounded by what the installation declares.

pub mod chain;
pub mod log;
pub mod metrics;

pub use chain::ErrorChain;
pub use log::{Format, LogError};
pub use metrics::{AccessMetrics, AuthOutcome, Metrics};
