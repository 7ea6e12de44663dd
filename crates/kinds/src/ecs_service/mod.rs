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
//! - A new task definition rolls in the pass that registered it, and only over the revision it was made from.
//! - A rollout is the whole of revision, network and target groups. One that ECS counts as failed, or took back, is not
//!   tried again with the same whole (the plan remembers it until something else is wanted).
//! - Another network goes with the new revision where it is no riskier than that, else in a deployment of its own: taking
//!   a subnet, a group or the public IP away is Disruptive, giving a public IP is Destructive.
//! - The grace period goes with the first target group: ECS takes none before.
//! - A new version of a secret of the document that the service reads starts a deployment of what is there (the plan
//!   remembers the versions; one that is first seen starts none). A secret that is named by its ARN is not looked at.
//! - Under a CODE_DEPLOY or EXTERNAL deployment controller, task definition, network, load balancers and the circuit
//!   breaker (under EXTERNAL all deployment settings) are only reported: whoever owns the deployments changes them.
//! - Tasks that lack are Progressing first and Stalled later: during a deployment by its own time, else by when the lack
//!   was first seen (the plan remembers it).
//! - Creation waits until the target group is attached to a load balancer: ECS refuses it before.
//! - DRAINING is waited for; INACTIVE is absent. Load balancers added by hand stay.
//! - Diagnosis: stopped and unhealthy tasks by cause, and the service's events of the last hour.
//! - Limits: DescribeServices takes 10 services of one cluster; CreateService takes a client token.

mod count;
mod deploy;
mod desired;
#[cfg(feature = "aws")]
mod diagnosis;
#[cfg(feature = "aws")]
mod errors;
mod health;
mod observed;
mod plan;
#[cfg(feature = "aws")]
pub mod provider;
mod rollout;
mod secrets;
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
