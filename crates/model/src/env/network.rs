//! `spec.network` and `spec.loadBalancer`: referenced by id or ARN; listeners are managed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something used and not managed: `{ existing: … }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Existing {
    /// Its AWS id, name or ARN, as the field says.
    pub existing: String,
}

/// The network, by reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkSpec {
    /// `{ existing: vpc-… }`; target groups are made in it.
    pub vpc: Existing,
}

/// The load balancer, by ARN, and its listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancerSpec {
    /// ARN of an application load balancer.
    pub existing: String,
    /// Listeners, by port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerSpec>,
}

/// One listener: its port, and a redirect or a forward as default action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerSpec {
    /// TCP port, unique on the load balancer.
    pub port: u16,
    /// Redirect (301) to HTTPS on this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<u16>,
    /// Forward to the target group of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_to: Option<String>,
    /// ARN of the default certificate: makes it an HTTPS listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// TLS policy, such as `ELBSecurityPolicy-TLS13-1-2-2021-06`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_policy: Option<String>,
}
