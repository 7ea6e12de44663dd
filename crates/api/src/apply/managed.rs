//! `metadata.managedFields`: who wrote which fields, who takes them over, and who is asked first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fields::{Element, FieldSet, shown};
use super::walk::{Comparison, compare, everything, prune};
use crate::wire;

/// Kubernetes keeps so many managers that update, and folds the oldest into one.
const MOST_UPDATERS: usize = 10;
/// The manager that they are folded into.
const ANCIENT: &str = "ancient-changes";
/// The manager of what was there before anything was tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// How a manager writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who writes, and how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Writer {
    pub(crate) operation: Operation,
    pub(crate) manager: String,
    pub(crate) subresource: String,
}

impl Writer {
    pub(crate) fn new(operation: Operation, manager: &str) -> Self {
        Self { operation, manager: manager.to_owned(), subresource: String::new() }
    }

    /// As Kubernetes names it in a conflict.
    fn shown(&self, time: Option<&str>) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {:?}", self.subresource);
        }
        match (self.operation, time) {
            (Operation::Apply, _) => text,
            (Operation::Update, None) => format!("{text} using {}", wire::API_VERSION),
            (Operation::Update, Some(time)) => format!("{text} using {} at {time}", wire::API_VERSION),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    fields: FieldSet,
    /// As written.
    time: String,
}

/// A field that another manager owns and gives another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    writer: Writer,
    time: String,
    path: String,
}

impl Conflict {
    /// The field, and what is said of it.
    pub(crate) fn cause(&self) -> (String, String) {
        (self.path.clone(), format!("conflict with {}", self.writer.shown(None)))
    }

    /// Kubernetes' message for all of them.
    pub(crate) fn message(conflicts: &[Self]) -> String {
        if let [one] = conflicts {
            let with = one.writer.shown(Some(&one.time));
            return format!("Apply failed with 1 conflict: conflict with {with}: {}", one.path);
        }
        let mut managers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for conflict in conflicts {
            let with = conflict.writer.shown(Some(&conflict.time));
            managers.entry(with).or_default().push(format!("- {}", conflict.path));
        }
        let parts: Vec<String> =
            managers.iter().map(|(with, paths)| format!("conflicts with {with}:\n{}", paths.join("\n"))).collect();
        format!("Apply failed with {} conflicts: {}", conflicts.len(), parts.join("\n"))
    }
}

/// All managers of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Managed(BTreeMap<Writer, Entry>);

impl Managed {
    /// From `managedFields`; `None` when it is not what Kubernetes writes. A list of one empty entry clears all.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let list = match value {
            Value::Null => return Some(Self::default()),
            Value::Array(list) => list,
            _ => return None,
        };
        if matches!(list.as_slice(), [one] if one.as_object().is_some_and(serde_json::Map::is_empty)) {
            return Some(Self::default());
        }
        let mut managed = Self::default();
        for entry in list {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            if text("fieldsType") != "FieldsV1" {
                return None;
            }
            let fields = FieldSet::from_json(entry.get("fieldsV1").unwrap_or(&json!({})))?;
            let writer =
                Writer { operation, manager: text("manager").to_owned(), subresource: text("subresource").to_owned() };
            managed.put(writer, fields, text("time"));
        }
        Some(managed)
    }

    /// As `managedFields`.
    pub(crate) fn to_json(&self) -> Value {
        let mut entries: Vec<(&Writer, &Entry)> = self.0.iter().collect();
        entries.sort_by_key(|(writer, entry)| (writer.operation, &entry.time, &writer.manager));
        let shown = entries.into_iter().map(|(writer, entry)| {
            let mut shown = json!({
                "manager": writer.manager,
                "operation": writer.operation.name(),
                "apiVersion": wire::API_VERSION,
                "time": entry.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": entry.fields.to_json(),
            });
            if !writer.subresource.is_empty() {
                shown["subresource"] = json!(writer.subresource);
            }
            shown
        });
        Value::Array(shown.collect())
    }

    fn put(&mut self, writer: Writer, fields: FieldSet, time: &str) {
        if !fields.is_empty() {
            let entry =
                self.0.entry(writer).or_insert_with(|| Entry { fields: FieldSet::default(), time: time.to_owned() });
            entry.fields = std::mem::take(&mut entry.fields).union(&fields);
        }
    }

    fn of(&self, writer: &Writer) -> FieldSet {
        self.0.get(writer).map(|entry| entry.fields.clone()).unwrap_or_default()
    }

    /// What others own.
    fn others(&self, writer: &Writer) -> FieldSet {
        let others = self.0.iter().filter(|(other, _)| *other != writer);
        others.fold(FieldSet::default(), |all, (_, entry)| all.union(&entry.fields))
    }

    /// Only what exists in this document: other releases change it without saying so.
    fn existing(mut self, document: &Value) -> Self {
        let there = everything(document);
        for entry in self.0.values_mut() {
            entry.fields = entry.fields.filtered(|path| there.contains(path));
        }
        self.0.retain(|_, entry| !entry.fields.is_empty());
        self
    }

    /// Takes fields away from all but one.
    fn taken(&mut self, from_all_but: &Writer, taken: impl Fn(&[Element]) -> bool) {
        for (_, entry) in self.0.iter_mut().filter(|(writer, _)| *writer != from_all_but) {
            entry.fields = entry.fields.filtered(|path| !taken(path));
        }
        self.0.retain(|_, entry| !entry.fields.is_empty());
    }

    /// Gives a manager exactly these fields; the time changes with them.
    fn set(&mut self, writer: &Writer, fields: FieldSet, now: Timestamp) {
        if fields.is_empty() {
            self.0.remove(writer);
        } else if self.0.get(writer).is_none_or(|entry| entry.fields != fields) {
            self.0.insert(writer.clone(), Entry { fields, time: written(now) });
        }
    }

    /// After an update from `old` to `new`: who wrote a field owns it.
    pub(crate) fn updated(self, writer: &Writer, old: &Value, new: &Value, now: Timestamp) -> Self {
        let mut managed = self.existing(old);
        let Comparison { added, modified, removed } = compare(old, new);
        let written = added.union(&modified);
        managed.taken(writer, |path| written.contains(path) || removed.contains(path));
        let own = managed.of(writer).difference(&removed).union(&written);
        managed.set(writer, own, now);
        managed.folded(now)
    }

    /// The document that an apply makes of `merged` (the configuration put into the old object): without what the same
    /// manager stated before, no longer states, and nobody else owns.
    pub(crate) fn pruned(&self, writer: &Writer, applied: &FieldSet, old: &Value, mut merged: Value) -> Value {
        let managed = self.clone().existing(old);
        let kept = managed.others(writer).union(applied);
        prune(&mut merged, &managed.of(writer), &kept);
        merged
    }

    /// After an apply from `old` to `new`.
    ///
    /// # Errors
    /// What others own and is given another value, unless it is taken over by force.
    pub(crate) fn applied(
        self,
        writer: &Writer,
        applied: &FieldSet,
        (old, new): (&Value, &Value),
        force: bool,
        now: Timestamp,
    ) -> Result<Self, Vec<Conflict>> {
        let mut managed = self.existing(old);
        let everything_old = everything(old);
        if managed.0.is_empty() && !everything_old.is_empty() {
            managed.set(&Writer::new(Operation::Update, BEFORE_FIRST_APPLY), everything_old, now);
        }
        let Comparison { added, modified, removed } = compare(old, new);
        // What the new document does not hold was dropped from the configuration by the reader.
        let there = everything(new);
        let applied = applied.filtered(|path| there.contains(path));
        let changed = added.union(&modified).filtered(|path| applied.contains(path));
        let mut conflicts = Vec::new();
        for (other, entry) in managed.0.iter().filter(|(other, _)| *other != writer) {
            for path in entry.fields.paths().iter().filter(|path| changed.contains(path)) {
                conflicts.push(Conflict { writer: other.clone(), time: entry.time.clone(), path: shown(path) });
            }
        }
        if !conflicts.is_empty() && !force {
            return Err(conflicts);
        }
        managed.taken(writer, |path| changed.contains(path) || removed.contains(path));
        managed.set(writer, applied, now);
        Ok(managed.folded(now))
    }

    /// With the oldest updaters folded into one, if there are too many.
    fn folded(mut self, now: Timestamp) -> Self {
        let mut updaters: Vec<(String, Writer)> = self
            .0
            .iter()
            .filter(|(writer, _)| writer.operation == Operation::Update && writer.manager != ANCIENT)
            .map(|(writer, entry)| (entry.time.clone(), writer.clone()))
            .collect();
        if updaters.len() <= MOST_UPDATERS {
            return self;
        }
        updaters.sort();
        let ancient = Writer::new(Operation::Update, ANCIENT);
        let mut fields = self.of(&ancient);
        for (_, writer) in updaters.iter().take(updaters.len() - MOST_UPDATERS) {
            if let Some(entry) = self.0.remove(writer) {
                fields = fields.union(&entry.fields);
            }
        }
        self.set(&ancient, fields, now);
        self
    }
}

/// As Kubernetes writes it: whole seconds, UTC.
fn written(at: Timestamp) -> String {
    wire::time(at).as_str().unwrap_or_default().to_owned()
}
