//! What AWS says of the manual snapshots of one DB instance.

use jiff::Timestamp;
use model::Tags;
use serde::Serialize;

/// The manual snapshots of one DB instance, by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// By name.
    pub snapshots: Vec<Snapshot>,
}

/// A manual snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Name.
    pub id: String,
    /// ARN.
    pub arn: String,
    /// `creating`, `available`, `failed`, …
    pub status: String,
    /// When it was taken; not known while it is being taken.
    pub created_at: Option<Timestamp>,
    /// Progress.
    pub percent: Option<u32>,
    /// Encryption at rest.
    pub encrypted: bool,
    /// Tags.
    pub tags: Tags,
}

impl Snapshot {
    /// Whether it can be restored from.
    pub fn is_available(&self) -> bool {
        self.status == "available"
    }
}
