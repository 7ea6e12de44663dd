//! What happened, for people: one event for each meaning. Sentences hold no time and no request id, so that the store
//! can count repetitions; those are in the details.

use jiff::{SignedDuration, Timestamp};
use model::condition::{self, ConditionStatus, ConditionType};
use model::plan::{Note, Verb};
use model::{ActError, Class, FieldChange, ResourceKey, Step};
use serde_json::{Value, json};
use store::{EnvironmentRow, NewEvent};

use super::recover::prints_of;
use super::report::old_conditions;
use super::{Pass, history};

/// The reason of a note that is an event of its own.
const TAMPERING: &str = "Tampering";

/// The reason of a spec that cannot be used.
const INVALID_SPEC: &str = "InvalidSpec";

/// A stored spec cannot be used, and nobody was told so yet.
pub(super) fn unusable(row: &EnvironmentRow, why: &str, now: Timestamp) -> Option<NewEvent> {
    let old = old_conditions(&row.status["conditions"]);
    let told = condition::find(&old, ConditionType::Stalled)
        .is_some_and(|old| old.status == ConditionStatus::True && old.reason == INVALID_SPEC && old.message == why);
    (!told).then(|| NewEvent {
        environment: row.name.clone(),
        environment_uid: Some(row.uid),
        regarding_kind: "Environment".to_owned(),
        regarding_identity: row.name.clone(),
        event_type: "Warning".to_owned(),
        reason: INVALID_SPEC.to_owned(),
        message: why.to_owned(),
        details: json!({ "condition": ConditionType::Stalled, "reason": INVALID_SPEC }),
        now,
    })
}

impl Pass<'_> {
    /// Something happened to a resource.
    pub(super) fn event(&mut self, key: &ResourceKey, event_type: &str, reason: &str, message: String, details: Value) {
        tracing::info!(environment = %self.name, resource = %key, reason, "{message}");
        self.events.push(NewEvent {
            environment: self.row.name.clone(),
            environment_uid: Some(self.row.uid),
            regarding_kind: key.kind.to_string(),
            regarding_identity: key.identity.to_string(),
            event_type: event_type.to_owned(),
            reason: reason.to_owned(),
            message,
            details,
            now: self.now,
        });
    }

    /// Something happened to the environment.
    pub(super) fn environment_event(&mut self, event_type: &str, reason: &str, message: &str, details: Value) {
        self.events.push(NewEvent {
            environment: self.row.name.clone(),
            environment_uid: Some(self.row.uid),
            regarding_kind: "Environment".to_owned(),
            regarding_identity: self.row.name.clone(),
            event_type: event_type.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            details,
            now: self.now,
        });
    }

    /// A step on what agreed before: drift. Said once for each step, and never again while the stored diff shows it.
    pub(super) fn drift_seen(&mut self, key: &ResourceKey, step: &Step) {
        let seen = self.shared.cache.get(key);
        if !self.memory.detected.contains_key(key) {
            let at = seen.as_ref().map_or(self.now, |seen| seen.changed_at);
            self.memory.detected.insert(key.clone(), at);
            let at_most = seen.and_then(|seen| Some(seen.changed_at.duration_since(seen.changed_after?)));
            self.shared.metrics.reconcile.drifted(key.kind.as_str(), at_most.and_then(|age| age.try_into().ok()));
        }
        let print = history::print(key, step);
        let shown_before = self.rows.get(key).is_some_and(|row| prints_of(&row.diff).any(|old| old == print));
        if self.reported.insert(print) && !shown_before {
            let message = format!("{}: {}", step.reason, listed(&step.changes));
            let details = json!({ "operation": step.operation, "risk": step.risk, "changes": step.changes });
            self.event(key, "Warning", "DriftDetected", message, details);
        }
    }

    /// A step had its effect.
    pub(super) fn done_event(&mut self, key: &ResourceKey, step: &Step, request_id: Option<String>) {
        let detected = self.memory.detected.get(key).copied();
        let drifted = self.agreed_before(key) && !self.leaving.contains_key(key);
        let reason = match step.verb {
            _ if step.adopts => "Adopted",
            _ if drifted => "Repaired",
            Verb::Create => "Created",
            Verb::Update => "Updated",
            Verb::Delete => "Deleted",
        };
        let mut details = json!({
            "operation": step.operation,
            "risk": step.risk,
            "reason": step.reason,
            "changes": step.changes,
            "requestId": request_id,
        });
        if drifted && let Some(detected) = detected {
            let took = self.now.duration_since(detected).max(SignedDuration::ZERO);
            details["seconds"] = json!((took.as_secs_f64() * 1000.0).round() / 1000.0);
            if let Ok(took) = took.try_into() {
                self.shared.metrics.reconcile.repaired(key.kind.as_str(), took);
            }
        }
        let message = format!("{} ({}): {}", step.operation, step.risk, described(step));
        self.event(key, "Normal", reason, message, details);
    }

    /// A step failed in a way that does not pass by itself, or not soon.
    pub(super) fn failure_event(&mut self, key: &ResourceKey, step: &Step, error: &ActError) {
        match error.class {
            Class::Throttled | Class::Transient | Class::NotYet => {}
            Class::Conflict | Class::NotFound | Class::Quota | Class::Denied | Class::Invalid | Class::Bug => {
                let details = json!({ "operation": step.operation, "error": error });
                self.event(key, "Warning", "StepFailed", error.to_string(), details);
            }
        }
    }

    /// Notes that are events of their own, once each.
    pub(super) fn note_events(&mut self, key: &ResourceKey, notes: &[Note]) {
        for note in notes.iter().filter(|note| note.reason == TAMPERING) {
            let shown_before =
                self.rows.get(key).and_then(|row| row.report.get("notes")?.as_array()).is_some_and(|old| {
                    old.iter().any(|old| old["reason"] == TAMPERING && old["message"] == note.message)
                });
            if self.reported.insert(format!("{key} {}", note.message)) && !shown_before {
                let details = json!({ "changes": note.changes });
                self.event(key, "Warning", TAMPERING, note.message.clone(), details);
            }
        }
    }
}

fn described(step: &Step) -> String {
    if step.changes.is_empty() { step.reason.clone() } else { format!("{}; {}", step.reason, listed(&step.changes)) }
}

/// Field by field: `backups.window "03:00-04:00" → "05:00-06:00"`.
fn listed(changes: &[FieldChange]) -> String {
    let all: Vec<String> =
        changes.iter().map(|change| format!("{} {} → {}", change.field, change.from, change.to)).collect();
    if all.is_empty() { "the object".to_owned() } else { all.join(", ") }
}
