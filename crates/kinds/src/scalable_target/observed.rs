//! What AWS says of a scalable target.

use model::Tags;
use serde::Serialize;

/// What AWS says of a scalable target.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// ARN; an old target may have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Least number of tasks.
    pub min: u32,
    /// Greatest number of tasks.
    pub max: u32,
    /// What someone switched off.
    pub suspended: Suspended,
    /// Tags; `None` while they are not known.
    pub tags: Option<Tags>,
}

/// What someone switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suspended {
    /// Scaling in by policies.
    pub scale_in: bool,
    /// Scaling out by policies.
    pub scale_out: bool,
    /// Scaling by the calendar.
    pub scheduled: bool,
}

impl Suspended {
    /// Whether the count is not moved from one number to another.
    pub fn holds(self, from: u32, to: u32) -> bool {
        if to < from { self.scale_in } else { self.scale_out }
    }

    /// Whether policies no longer move the count, in one direction at least.
    pub fn is_dynamic(self) -> bool {
        self.scale_in || self.scale_out
    }
}
