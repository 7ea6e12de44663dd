//! What the document wants of a scaling policy.

use engine::Expansion;
use model::{Environment, ResourceKey, Span};
use serde::Serialize;

use super::POLICY_NAME;

/// What the document wants of a scaling policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Average CPU to hold, in percent.
    pub cpu_target_percent: f64,
    /// Pause after scaling out, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_out_cooldown_s: Option<u32>,
    /// Pause after scaling in, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_in_cooldown_s: Option<u32>,
    /// The target it belongs with.
    #[serde(skip)]
    pub target: ResourceKey,
}

/// One for each service with a CPU target.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let Some(cluster) = environment.cluster_name() else { return };
    for (short, spec) in &environment.spec.services {
        let Some(scaling) = &spec.autoscaling else { continue };
        let Some(cpu_target_percent) = scaling.cpu_target_percent else { continue };
        let resource = format!("service/{cluster}/{}", environment.service_name(short));
        let target = expansion.key("ScalableTarget", &resource);
        let desired = Desired {
            cpu_target_percent,
            scale_out_cooldown_s: scaling.scale_out_cooldown.map(Span::as_secs),
            scale_in_cooldown_s: scaling.scale_in_cooldown.map(Span::as_secs),
            target: target.clone(),
        };
        let path = format!("spec.services.{short}.autoscaling.cpuTargetPercent");
        expansion.add(&format!("{resource}/{POLICY_NAME}"), path, desired).parent(target);
    }
}
