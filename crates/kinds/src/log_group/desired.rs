//! What the document wants of a log group.

use engine::Expansion;
use model::{Environment, Tags};
use serde::Serialize;

/// What the document wants of a log group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Name of the group.
    pub name: String,
    /// Days to keep events. `None`: not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// Tags given at creation.
    pub tags: Tags,
}

/// One group for each service that has logs declared.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let default = environment.spec.service_defaults.logs.as_ref().and_then(|logs| logs.retention_days);
    for (service, spec) in &environment.spec.services {
        let Some(name) = environment.log_group(service) else { continue };
        let retention_days = spec.logs.as_ref().and_then(|logs| logs.retention_days).or(default);
        let desired = Desired { name: name.clone(), retention_days, tags: expansion.tags().clone() };
        expansion.add(&name, format!("spec.services.{service}.logs"), desired);
    }
}
