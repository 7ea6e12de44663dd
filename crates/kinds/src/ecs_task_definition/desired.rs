//! What the document wants of a service's task definition. Only declared fields are set.

use std::collections::BTreeMap;

use engine::{Expansion, Reference};
use model::env::ServiceSpec;
use model::{Environment, ResourceKey, Tags};
use serde::Serialize;
use serde_json::{Value, json};

use super::content::{Logs, Plain};
use super::overlay::Fields;

/// What the document wants of a service's task definition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Name of the family.
    pub family: String,
    /// The declared fields.
    #[serde(flatten)]
    pub fields: Fields,
    /// Secrets: variable → the ARN of one. `None`: not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, Reference>>,
    /// Image of the first revision, where `image` is not declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_image: Option<String>,
    /// The service that runs it.
    #[serde(skip)]
    pub service: ResourceKey,
    /// Names of the declared variables and secrets, as the plan remembers them.
    #[serde(skip)]
    pub managed: Value,
    /// Tags given to each revision that is registered.
    pub tags: Tags,
}

/// One family for each service.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let Some(cluster) = environment.cluster_name() else { return };
    let defaults = &environment.spec.service_defaults;
    for (name, spec) in &environment.spec.services {
        let family = environment.service_name(name);
        let service = expansion.key("EcsService", &format!("{cluster}/{family}"));
        let group = environment.log_group(name);
        let fields = Fields {
            container: name.clone(),
            image: spec.image.clone(),
            port: spec.port,
            cpu: spec.cpu.or(defaults.cpu).map(|units| units.to_string()),
            memory: spec.memory_mib.or(defaults.memory_mib).map(|mib| mib.to_string()),
            execution_role: spec.execution_role.as_ref().or(defaults.execution_role.as_ref()).cloned(),
            task_role: spec.task_role.as_ref().or(defaults.task_role.as_ref()).cloned(),
            environment: spec.environment.as_ref().map(|variables| {
                variables.iter().map(|(name, value)| (name.clone(), Plain::new(value.reveal()))).collect()
            }),
            logs: group.as_ref().map(|group| Logs {
                driver: "awslogs".to_owned(),
                group: Some(group.clone()),
                region: Some(environment.spec.aws.region.to_string()),
                stream_prefix: Some("ecs".to_owned()),
                rest: None,
            }),
        };
        let desired = Desired {
            managed: managed(spec),
            family: family.clone(),
            fields,
            secrets: spec.secrets.as_ref().map(|secrets| {
                secrets.iter().map(|(name, secret)| (name.clone(), reference(expansion, secret))).collect()
            }),
            initial_image: spec.initial_image.clone(),
            service: service.clone(),
            tags: expansion.tags().clone(),
        };
        let secrets: Vec<ResourceKey> = desired
            .secrets
            .iter()
            .flat_map(BTreeMap::values)
            .filter_map(|reference| match reference {
                Reference::Of { key, .. } => Some(key.clone()),
                Reference::Literal(_) => None,
            })
            .collect();
        let group = group.map(|group| expansion.key("LogGroup", &group));
        let mut node =
            expansion.add(&family, format!("spec.services.{name}"), desired).follows(service, "taskDefinition");
        for key in secrets.into_iter().chain(group) {
            node = node.needs(key);
        }
    }
}

/// An ARN is one; anything else names a secret of the document.
fn reference(expansion: &Expansion<'_, Desired>, secret: &str) -> Reference {
    if secret.starts_with("arn:") {
        Reference::Literal(secret.to_owned())
    } else {
        expansion.reference("Secret", secret, "arn")
    }
}

/// The names whose removal from the document removes them from the next revision.
fn managed(spec: &ServiceSpec) -> Value {
    let environment: Vec<&String> = spec.environment.iter().flat_map(BTreeMap::keys).collect();
    let secrets: Vec<&String> = spec.secrets.iter().flat_map(BTreeMap::keys).collect();
    if environment.is_empty() && secrets.is_empty() {
        Value::Null
    } else {
        json!({ "environment": environment, "secrets": secrets })
    }
}
