//! `ScalingPolicy`: target tracking on the average CPU of a service.
//!
//! - API: Application Auto Scaling API Reference: PutScalingPolicy, DescribeScalingPolicies, DeleteScalingPolicy.
//! - Identity: `<resource id>/cpu-target-tracking`. The object is the policy of that name, else the only target tracking
//!   policy on the service's average CPU: the guide names none, so an environment that exists may call it anything, and
//!   a second one on the same metric would only fight with it.
//! - Immutable: the name, the type of policy.
//! - PutScalingPolicy replaces the whole: what is sent is the live configuration overlaid with the declared fields.
//! - AWS fills in: cooldowns of 300 s for an ECS service, `DisableScaleIn` false; two alarms, which are its own.
//! - Limits: DescribeScalingPolicies gives 10 a page, of the whole namespace or of one resource. Policies have no tags:
//!   they belong with their target.

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
pub use observed::{Metric, Observed};
pub use plan::{Action, ScalingPolicy};

/// Name of the policy that we make.
pub const POLICY_NAME: &str = "cpu-target-tracking";

/// What the provider calls, as IAM names it.
pub const IAM_ACTIONS: &[&str] = &[
    "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:PutScalingPolicy",
    "application-autoscaling:DeleteScalingPolicy",
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:DeleteAlarms",
];
