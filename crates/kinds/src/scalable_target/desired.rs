//! What the document wants of a scalable target.

use engine::Expansion;
use model::{Environment, ResourceKey, Tags};
use serde::Serialize;

/// What the document wants of a scalable target. A node that is merely watched wants nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Least number of tasks.
    pub min: u32,
    /// Greatest number of tasks.
    pub max: u32,
    /// The service it scales.
    #[serde(skip)]
    pub service: ResourceKey,
    /// Tags given at creation.
    pub tags: Tags,
}

/// One for each service; merely watched where autoscaling is not declared.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let Some(cluster) = environment.cluster_name() else { return };
    for (short, spec) in &environment.spec.services {
        let identity = format!("{cluster}/{}", environment.service_name(short));
        let service = expansion.key("EcsService", &identity);
        let range = spec.autoscaling.as_ref().map(|scaling| (scaling.min, scaling.max));
        let (min, max) = range.unwrap_or_default();
        let desired = Desired { min, max, service: service.clone(), tags: expansion.tags().clone() };
        let path = format!("spec.services.{short}.autoscaling");
        let node = expansion.add(&format!("service/{identity}"), path, desired);
        if range.is_some() {
            node.needs(service);
        } else {
            node.watch_only();
        }
    }
}
