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
    /// How changes are approved, when they lapse, and when they are taken back.
    #[serde(skip_serializing_if = "ChangesPolicy::is_default")]
    pub changes: ChangesPolicy,
}

/// How changes are approved, when they lapse, and when they are taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ChangesPolicy {
    /// How many persons must approve gated steps: 1 to 5. Default: 1.
    pub approvals: u32,
    /// The author of a change is not among those who may approve it. Default: false.
    pub second_person: bool,
    /// A change that nobody approves lapses after so long: 5m to 30d. Default: 24h.
    pub expire_after: Span,
    /// Taking back a change that fails.
    pub rollback: RollbackPolicy,
}

impl ChangesPolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for ChangesPolicy {
    fn default() -> Self {
        Self {
            approvals: 1,
            second_person: false,
            expire_after: Span::from_secs(86_400),
            rollback: RollbackPolicy::default(),
        }
    }
}

/// Taking back a change that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RollbackPolicy {
    /// Whether a failed change is taken back.
    pub mode: RollbackMode,
    /// A failure so soon after the change was applied, or after its last step, counts as its own: 1m to 7d. What is not
    /// ready by then has failed. Default: 1h.
    pub within: Span,
    /// The change stays under watch for at least so long after it was applied: 0s to 24h. Default: 0s.
    pub bake: Span,
}

impl Default for RollbackPolicy {
    fn default() -> Self {
        Self { mode: RollbackMode::OnFailure, within: Span::from_secs(3600), bake: Span::from_secs(0) }
    }
}

/// Whether a failed change is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum RollbackMode {
    /// The spec before it becomes the spec again, as a new revision.
    #[default]
    OnFailure,
    /// It is reported, and stays.
    Never,
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
    /// IANA time zone of `cron`; UTC without it. It is not filled in: a client that sends the list again would find it
    /// changed, since lists are compared whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

impl WindowSpec {
    /// The name of the time zone of `cron`.
    pub fn zone(&self) -> &str {
        self.timezone.as_deref().unwrap_or("UTC")
    }
}
