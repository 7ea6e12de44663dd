//! The resource kinds: one folder each, and [`registry()`].
//!
//! A kind's pure half (`desired`, `observed`, `plan`) builds without any AWS SDK; its provider, the only file that may
//! name an `aws_sdk_*` crate, is behind the feature `aws`. No SQL, no HTTP handlers, no kind importing another.

#[cfg(feature = "aws")]
pub mod aws;
pub mod changes;
pub mod iam;
pub mod provider;
pub mod registry;

pub mod alarm;
pub mod ecs_cluster;
pub mod ecs_service;
pub mod ecs_task_definition;
pub mod listener;
pub mod log_group;
pub mod rds_instance;
pub mod rds_snapshot;
pub mod rds_snapshot_copy;
pub mod scalable_target;
pub mod scaling_policy;
pub mod secret;
pub mod target_group;

#[cfg(test)]
mod testing;

pub use provider::{Acted, Cloud, ObserveKey, Provider, Scope};
#[cfg(feature = "aws")]
pub use registry::providers;
pub use registry::registry;
