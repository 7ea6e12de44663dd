//! The `Environment`: the document people write. Types only; `parse` reads it strictly, `validate` checks what
//! types cannot say.
//!
//! Rule of the language: a field left out is unmanaged, so almost everything is an `Option`. An empty list inside
//! an object enforces empty; an empty collection of objects manages none.

mod database;
mod network;
mod observability;
mod policy;
mod services;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use database::{BackupSpec, DatabaseSpec, MasterPassword, SnapshotCopySpec, SnapshotSpec, SubnetGroupRef};
pub use network::{Existing, ListenerSpec, LoadBalancerSpec, NetworkSpec};
pub use observability::{AlarmSpec, Comparison, RotationSpec, SecretSpec, SecretValue, Statistic, TreatMissingData};
pub use policy::{
    Adoption, ChangesPolicy, Destructive, Disruptive, Mode, OnDelete, Policy, RollbackMode, RollbackPolicy, WindowSpec,
};
pub use services::{
    AutoscalingSpec, ClusterSpec, HealthCheckSpec, LogsSpec, PipelineDeploy, PipelineSpec, PlainValue, ServiceDefaults,
    ServiceSpec, TargetGroupSpec,
};

use crate::Tags;
use crate::ids::{AwsAccountId, Region};

/// API group and version of the document.
pub const API_VERSION: &str = "eventchain.io/v1";
/// Kind of the document.
pub const KIND: &str = "Environment";
/// The Environment whose names default to those of the deployment guide.
pub const GUIDE_ENVIRONMENT: &str = "prod";

/// One EventChain environment: what shall exist in AWS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Environment {
    /// `eventchain.io/v1`; may be left out.
    #[serde(default = "api_version")]
    pub api_version: String,
    /// `Environment`; may be left out.
    #[serde(default = "kind")]
    pub kind: String,
    /// Name, labels, annotations.
    pub metadata: Metadata,
    /// The desired state.
    pub spec: EnvironmentSpec,
}

fn api_version() -> String {
    API_VERSION.to_owned()
}

fn kind() -> String {
    KIND.to_owned()
}

/// The part of Kubernetes' ObjectMeta that people write. What the server fills in belongs to the API's wire types.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// DNS label, at most 63 characters.
    pub name: String,
    /// For selectors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The desired state of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentSpec {
    /// Account and region. How to enter the account is the daemon's configuration.
    pub aws: AwsSpec,
    /// Tags enforced on every object of a kind that has tags. Other tags are left alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
    /// What may be done, and when.
    #[serde(default)]
    pub policy: Policy,
    /// The network the environment lives in, by reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkSpec>,
    /// The ECS cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterSpec>,
    /// Values for every service that does not give its own.
    #[serde(default, skip_serializing_if = "ServiceDefaults::is_empty")]
    pub service_defaults: ServiceDefaults,
    /// ECS services, by short name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, ServiceSpec>,
    /// The load balancer, by reference, and its listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancerSpec>,
    /// The RDS instance with its backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseSpec>,
    /// Secrets, by their name in Secrets Manager.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretSpec>,
    /// CloudWatch metric alarms, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alarms: BTreeMap<String, AlarmSpec>,
    /// The pipeline that deploys a service: it owns that service's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineSpec>,
}

/// Where the environment lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsSpec {
    /// Twelve digits.
    pub account_id: AwsAccountId,
    /// Home region.
    pub region: Region,
}

impl Environment {
    /// The full AWS name of a service: given, or the guide's `eventchain-<service>` in `prod`.
    /// `validate` refuses a document where neither applies.
    pub fn service_name(&self, service: &str) -> String {
        match self.spec.services.get(service).and_then(|s| s.name.as_ref()) {
            Some(name) => name.clone(),
            None => format!("eventchain-{service}"),
        }
    }

    /// The cluster's name: given, or the guide's in `prod`. `None` where no cluster is declared.
    pub fn cluster_name(&self) -> Option<String> {
        let cluster = self.spec.cluster.as_ref()?;
        Some(match (&cluster.existing, &cluster.name) {
            (Some(existing), _) => existing.clone(),
            (None, Some(name)) => name.clone(),
            (None, None) => "eventchain-cluster".to_owned(),
        })
    }

    /// The log group of a service: given, or `/ecs/<service name>`. `None` when logs are not declared for it.
    pub fn log_group(&self, service: &str) -> Option<String> {
        let own = self.spec.services.get(service).and_then(|s| s.logs.as_ref());
        let default = self.spec.service_defaults.logs.as_ref();
        own.or(default)?;
        Some(match own.and_then(|logs| logs.group.as_ref()) {
            Some(group) => group.clone(),
            None => format!("/ecs/{}", self.service_name(service)),
        })
    }

    /// The first part of snapshot names: the database's identifier without a final `-db`, then `-snapshot`.
    /// For the guide's `eventchain-prod-db` that gives its `eventchain-prod-snapshot`.
    pub fn snapshot_prefix(database: &DatabaseSpec) -> String {
        match database.snapshots.as_ref().and_then(|s| s.prefix.as_ref()) {
            Some(prefix) => prefix.clone(),
            None => {
                let stem = database.identifier.strip_suffix("-db").unwrap_or(&database.identifier);
                format!("{stem}-snapshot")
            }
        }
    }

    /// Whether the name defaults of the guide apply.
    pub fn is_guide(&self) -> bool {
        self.metadata.name == GUIDE_ENVIRONMENT
    }
}
