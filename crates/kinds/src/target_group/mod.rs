//! `TargetGroup`: the target group that an ECS service registers its tasks in, and its health check.
//!
//! - API: Elastic Load Balancing API Reference: CreateTargetGroup, DescribeTargetGroups, ModifyTargetGroup,
//!   ModifyTargetGroupAttributes, DescribeTags.
//! - Identity: the group's name, unique in the region.
//! - Immutable: port, protocol, VPC, target type. Where one differs it is told, and nothing is replaced.
//! - AWS fills in: a health check every 30 s on `/`, time-out 5 s, thresholds 5 and 2, code 200; a deregistration
//!   delay of 300 s.
//! - Limits: DescribeTargetGroups gives 400 a page, and fails as a whole when a name is missing; tags of 20 ARNs a
//!   call; attributes of one group a call, so sweeps read them rarely.
//! - Members are ECS's own: nothing here registers or deregisters a target.

mod desired;
#[cfg(feature = "aws")]
mod diagnosis;
#[cfg(feature = "aws")]
mod errors;
mod observed;
mod plan;
#[cfg(feature = "aws")]
pub mod provider;
#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;

pub use desired::{Desired, HealthCheck};
pub use observed::Observed;
pub use plan::{Action, TargetGroup};

/// What the provider calls, as IAM names it.
pub const IAM_ACTIONS: &[&str] = &[
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetHealth",
    "elasticloadbalancing:CreateTargetGroup",
    "elasticloadbalancing:ModifyTargetGroup",
    "elasticloadbalancing:ModifyTargetGroupAttributes",
    "elasticloadbalancing:AddTags",
    "elasticloadbalancing:DeleteTargetGroup",
];
