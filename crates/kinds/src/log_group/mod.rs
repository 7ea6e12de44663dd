//! `LogGroup`: a CloudWatch Logs group and how long it keeps its events.
//!
//! - API: CloudWatch Logs API Reference: CreateLogGroup, DescribeLogGroups, PutRetentionPolicy, TagResource.
//! - Identity: the group's name, unique in the region.
//! - Immutable: the name, the class.
//! - AWS fills in: no retention means that events never expire.
//! - Limits: DescribeLogGroups gives 50 a page; a retention is one of the listed numbers of days.
//! - A shorter retention destroys events that are already there: Destructive.

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
pub use observed::Observed;
pub use plan::{Action, LogGroup};

/// What the provider calls, as IAM names it.
pub const IAM_ACTIONS: &[&str] = &[
    "logs:DescribeLogGroups",
    "logs:CreateLogGroup",
    "logs:DeleteLogGroup",
    "logs:PutRetentionPolicy",
    "logs:TagResource",
    "logs:ListTagsForResource",
];
