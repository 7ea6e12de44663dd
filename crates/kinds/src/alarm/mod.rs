//! `Alarm`: a CloudWatch alarm on one metric.
//!
//! - API: CloudWatch API Reference: PutMetricAlarm, DescribeAlarms, EnableAlarmActions, TagResource.
//! - Identity: the alarm's name, unique in the region over all sorts of alarms.
//! - AWS fills in: actions enabled; missing data counts as `missing`; as many datapoints as evaluation periods.
//! - PutMetricAlarm replaces the whole, so its body is the live alarm overlaid with the declared fields. Tags in it
//!   count at creation only.
//! - Limits: DescribeAlarms takes 100 names; it shows no tags.
//! - An alarm on metric math, on a query, or on other alarms is reported and not touched: the spec says one metric.

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
pub use observed::{Config, Form, Observed};
pub use plan::{Action, Alarm};

/// What the provider calls, as IAM names it.
pub const IAM_ACTIONS: &[&str] = &[
    "cloudwatch:DescribeAlarms",
    "cloudwatch:ListTagsForResource",
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:EnableAlarmActions",
    "cloudwatch:TagResource",
    "cloudwatch:DeleteAlarms",
];
