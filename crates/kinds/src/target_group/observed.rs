//! What AWS says of a target group.

use model::Tags;
use serde::Serialize;

use super::HealthCheck;

/// What AWS says of a target group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
    /// Protocol towards the targets.
    pub protocol: Option<String>,
    /// Port of targets that are registered without one.
    pub port: Option<u16>,
    /// VPC.
    pub vpc: Option<String>,
    /// `ip`, `instance`, `lambda`, `alb`.
    pub target_type: Option<String>,
    /// The whole health check.
    pub health_check: HealthCheck,
    /// ARNs of the load balancers that have a listener forwarding to it, sorted.
    pub load_balancers: Vec<String>,
    /// Seconds that a leaving target is drained; `None` while it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deregistration_delay_s: Option<u32>,
    /// Tags; `None` while they are not known.
    pub tags: Option<Tags>,
}
