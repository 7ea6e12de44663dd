//! What AWS says of a service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::Tags;
use serde::{Deserialize, Serialize};

/// What AWS says of a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// ARN.
    pub arn: String,
    /// `ACTIVE` or `DRAINING`. `INACTIVE` never gets here: it is absent.
    pub status: String,
    /// ARN of the revision it runs.
    pub task_definition: String,
    /// Tasks it shall have.
    pub desired_count: u32,
    /// Tasks that run.
    pub running_count: u32,
    /// Tasks that are starting.
    pub pending_count: u32,
    /// Who owns its deployments.
    pub controller: Controller,
    /// Network of its tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Grace period of health checks in seconds.
    #[serde(rename = "healthCheckGracePeriodSeconds")]
    pub grace_s: u32,
    /// How deployments go.
    #[serde(flatten)]
    pub deployment: DeploymentSettings,
    /// Target groups its tasks are registered in.
    pub load_balancers: Vec<LoadBalancer>,
    /// Deployments, the primary one first.
    pub deployments: Vec<Deployment>,
    /// What ECS says of failing tasks, when some fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Observed {
    /// The deployment that counts.
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.primary)
    }

    /// The deployments that ECS counts as failed.
    pub fn failed(&self) -> impl Iterator<Item = &Deployment> {
        self.deployments.iter().filter(|deployment| deployment.rollout == Rollout::Failed)
    }
}

/// Who owns a service's deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Controller {
    /// ECS itself.
    Ecs,
    /// AWS CodeDeploy.
    CodeDeploy,
    /// A third party.
    External,
}

/// Network of a service's tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Subnet ids.
    pub subnets: BTreeSet<String>,
    /// Security group ids.
    pub security_groups: BTreeSet<String>,
    /// Whether tasks get a public IP.
    pub assign_public_ip: bool,
}

/// How deployments go. In what is wanted only the declared ones are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentSettings {
    /// Lower bound of healthy tasks, in percent of the count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_healthy_percent: Option<u32>,
    /// Upper bound of tasks, in percent of the count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_percent: Option<u32>,
    /// Whether a failing deployment is stopped and rolled back. In what is observed `None`: stopped only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<bool>,
}

/// A target group that a service registers its tasks in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// ARN of the target group.
    pub target_group_arn: String,
    /// Container that takes the traffic.
    pub container: String,
    /// Its port.
    pub port: u16,
}

/// One deployment of a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// Id.
    pub id: String,
    /// Whether it is the one that counts.
    pub primary: bool,
    /// ARN of the revision it runs.
    pub task_definition: String,
    /// Network of its tasks, as far as ECS shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// How far it is.
    pub rollout: Rollout,
    /// Tasks that failed to start since it began.
    pub failed_tasks: u32,
    /// What ECS says of its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Rollout {
    /// Under way.
    InProgress,
    /// Done.
    Completed,
    /// Given up by the circuit breaker.
    Failed,
}
