//! What AWS says of a log group.

use jiff::Timestamp;
use model::Tags;
use serde::Serialize;

/// What AWS says of a log group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// ARN without the `:*` that IAM policies use.
    pub arn: String,
    /// Days that events are kept; `None`: for ever.
    pub retention_days: Option<u32>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Whether AWS counts no stored bytes; the count may lag by a day.
    pub empty: bool,
    /// Tags; `None` while they are not known.
    pub tags: Option<Tags>,
}
