//! What the document wants of a target group.

use engine::Expansion;
use model::env::HealthCheckSpec;
use model::{Environment, Tags};
use serde::{Deserialize, Serialize};

/// What the document wants of a target group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Its name.
    pub name: String,
    /// The service's port. `None`: not managed, and the group cannot be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The VPC. `None`: not managed, and the group cannot be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    /// The health check's declared fields.
    pub health_check: HealthCheck,
    /// How long a leaving target is drained, in seconds. `None`: not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deregistration_delay_s: Option<u32>,
    /// Tags given at creation.
    pub tags: Tags,
}

/// A health check. Of a declared one, a field left out is not managed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    /// Path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Seconds between two checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_s: Option<u32>,
    /// Seconds without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// Successes that make a target healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_threshold: Option<u32>,
    /// Failures that make a target unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_threshold: Option<u32>,
    /// HTTP codes that count as success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matcher: Option<String>,
}

impl From<&HealthCheckSpec> for HealthCheck {
    fn from(spec: &HealthCheckSpec) -> Self {
        Self {
            path: spec.path.clone(),
            interval_s: spec.interval.map(model::Span::as_secs),
            timeout_s: spec.timeout.map(model::Span::as_secs),
            healthy_threshold: spec.healthy_threshold,
            unhealthy_threshold: spec.unhealthy_threshold,
            matcher: spec.matcher.clone(),
        }
    }
}

/// One group for each service that declares one.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let vpc = environment.spec.network.as_ref().map(|network| network.vpc.existing.clone());
    for (service, spec) in &environment.spec.services {
        let Some(group) = &spec.target_group else { continue };
        let desired = Desired {
            name: group.name.clone(),
            port: spec.port,
            vpc: vpc.clone(),
            health_check: group.health_check.as_ref().map(HealthCheck::from).unwrap_or_default(),
            deregistration_delay_s: group.deregistration_delay.map(model::Span::as_secs),
            tags: expansion.tags().clone(),
        };
        expansion.add(&group.name, format!("spec.services.{service}.targetGroup"), desired);
    }
}
