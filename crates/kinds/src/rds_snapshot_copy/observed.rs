//! What AWS says of the copies of one DB instance's snapshots in one region.

use jiff::Timestamp;
use model::Tags;
use serde::Serialize;

/// The copies, by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// By name.
    pub copies: Vec<Copy>,
}

/// A copy of a snapshot of another region.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Copy {
    /// Name.
    pub id: String,
    /// ARN of the snapshot it was copied from.
    pub source: String,
    /// `creating`, `available`, `failed`, …
    pub status: String,
    /// When the original was taken; not known while it is being copied.
    pub original_at: Option<Timestamp>,
    /// Progress; none while it is queued.
    pub percent: Option<u32>,
    /// Encryption at rest.
    pub encrypted: bool,
    /// Tags.
    pub tags: Tags,
}

impl Copy {
    /// Whether it can be restored from.
    pub fn is_available(&self) -> bool {
        self.status == "available"
    }

    /// Whether it is on its way: whatever is neither complete, nor failed, nor going.
    pub fn is_running(&self) -> bool {
        !self.is_available() && self.status != "failed" && self.status != "deleting"
    }

    /// Name of the snapshot it was copied from.
    pub fn source_id(&self) -> &str {
        self.source.splitn(7, ':').nth(6).unwrap_or(&self.source)
    }
}
