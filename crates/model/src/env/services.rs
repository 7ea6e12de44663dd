//! `spec.cluster`, `spec.serviceDefaults`, `spec.services`, `spec.pipeline`: ECS on Fargate, with logs, autoscaling
//! and target group of each service.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Span;

/// The ECS cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterSpec {
    /// Name of the cluster to manage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of a cluster to use and not manage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<String>,
    /// Whether CloudWatch Container Insights is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_insights: Option<bool>,
}

/// Values for every service that does not give its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceDefaults {
    /// Subnet ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnets: Option<Vec<String>>,
    /// Security group ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    /// Whether tasks get a public IP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assign_public_ip: Option<bool>,
    /// ARN of the task execution role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_role: Option<String>,
    /// ARN of the task role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_role: Option<String>,
    /// CPU units of a task (1024 = one vCPU).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Memory of a task in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Log group of each service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogsSpec>,
}

impl ServiceDefaults {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The log group of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogsSpec {
    /// Name of the group; `/ecs/<service name>` when left out. Not allowed in `serviceDefaults`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Days to keep, one of the values that CloudWatch Logs knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
}

/// The value of a plain environment variable. It stands in the spec, where its author wrote it, and may be private all the
/// same: `Debug` does not show it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlainValue(String);

impl PlainValue {
    /// The value itself: for the call to AWS.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PlainValue {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl fmt::Debug for PlainValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(masked)")
    }
}

/// One ECS service on Fargate.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceSpec {
    /// Name of the ECS service and of its task definition family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Image, enforced. Excludes `initialImage`, and a pipeline that deploys this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Image at creation only; from then on whoever deploys owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_image: Option<String>,
    /// Container port, TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Plain environment of the container. Values are masked in diffs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub environment: Option<BTreeMap<String, PlainValue>>,
    /// Environment from Secrets Manager: variable → a name in `spec.secrets`, or an ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, String>>,
    /// Number of tasks. With `autoscaling` used at creation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_count: Option<u32>,
    /// Target tracking on CPU between two bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingSpec>,
    /// The target group the service registers its tasks in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group: Option<TargetGroupSpec>,
    /// Log group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogsSpec>,
    /// Subnet ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnets: Option<Vec<String>>,
    /// Security group ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    /// Whether tasks get a public IP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assign_public_ip: Option<bool>,
    /// ARN of the task execution role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_role: Option<String>,
    /// ARN of the task role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_role: Option<String>,
    /// CPU units of a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Memory of a task in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Seconds after start in which failing health checks are ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_grace_period: Option<Span>,
    /// Lower bound of healthy tasks during a deployment, in percent of the desired count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_healthy_percent: Option<u32>,
    /// Upper bound of running tasks during a deployment, in percent of the desired count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_percent: Option<u32>,
    /// Whether a failing deployment is stopped and rolled back by ECS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<bool>,
}

/// Target tracking on the service's average CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoscalingSpec {
    /// Least number of tasks.
    pub min: u32,
    /// Greatest number of tasks.
    pub max: u32,
    /// Average CPU to hold, in percent. Left out: no policy is managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_target_percent: Option<f64>,
    /// Pause after scaling out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_out_cooldown: Option<Span>,
    /// Pause after scaling in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_in_cooldown: Option<Span>,
}

/// A target group of type `ip` for the service's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetGroupSpec {
    /// Name, unique in the region: at most 32 letters, digits and hyphens.
    pub name: String,
    /// How targets are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheckSpec>,
    /// How long a leaving target is drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deregistration_delay: Option<Span>,
}

/// A target group's health check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HealthCheckSpec {
    /// Path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Between two checks: 5 s to 300 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// Without answer: 2 s to 120 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Successes that make a target healthy: 2 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_threshold: Option<u32>,
    /// Failures that make a target unhealthy: 2 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_threshold: Option<u32>,
    /// HTTP codes that count as success: `200`, `200,202`, `200-299`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matcher: Option<String>,
}

/// The pipeline that deploys a service. It is not managed; naming it makes it the owner of the service's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PipelineSpec {
    /// What it deploys.
    pub deploy: PipelineDeploy,
}

/// What a pipeline deploys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PipelineDeploy {
    /// A service of this document.
    pub service: String,
}
