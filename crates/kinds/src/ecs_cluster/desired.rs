//! What the document wants of the cluster.

use engine::Expansion;
use model::{Environment, Tags};
use serde::Serialize;

/// What the document wants of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Name of the cluster.
    pub name: String,
    /// Whether Container Insights is on. `None`: not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_insights: Option<bool>,
    /// Tags given at creation.
    pub tags: Tags,
}

/// The one cluster; merely watched when it is given as `existing`.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let (Some(name), Some(spec)) = (environment.cluster_name(), &environment.spec.cluster) else { return };
    let desired =
        Desired { name: name.clone(), container_insights: spec.container_insights, tags: expansion.tags().clone() };
    let node = expansion.add(&name, "spec.cluster", desired);
    if spec.existing.is_some() {
        node.existing();
    }
}
