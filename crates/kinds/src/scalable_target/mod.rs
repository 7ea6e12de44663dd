//! `ScalableTarget`: the range in which Application Auto Scaling moves the number of a service's tasks.
//!
//! - API: Application Auto Scaling API Reference: RegisterScalableTarget, DescribeScalableTargets,
//!   DeregisterScalableTarget, TagResource, ListTagsForResource.
//! - Identity: the resource id `service/<cluster>/<service>`, in the namespace `ecs`, with the dimension
//!   `ecs:service:DesiredCount`.
//! - There is a node for every service: where autoscaling is not declared it is merely watched, since a live target
//!   takes the count of its service out of our hands.
//! - RegisterScalableTarget itself moves a count that is outside into the new range; its plan says so. While someone
//!   has suspended scaling in that direction it does not, and that is reported and left alone.
//! - An old target may have no ARN, and so no tags: it is registered again with its live range, which gives it one.
//! - AWS fills in: the service-linked role; a state in which nothing is suspended.
//! - Limits: DescribeScalableTargets takes 50 resource ids. Tags can be given at creation only, later by TagResource.

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
pub use observed::{Observed, Suspended};
pub use plan::{Action, ScalableTarget};

/// What the provider calls, as IAM names it.
pub const IAM_ACTIONS: &[&str] = &[
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:RegisterScalableTarget",
    "application-autoscaling:DeregisterScalableTarget",
    "application-autoscaling:TagResource",
    "application-autoscaling:ListTagsForResource",
    "iam:CreateServiceLinkedRole",
];
