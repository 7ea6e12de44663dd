//! What an event is about: its class and severity. The one list of reasons that notifications know; a reason that is not
//! in it is `other`, so that nothing is lost that somebody asked for by its reason.

use store::EventRow;

/// A class of events, by which receivers choose.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "camelCase")]
pub enum Class {
    /// Something that agreed differs.
    Drift,
    /// Drift was put right.
    Repaired,
    /// A guard holds a step: approval, window, cap, ownership.
    Blocked,
    /// No progress without someone doing something.
    Stalled,
    /// Backups are not as fresh as declared.
    Backup,
    /// A Change was opened, approved, rejected, applied, rolled back, expired.
    Changes,
    /// A write failed; credentials were refused.
    Failures,
    /// What people asked for: pauses, approvals, deletions, the red button.
    Requests,
    /// Objects came and went as declared.
    Lifecycle,
    /// Notifications themselves: a receiver takes none.
    Notifications,
    /// Everything else.
    Other,
}

/// How much an event matters.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "camelCase")]
pub enum Severity {
    /// To know.
    Info,
    /// To look at.
    Warning,
    /// To act on now.
    Critical,
}

/// Kind of what an event about a receiver is about.
pub(crate) const RECEIVER: &str = "NotificationReceiver";

/// Every class, by name.
pub fn classes() -> impl Iterator<Item = &'static str> {
    <Class as strum::VariantArray>::VARIANTS.iter().map(Into::into)
}

/// Class and severity of an event.
pub fn topic(event: &EventRow) -> (Class, Severity) {
    // A stall and a hold are named by their cause; the details say which condition became True.
    let condition = event.details.get("condition").and_then(|condition| condition.as_str());
    match (condition, &*event.reason) {
        (Some("Stalled"), _) => (Class::Stalled, Severity::Critical),
        (Some("Blocked"), _) | (_, "Blocked") => (Class::Blocked, Severity::Warning),
        // Backups that are not healthy, whatever the cause.
        (Some("BackupHealthy"), _) => (Class::Backup, Severity::Critical),
        (_, "DriftDetected" | "Tampering") => (Class::Drift, Severity::Warning),
        (_, "Repaired") => (Class::Repaired, Severity::Info),
        (_, "BackupTooOld" | "NoBackups") => (Class::Backup, Severity::Critical),
        (_, "CredentialsRejected") => (Class::Failures, Severity::Critical),
        // It makes its object Stalled, and has no other event.
        (_, "StepFailed") if needs_someone(event) => (Class::Stalled, Severity::Critical),
        (_, "StepFailed") => (Class::Failures, Severity::Warning),
        (
            _,
            "PauseRequested" | "ResumeRequested" | "DeletionRequested" | "FinalizersRemoved" | "Approved"
            | "ModeChanged",
        ) => (Class::Requests, Severity::Info),
        (_, "Adopted" | "Created" | "Updated" | "Deleted" | "Orphaned" | "Released") => {
            (Class::Lifecycle, Severity::Info)
        }
        (_, reason) if reason.starts_with("Notification") => (Class::Notifications, by_type(event)),
        (_, "ApprovalNeeded") => (Class::Changes, Severity::Warning),
        (_, reason) if reason.starts_with("Change") => (Class::Changes, by_type(event)),
        _ => (Class::Other, by_type(event)),
    }
}

/// Whether a failed write does not pass by itself: docs/errors.md.
fn needs_someone(event: &EventRow) -> bool {
    matches!(event.details["error"]["class"].as_str(), Some("Quota" | "Denied" | "Invalid" | "Bug"))
}

fn by_type(event: &EventRow) -> Severity {
    if event.event_type == "Warning" { Severity::Warning } else { Severity::Info }
}
