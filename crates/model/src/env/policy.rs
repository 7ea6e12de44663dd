//! `spec.policy`: what may be done, and when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Span;

/// What may be done, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// Enforce, or only report.
    pub mode: Mode,
    /// What to do with an object that exists already.
    pub adoption: Adoption,
    /// What happens to the AWS object of an item taken out of the document.
    pub on_remove: OnDelete,
    /// What happens to all AWS objects when the Environment is deleted.
    pub on_delete: OnDelete,
    /// When Disruptive steps may run.
    pub disruptive: Disruptive,
    /// When Destructive steps may run.
    pub destructive: Destructive,
    /// Maintenance windows for `disruptive: Window`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowSpec>,
}

/// Enforce, or only report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Drift is repaired.
    #[default]
    Enforce,
    /// Drift is reported; nothing is written to AWS, not even tags.
    Observe,
}

/// What to do with an object that exists before us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Adoption {
    /// Take it over, or create it.
    #[default]
    AdoptOrCreate,
    /// Take it over; never create.
    AdoptOnly,
    /// Create; never take over.
    CreateOnly,
}

/// Let go, or delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnDelete {
    /// The AWS object stays and is no longer managed.
    #[default]
    Retain,
    /// The AWS object is deleted (a Destructive step).
    Delete,
}

/// When Disruptive steps may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Disruptive {
    /// At once.
    Immediately,
    /// Inside one of `windows`.
    Window,
    /// After an approval of the plan.
    #[default]
    RequireApproval,
}

/// When Destructive steps may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Destructive {
    /// After an approval of the plan.
    #[default]
    RequireApproval,
    /// Never.
    Deny,
}

/// A maintenance window that opens by a cron schedule and stays open for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowSpec {
    /// Five-field cron: when it opens.
    pub cron: String,
    /// How long it stays open: 1 minute to 7 days.
    pub duration: Span,
    /// IANA time zone of `cron`.
    #[serde(default = "utc")]
    pub timezone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}
