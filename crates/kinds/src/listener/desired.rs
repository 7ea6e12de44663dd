//! What the document wants of a listener.

use engine::Expansion;
use engine::kind::Reference;
use model::{Environment, ResourceKey, Tags};
use serde::Serialize;

/// What the document wants of a listener.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// ARN of the load balancer.
    pub load_balancer: String,
    /// Port.
    pub port: u16,
    /// Where its default action leads. `None`: not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The service that it forwards to.
    #[serde(skip)]
    pub service: Option<ResourceKey>,
    /// ARN of the default certificate, which makes it HTTPS. `None`: neither it nor the protocol is managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// TLS policy. `None`: not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_policy: Option<String>,
    /// Tags given at creation.
    pub tags: Tags,
}

/// Where a default action leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// To HTTPS on a port, by 301.
    RedirectTo(u16),
    /// To a target group; the reference is its ARN.
    ForwardTo(Reference),
}

/// The identity of a listener.
pub(super) fn identity(load_balancer: &str, port: u16) -> String {
    format!("{load_balancer}/{port}")
}

/// One listener for each port that is declared.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let Some(balancer) = &environment.spec.load_balancer else { return };
    for (n, spec) in balancer.listeners.iter().enumerate() {
        let group = spec
            .forward_to
            .as_ref()
            .and_then(|service| environment.spec.services.get(service)?.target_group.as_ref())
            .map(|group| group.name.clone());
        let target = match (&group, spec.redirect_to) {
            (Some(group), _) => Some(Target::ForwardTo(expansion.reference("TargetGroup", group, "arn"))),
            (None, Some(port)) => Some(Target::RedirectTo(port)),
            (None, None) => None,
        };
        let desired = Desired {
            load_balancer: balancer.existing.clone(),
            port: spec.port,
            target,
            service: environment.cluster_name().zip(spec.forward_to.as_ref()).map(|(cluster, service)| {
                expansion.key("EcsService", &format!("{cluster}/{}", environment.service_name(service)))
            }),
            certificate: spec.certificate.clone(),
            ssl_policy: spec.ssl_policy.clone(),
            tags: expansion.tags().clone(),
        };
        let needs = group.map(|group| expansion.key("TargetGroup", &group));
        let identity = identity(&balancer.existing, spec.port);
        let node = expansion.add(&identity, format!("spec.loadBalancer.listeners[{n}]"), desired);
        if let Some(key) = needs {
            node.needs(key);
        }
    }
}
