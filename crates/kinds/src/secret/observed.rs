//! What AWS says of a secret. No value is ever among it.

use jiff::Timestamp;
use model::Tags;
use serde::Serialize;

/// What AWS says of a secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// ARN, with the six characters that AWS appends to the name.
    pub arn: String,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// KMS key; `None`: the account's own for Secrets Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// Rotation, when it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotated>,
    /// Version that is AWSCURRENT; `None`: it has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// When it was last changed in any way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// Whether its deletion is pending. The time is left out: ListSecrets says when it was deleted, DescribeSecret when it
    /// will be gone.
    pub deletion_pending: bool,
    /// The AWS service that manages it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owning_service: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// Rotation that is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// ARN of the function; `None`: rotation managed by an AWS service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda_arn: Option<String>,
    /// Days between rotations; `None` under another schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_days: Option<u32>,
    /// The schedule as AWS keeps it, where it is not in days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Length of the window in which it rotates, where that is not the whole day. Nobody declares it: it is sent back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
}

#[cfg(any(test, feature = "aws"))]
/// `rate(30 days)` says the same as 30 days. (Secrets Manager API Reference, RotationRulesType.)
pub(super) fn days_of_rate(schedule: &str) -> Option<u32> {
    let inner = schedule.trim().strip_prefix("rate(")?.strip_suffix(')')?;
    let (number, unit) = inner.trim().split_once(' ')?;
    matches!(unit.trim(), "day" | "days").then(|| number.parse().ok())?
}
