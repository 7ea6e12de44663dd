//! What AWS says of a scaling policy.

use serde::Serialize;

/// What AWS says of a scaling policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// ARN.
    pub arn: String,
    /// Its name: ours, or the one it had before us.
    pub name: String,
    /// What it tracks.
    pub metric: Metric,
    /// Value to hold.
    pub target_value: f64,
    /// Pause after scaling out, in seconds.
    pub scale_out_cooldown_s: u32,
    /// Pause after scaling in, in seconds.
    pub scale_in_cooldown_s: u32,
    /// Whether it only scales out.
    pub scale_in_disabled: bool,
}

/// What a policy tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// The service's average CPU.
    AverageCpu,
    /// Another metric, by name.
    Other(String),
    /// None: it is no target tracking policy.
    NotTracking(String),
}
