//! What AWS says of a cluster.

use model::Tags;
use serde::Serialize;

/// What AWS says of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// ARN.
    pub arn: String,
    /// `ACTIVE`, `PROVISIONING`, `DEPROVISIONING`, `FAILED`. `INACTIVE` never gets here: it is absent.
    pub status: String,
    /// Container Insights.
    pub container_insights: Insights,
    /// Tags.
    pub tags: Tags,
}

/// The values of the cluster setting `containerInsights`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Insights {
    /// Off.
    Disabled,
    /// On.
    Enabled,
    /// On, with enhanced observability.
    Enhanced,
}

impl Insights {
    /// Whether it is on, enhanced or not.
    pub fn is_on(self) -> bool {
        self != Self::Disabled
    }
}
