//! `EcsCluster`: the cluster that the services run in, and whether Container Insights watches it.
//!
//! - API: Amazon ECS API Reference: CreateCluster, DescribeClusters, UpdateClusterSettings, DeleteCluster, TagResource.
//! - Identity: the cluster's name, unique in the region.
//! - Immutable: the name.
//! - AWS fills in: `containerInsights` from the account's setting when it is not given.
//! - Limits: DescribeClusters takes 100 names. A deleted cluster stays listed as INACTIVE for a while: that is absent.
//! - A cluster given as `existing` is looked at and neither claimed nor managed.

mod desired;
#[cfg(feature = "aws")]
mod errors;
mod observed;
mod plan;
#[cfg(feature = "aws")]
pub mod provider;
#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;

pub use desired::Desired;
pub use observed::{Insights, Observed};
pub use plan::{Action, EcsCluster};

/// What the provider calls, as IAM names it.
pub const IAM_ACTIONS: &[&str] =
    &["ecs:DescribeClusters", "ecs:CreateCluster", "ecs:UpdateClusterSettings", "ecs:DeleteCluster", "ecs:TagResource"];
