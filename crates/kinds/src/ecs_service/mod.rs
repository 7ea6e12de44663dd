//! `EcsService`: one service on Fargate: how many tasks, of which task definition revision, in which network, behind
//! which target group.
//!
//! - API: Amazon ECS API Reference: CreateService, DescribeServices, UpdateService, DeleteService, TagResource; for the
//!   reason of failing tasks ListTasks and DescribeTasks.
//! - Identity: `<cluster>/<service name>`.
//! - Immutable: the name, the cluster, the launch type.
//! - AWS fills in: `minimumHealthyPercent` 100, `maximumPercent` 200, `assignPublicIp` DISABLED, a grace period of 0.
//! - Count: with autoscaling declared, or a live scalable target, `desiredCount` is used at creation only; afterwards the
//!   count is only moved into the range, and not even that while the target is suspended. Otherwise it is enforced.
//! - A new task definition rolls in the pass that registered it, and only over the revision it was made from. A rollout
//!   that ECS counts as failed is not tried again with the same revision (the plan remembers its ARN until another one
//!   is wanted).
//! - Under a CODE_DEPLOY or EXTERNAL deployment controller, task definition, network and load balancers are only
//!   reported: whoever owns the deployments changes them.
//! - Creation waits until the target group is attached to a load balancer: ECS refuses it before.
//! - DRAINING is waited for; INACTIVE is absent. Load balancers added by hand stay.
//! - Limits: DescribeServices takes 10 services of one cluster; CreateService takes a client token.

mod count;
mod desired;
#[cfg(feature = "aws")]
mod errors;
mod health;
mod observed;
mod plan;
#[cfg(feature = "aws")]
pub mod provider;
mod rollout;
mod target;
#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;
mod update;

pub use desired::{Desired, Range, TargetGroup};
pub use observed::{Controller, Deployment, DeploymentSettings, LoadBalancer, Network, Observed, Rollout};
pub use plan::EcsService;
pub use update::{Action, Create, Update};

/// What the provider calls, as IAM names it.
pub const IAM_ACTIONS: &[&str] = &[
    "ecs:DescribeServices",
    "ecs:CreateService",
    "ecs:UpdateService",
    "ecs:DeleteService",
    "ecs:TagResource",
    "ecs:ListTasks",
    "ecs:DescribeTasks",
    "iam:PassRole",
];
