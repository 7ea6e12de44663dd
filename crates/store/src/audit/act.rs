//! What a write tells of itself. Pure: everything here is known to the transaction already.
//!
//! Diffs come from the caller, masked; what is put together here is masked likewise: plain environment values never
//! stand in the trail, nor do annotations that hold whole documents.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{DAEMON, Origin, Refusal};
use crate::changes::ChangeUpdate;

/// The verb of the entry that tells of a checkpoint.
pub(super) const PRUNE: &str = "prune";

const MASK: &str = "(masked)";

/// `kubectl apply` keeps the whole document in this annotation, environment values and all.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A longer value of an annotation is somebody's document, not a word about the object.
const LONGEST_ANNOTATION: usize = 256;

/// What a transaction did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Act<'a> {
    /// In a word, unless the origin knows better.
    pub(crate) verb: &'static str,
    /// Kind of the object.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: &'a str,
    /// Itself.
    pub(crate) uid: Option<Uuid>,
    /// Its version after the write.
    pub(crate) resource_version: Option<i64>,
    /// The environment; empty for the installation itself.
    pub(crate) environment: &'a str,
    pub(crate) environment_uid: Option<Uuid>,
    /// The generation in force after the write, where AWS may be asked for something because of it.
    pub(crate) generation: Option<i64>,
    /// The write raised the generation: all that is done for it follows from this write.
    pub(crate) raised: bool,
    pub(crate) revision: Option<i64>,
    /// The change record that goes with it.
    pub(crate) change: Option<&'a str>,
    /// Who, where no origin is given.
    pub(crate) author: Option<&'a str>,
    /// Why.
    pub(crate) message: &'a str,
    /// `[{ "field", "from", "to" }]`.
    pub(crate) diff: Vec<Value>,
    /// What else is told.
    pub(crate) details: Value,
}

impl Act<'_> {
    /// The entry, still without its place in the chain, uid and time.
    pub(crate) fn entry(self, origin: Option<&Origin>) -> Value {
        let actor = origin.map(|origin| origin.actor.as_str()).or(self.author).unwrap_or(DAEMON);
        let mut entry = json!({
            "actor": actor,
            "verb": origin.and_then(|origin| origin.verb).unwrap_or(self.verb),
            "object": { "kind": self.kind, "name": self.name },
            "environment": self.environment,
            "outcome": "Accepted",
            "diff": self.diff,
        });
        set(&mut entry, "message", (!self.message.is_empty()).then(|| json!(self.message)));
        set(&mut entry, "environmentUid", self.environment_uid.map(|uid| json!(uid)));
        set(&mut entry, "generation", self.generation.map(|generation| json!(generation)));
        set(&mut entry, "revision", self.revision.map(|revision| json!(revision)));
        set(&mut entry, "change", self.change.map(|change| json!(change)));
        set(&mut entry, "details", (!self.details.is_null()).then_some(self.details));
        set(&mut entry["object"], "uid", self.uid.map(|uid| json!(uid)));
        set(&mut entry["object"], "resourceVersion", self.resource_version.map(|version| json!(version.to_string())));
        // The generation was in force before: what was done for it earlier does not follow from this.
        let since = origin.filter(|_| !self.raised).map(|origin| json!(micros(origin.at)));
        set(&mut entry, "actsSince", since);
        said(&mut entry, origin);
        entry
    }
}

impl Refusal {
    /// The entry of a refusal.
    pub(crate) fn entry(&self, origin: &Origin) -> String {
        let mut entry = json!({
            "actor": origin.actor,
            "verb": self.verb,
            "object": { "kind": self.kind, "name": self.name },
            "environment": self.environment,
            "outcome": "Refused",
            "code": self.code,
            "message": self.message,
            "count": self.count,
            "diff": [],
        });
        said(&mut entry, Some(origin));
        entry.to_string()
    }
}

fn set(entry: &mut Value, field: &str, value: Option<Value>) {
    if let Some(value) = value {
        entry[field] = value;
    }
}

fn said(entry: &mut Value, origin: Option<&Origin>) {
    let Some(origin) = origin else { return };
    set(entry, "groups", (!origin.groups.is_empty()).then(|| json!(origin.groups)));
    set(entry, "address", origin.address.as_ref().map(|address| json!(address)));
    set(entry, "userAgent", origin.user_agent.as_ref().map(|agent| json!(agent)));
    set(entry, "requestId", origin.request_id.map(|id| json!(id)));
    set(entry, "request", origin.request.as_ref().map(|request| json!(request)));
}

fn micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// One field that changed.
pub(crate) fn raised(field: &str, from: Value, to: Value) -> Value {
    json!({ "field": field, "from": from, "to": to })
}

/// A diff of a part as a diff of the whole: each field below `part`.
pub(crate) fn nested(part: &str, diff: &Value) -> Vec<Value> {
    let below = |one: &Value| {
        let mut one = one.clone();
        let field = one.get("field").and_then(Value::as_str).map(|field| format!("{part}.{field}"));
        set(&mut one, "field", field.map(Value::from));
        one
    };
    diff.as_array().map(|all| all.iter().map(below).collect()).unwrap_or_default()
}

/// How labels or annotations differ.
pub(crate) fn metadata_fields(
    part: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Vec<Value> {
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let shown = |name: &str, value: Option<&String>| match value {
        None => Value::Null,
        Some(value) if name == LAST_APPLIED || value.len() > LONGEST_ANNOTATION => json!(MASK),
        Some(value) => json!(value),
    };
    let differs = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differs
        .map(|name| raised(&format!("metadata.{part}.{name}"), shown(name, old.get(name)), shown(name, new.get(name))))
        .collect()
}

/// A merge patch of an environment, with plain environment values masked.
pub(crate) fn masked_patch(patch: &Value) -> Value {
    let mut masked = patch.clone();
    let services = masked.pointer_mut("/spec/services").and_then(Value::as_object_mut);
    for service in services.into_iter().flat_map(Map::values_mut) {
        match service.get_mut("environment") {
            Some(Value::Object(values)) => {
                values.values_mut().filter(|value| !value.is_null()).for_each(|value| *value = json!(MASK));
            }
            Some(Value::Null) | None => {}
            Some(other) => *other = json!(MASK),
        }
    }
    let annotations = masked.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    for (name, value) in annotations.into_iter().flatten() {
        if name == LAST_APPLIED || value.as_str().is_some_and(|text| text.len() > LONGEST_ANNOTATION) {
            *value = json!(MASK);
        }
    }
    masked
}

/// What an update of a change sets.
pub(crate) fn change_fields(update: &ChangeUpdate) -> Vec<Value> {
    let set = |field: &str, to: Option<Value>| to.map(|to| json!({ "field": field, "to": to }));
    [
        set("status.phase", update.phase.as_ref().map(|phase| json!(phase))),
        set("status.planHash", update.plan_hash.as_ref().map(|hash| json!(hash))),
        set("status.approvals", update.approvals.clone()),
        set("status.outcome", update.outcome.clone()),
        set("status.revision", update.revision.map(|revision| json!(revision))),
        set("status.expiresAt", update.expires_at.map(|at| json!(at))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_values_of_a_patch_are_masked_and_removals_are_not() {
        let patch = json!({
            "metadata": { "annotations": { LAST_APPLIED: "{TOKEN: hunter2}", "why": "sale" } },
            "spec": { "services": {
                "api": { "desiredCount": 4, "environment": { "TOKEN": "hunter2", "OLD": null } },
                "web": { "environment": "hunter2" },
                "gone": null,
            } },
        });
        let masked = masked_patch(&patch);
        assert!(!masked.to_string().contains("hunter2"), "{masked}");
        assert_eq!(masked["spec"]["services"]["api"]["environment"], json!({ "TOKEN": MASK, "OLD": null }));
        assert_eq!(masked["spec"]["services"]["api"]["desiredCount"], 4);
        assert_eq!(masked["metadata"]["annotations"]["why"], "sale");
    }

    #[test]
    fn annotations_that_hold_documents_are_masked() {
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let diff = metadata_fields("annotations", &map(LAST_APPLIED, "{a}"), &map(LAST_APPLIED, "{b}"));
        assert_eq!(diff, [raised(&format!("metadata.annotations.{LAST_APPLIED}"), json!(MASK), json!(MASK))]);
        let diff = metadata_fields("labels", &BTreeMap::new(), &map("team", "a"));
        assert_eq!(diff, [raised("metadata.labels.team", Value::Null, json!("a"))]);
    }

    #[test]
    fn without_an_origin_the_author_is_told_or_else_the_daemon() {
        let entry = |author| Act { author, verb: "update", ..Act::default() }.entry(None);
        assert_eq!(entry(Some("system:drift"))["actor"], "system:drift");
        assert_eq!(entry(None)["actor"], DAEMON);
    }
}
