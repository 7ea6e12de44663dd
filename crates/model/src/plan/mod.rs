//! What planning yields: steps with their risk, waits, and notes on what was left alone. Data only.
//!
//! A step never holds a secret value; plain environment values are masked in its changes.

mod display;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{Display, IntoStaticStr};

use crate::ids::ResourceKey;

/// What a step may do to users of the object. The table is `docs/risks.md`; the guard decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, IntoStaticStr)]
pub enum Risk {
    /// No interruption, nothing lost.
    Safe,
    /// May interrupt service.
    Disruptive,
    /// Loses something, or cannot be taken back.
    Destructive,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// Field, in the words of the spec where it has one: `backups.window`, `tags["Team"]`.
    pub field: String,
    /// Observed value, masked where it may be private. Null when unset.
    pub from: Value,
    /// Desired value, masked likewise.
    pub to: Value,
}

impl FieldChange {
    /// A change of `field` from the observed to the desired value.
    pub fn new(field: impl Into<String>, from: impl Into<Value>, to: impl Into<Value>) -> Self {
        Self { field: field.into(), from: from.into(), to: to.into() }
    }
}

/// What a step does to the object's existence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr)]
pub enum Verb {
    /// Makes an object that is not there.
    Create,
    /// Changes one that is.
    Update,
    /// Removes it, or a member of it.
    Delete,
}

/// One mutating AWS call, planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The AWS operation: `UpdateService`.
    pub operation: Cow<'static, str>,
    /// Create, update or delete.
    pub verb: Verb,
    /// The fields it changes.
    pub changes: Vec<FieldChange>,
    /// Why, in a short sentence.
    pub reason: String,
    /// What it may do to users.
    pub risk: Risk,
    /// The kind's own instruction to its provider. Journalled, so it holds no private value.
    pub body: Value,
    /// Set when the step needs an output that another resource's step in this pass will produce. It is shown,
    /// but not carried out before that resource has been verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<ResourceKey>,
    /// Whether this step takes over an object that existed before us. Only the engine sets it.
    #[serde(default)]
    pub adopts: bool,
    /// Values that the provider needs and nobody may see: they are in no text and no JSON of the step, so a step that
    /// was stored comes back without them.
    #[serde(skip)]
    pub private: Private,
}

/// Private values by name. Neither `Debug` nor any serialisation shows them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Private(BTreeMap<String, String>);

impl Private {
    /// These values.
    pub fn new(values: BTreeMap<String, String>) -> Self {
        Self(values)
    }

    /// A value, for the call to AWS.
    pub fn reveal(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A text without these values: AWS may repeat what it was sent when it refuses it. Values of less than four bytes stay
    /// (`on`, `1`, `80`): they say nothing, and what is left of a sentence without its ones would not either.
    pub fn mask(&self, text: &str) -> String {
        let mut values: Vec<&String> = self.0.values().filter(|value| value.len() >= 4).collect();
        // One may be part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.into_iter().fold(text.to_owned(), |text, value| text.replace(value, "(masked)"))
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Step {
    /// A step without changes, dependencies or adoption; the rest is set with `..` or the methods below.
    pub fn new(operation: &'static str, verb: Verb, risk: Risk, reason: impl Into<String>, body: Value) -> Self {
        Self {
            operation: Cow::Borrowed(operation),
            verb,
            changes: Vec::new(),
            reason: reason.into(),
            risk,
            body,
            awaits: None,
            adopts: false,
            private: Private::default(),
        }
    }

    /// The same step with the fields it changes.
    pub fn changing(mut self, changes: Vec<FieldChange>) -> Self {
        self.changes = changes;
        self
    }

    /// The same step, to be carried out only after another resource has been changed and verified.
    pub fn after(mut self, key: ResourceKey) -> Self {
        self.awaits = Some(key);
        self
    }
}

/// What sort of wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr)]
pub enum WaitKind {
    /// Work under way in AWS (a rollout, a modification), or a dependency not ready yet.
    Progressing,
    /// Held by a guard: window, approval, cap, ownership, pause.
    Blocked,
    /// No progress can be expected without someone doing something.
    Stalled,
    /// The observation is not known.
    Unknown,
}

/// Why nothing (more) is done now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// What sort of wait.
    pub kind: WaitKind,
    /// CamelCase reason, listed in `docs/conditions.md`.
    pub reason: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// When it is worth looking again, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Wait {
    /// A wait without a known end.
    pub fn new(kind: WaitKind, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, reason: Cow::Borrowed(reason), message: message.into(), until: None }
    }

    /// The same wait with a known end.
    pub fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }
}

/// Something that was seen and left alone on purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// CamelCase reason: `AutoscalingOwnsCount`.
    pub reason: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// The differences left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
}

impl Note {
    /// A note without field changes.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason: Cow::Borrowed(reason), message: message.into(), changes: Vec::new() }
    }

    /// The same note with the differences it is about.
    pub fn with(mut self, change: FieldChange) -> Self {
        self.changes.push(change);
        self
    }
}

/// The plan for one resource. Empty means: in sync, and nothing to wait for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub struct ResourcePlan {
    /// What to do, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
    /// What it leaves alone, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// The kind's private note for the next pass (a failed rollout's content, say). `None` keeps what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remember: Option<Value>,
}

impl ResourcePlan {
    /// Nothing to do and nothing to say.
    pub fn in_sync() -> Self {
        Self::default()
    }

    /// One step.
    pub fn step(step: Step) -> Self {
        Self { steps: vec![step], ..Self::default() }
    }

    /// One wait.
    pub fn wait(wait: Wait) -> Self {
        Self { waits: vec![wait], ..Self::default() }
    }

    /// Whether no step is planned.
    pub fn is_in_sync(&self) -> bool {
        self.steps.is_empty()
    }

    /// The highest risk among the steps.
    pub fn risk(&self) -> Option<Risk> {
        self.steps.iter().map(|step| step.risk).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_values_are_taken_out_of_a_text() {
        let values = [("A", "hunter2"), ("B", "hunter2-and-more"), ("C", "on")];
        let private = Private::new(values.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let text = private.mask("'hunter2-and-more' and 'hunter2' depend on each other");
        assert_eq!(text, "'(masked)' and '(masked)' depend on each other");
        assert!(!format!("{private:?}").contains("hunter2"));
    }
}
