//! What the document wants of a service. Only declared fields are set.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Expansion, Reference};
use model::{Environment, ResourceKey, Tags};
use serde::Serialize;

use super::observed::DeploymentSettings;

/// What the document wants of a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Full name of the service.
    pub name: String,
    /// Name of the container that takes the traffic, unless it is the only one.
    #[serde(skip)]
    pub container: String,
    /// Its cluster.
    #[serde(skip)]
    pub cluster: ResourceKey,
    /// The revision it shall run.
    #[serde(skip)]
    pub task_definition: Reference,
    /// Number of tasks; with autoscaling used at creation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_count: Option<u32>,
    /// Bounds of autoscaling, when it is declared.
    #[serde(rename = "autoscaling", skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// The scalable target, which is looked at even where autoscaling is not declared.
    #[serde(skip)]
    pub scalable_target: ResourceKey,
    /// Subnet ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnets: Option<BTreeSet<String>>,
    /// Security group ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<BTreeSet<String>>,
    /// Whether tasks get a public IP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assign_public_ip: Option<bool>,
    /// Grace period of health checks in seconds.
    #[serde(rename = "healthCheckGracePeriodSeconds", skip_serializing_if = "Option::is_none")]
    pub grace_s: Option<u32>,
    /// How deployments go.
    #[serde(flatten)]
    pub deployment: DeploymentSettings,
    /// The target group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group: Option<TargetGroup>,
    /// Secrets of the document that its tasks read.
    #[serde(skip)]
    pub secrets: BTreeSet<ResourceKey>,
    /// Tags given at creation.
    pub tags: Tags,
}

impl Desired {
    /// The node of the declared target group.
    pub(super) fn group_key(&self) -> Option<&ResourceKey> {
        self.target_group.as_ref().map(|group| &group.key)
    }
}

/// Bounds of autoscaling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Range {
    /// Least number of tasks.
    pub min: u32,
    /// Greatest number of tasks.
    pub max: u32,
}

/// The target group that the service registers its tasks in.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroup {
    /// Its node.
    #[serde(rename = "name", serialize_with = "identity")]
    pub key: ResourceKey,
    /// Container port.
    pub port: u16,
}

fn identity<S: serde::Serializer>(key: &ResourceKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&key.identity)
}

/// One service for each that the document names, where there is a cluster.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let Some(cluster) = environment.cluster_name() else { return };
    let defaults = &environment.spec.service_defaults;
    let set = |own: &Option<Vec<String>>, default: &Option<Vec<String>>| -> Option<BTreeSet<String>> {
        own.as_ref().or(default.as_ref()).map(|list| list.iter().cloned().collect())
    };
    for (short, spec) in &environment.spec.services {
        let name = environment.service_name(short);
        let identity = format!("{cluster}/{name}");
        let desired = Desired {
            name: name.clone(),
            container: short.clone(),
            cluster: expansion.key("EcsCluster", &cluster),
            task_definition: expansion.reference("EcsTaskDefinition", &name, "arn"),
            desired_count: spec.desired_count,
            range: spec.autoscaling.as_ref().map(|scaling| Range { min: scaling.min, max: scaling.max }),
            scalable_target: expansion.key("ScalableTarget", &format!("service/{identity}")),
            subnets: set(&spec.subnets, &defaults.subnets),
            security_groups: set(&spec.security_groups, &defaults.security_groups),
            assign_public_ip: spec.assign_public_ip.or(defaults.assign_public_ip),
            grace_s: spec.health_check_grace_period.map(model::Span::as_secs),
            deployment: DeploymentSettings {
                minimum_healthy_percent: spec.minimum_healthy_percent,
                maximum_percent: spec.maximum_percent,
                circuit_breaker: spec.circuit_breaker,
            },
            target_group: spec
                .target_group
                .as_ref()
                .zip(spec.port)
                .map(|(group, port)| TargetGroup { key: expansion.key("TargetGroup", &group.name), port }),
            secrets: spec
                .secrets
                .iter()
                .flat_map(BTreeMap::values)
                .filter(|secret| !secret.starts_with("arn:"))
                .map(|secret| expansion.key("Secret", secret))
                .collect(),
            tags: expansion.tags().clone(),
        };
        let needs = [
            Some(desired.cluster.clone()),
            Some(expansion.key("EcsTaskDefinition", &name)),
            desired.target_group.as_ref().map(|group| group.key.clone()),
            environment.log_group(short).map(|group| expansion.key("LogGroup", &group)),
            // A declared target needs the service; one that is merely watched is looked at first.
            desired.range.is_none().then(|| desired.scalable_target.clone()),
        ];
        let listeners = listeners(environment, expansion, short);
        let mut node = expansion.add(&identity, format!("spec.services.{short}"), desired);
        for key in needs.into_iter().flatten().chain(listeners) {
            node = node.needs(key);
        }
    }
}

/// The listeners that forward to a service: they attach its target group, which ECS asks for.
fn listeners(environment: &Environment, expansion: &Expansion<'_, Desired>, service: &str) -> Vec<ResourceKey> {
    let Some(balancer) = &environment.spec.load_balancer else { return Vec::new() };
    balancer
        .listeners
        .iter()
        .filter(|listener| listener.forward_to.as_deref() == Some(service))
        .map(|listener| expansion.key("Listener", &format!("{}/{}", balancer.existing, listener.port)))
        .collect()
}
