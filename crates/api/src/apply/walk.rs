//! Documents against sets of fields: what a document says, how two differ, how one is merged into another.

use std::collections::{BTreeMap, BTreeSet};

use model::problem::{Problems, Reason};
use serde_json::{Map, Value, json};

use super::fields::{Element, FieldSet};
use super::schema::{ListKind, list_kind};

/// Fields that nobody owns: they name the object, or the server fills them in.
const UNOWNED_METADATA: [&str; 10] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];

/// The part of a document whose fields are owned.
pub(super) fn owned(document: &Value) -> Value {
    let mut kept = Map::new();
    if let Some(Value::Object(metadata)) = document.get("metadata") {
        let mut metadata = metadata.clone();
        metadata.retain(|field, _| !UNOWNED_METADATA.contains(&field.as_str()));
        kept.insert("metadata".to_owned(), Value::Object(metadata));
    }
    if let Some(spec) = document.get("spec") {
        kept.insert("spec".to_owned(), spec.clone());
    }
    Value::Object(kept)
}

/// A document without the fields that are null: they say nothing.
pub(crate) fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What identifies an item of a list; `None` for an item that has no key.
pub(super) fn element_of(kind: ListKind, item: &Value) -> Option<Element> {
    match kind {
        ListKind::Atomic => None,
        ListKind::Map(field) => {
            let key = item.get(field).filter(|key| !key.is_object() && !key.is_array() && !key.is_null())?;
            Some(Element::Key(json!({ field: key }).to_string()))
        }
        ListKind::Set => Some(Element::Item(item.to_string())),
    }
}

/// The items of a list with their keys; `None` when the list is written as a whole (or has an item without a key, so
/// that it can only be).
fn items<'a>(path: &[Element], list: &'a [Value]) -> Option<Vec<(Element, &'a Value)>> {
    let kind = list_kind(path);
    if kind == ListKind::Atomic {
        return None;
    }
    list.iter().map(|item| Some((element_of(kind, item)?, item))).collect()
}

/// What can be stepped into, one level down.
fn children<'a>(path: &[Element], value: &'a Value) -> Option<Vec<(Element, &'a Value)>> {
    match value {
        Value::Object(fields) => {
            Some(fields.iter().map(|(name, value)| (Element::Field(name.clone()), value)).collect())
        }
        Value::Array(list) => items(path, list),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The fields that an applied configuration states.
pub(crate) fn applied_set(document: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    state(&mut Vec::new(), &owned(document), &mut set);
    set
}

fn state(path: &mut Vec<Element>, value: &Value, set: &mut FieldSet) {
    let Some(inner) = children(path, value) else {
        set.insert(path);
        return;
    };
    // An empty object, and an item of a list, is something that is stated by itself.
    if (inner.is_empty() && path.len() > 1) || matches!(path.last(), Some(Element::Key(_))) {
        set.insert(path);
    }
    for (element, value) in inner {
        path.push(element);
        state(path, value, set);
        path.pop();
    }
}

/// How two documents differ, in fields.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

pub(super) fn compare(old: &Value, new: &Value) -> Comparison {
    let mut found = Comparison::default();
    differ(&mut Vec::new(), Some(&owned(old)), Some(&owned(new)), &mut found);
    found
}

fn differ(path: &mut Vec<Element>, old: Option<&Value>, new: Option<&Value>, found: &mut Comparison) {
    if old == new {
        return;
    }
    let before = old.and_then(|value| children(path, value));
    let after = new.and_then(|value| children(path, value));
    match (old.is_some(), new.is_some()) {
        (false, true) if path.len() > 1 => found.added.insert(path),
        (true, false) if path.len() > 1 => found.removed.insert(path),
        // A whole became something else, or the other way round.
        (true, true) if before.is_none() || after.is_none() => found.modified.insert(path),
        _ => {}
    }
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let (earlier, later) = (places(&before), places(&after));
    for (element, value) in &after {
        let earlier = earlier.get(element).and_then(|n| before.get(*n)).map(|(_, value)| *value);
        path.push(element.clone());
        differ(path, earlier, Some(value), found);
        path.pop();
    }
    for (element, value) in before.iter().filter(|(element, _)| !later.contains_key(element)) {
        path.push(element.clone());
        differ(path, Some(value), None, found);
        path.pop();
    }
}

/// Where each element stands; of several with one key the first. By a map, since a client sends as many as it likes.
fn places<'a>(list: &'a [(Element, &Value)]) -> BTreeMap<&'a Element, usize> {
    list.iter().enumerate().rev().map(|(n, (element, _))| (element, n)).collect()
}

/// Every path of a document, whether it is a whole or leads to one.
pub(super) fn everything(document: &Value) -> FieldSet {
    compare(&Value::Null, document).added
}

/// Puts an applied configuration into a document: objects and keyed lists by their fields and items, anything else as a
/// whole. Items that are there keep their place; new ones follow.
pub(crate) fn merge(target: &mut Value, applied: &Value) -> Result<(), Problems> {
    let mut problems = Problems::default();
    put(&mut Vec::new(), target, applied, &mut problems);
    problems.into_result(())
}

fn put(path: &mut Vec<Element>, target: &mut Value, applied: &Value, problems: &mut Problems) {
    match (applied, target) {
        (Value::Object(applied), target) => {
            if !target.is_object() {
                *target = json!({});
            }
            let Value::Object(fields) = target else { return };
            for (name, value) in applied {
                path.push(Element::Field(name.clone()));
                put(path, fields.entry(name.clone()).or_insert(Value::Null), value, problems);
                path.pop();
            }
        }
        (Value::Array(applied), target) if list_kind(path) != ListKind::Atomic => {
            let kind = list_kind(path);
            if !target.is_array() {
                *target = json!([]);
            }
            let Value::Array(list) = target else { return };
            let mut seen: BTreeSet<Element> = BTreeSet::new();
            let there = list.iter().enumerate().rev().filter_map(|(n, item)| Some((element_of(kind, item)?, n)));
            // New items have keys that are not there yet, and none comes twice: the places stay what they are.
            let there: BTreeMap<Element, usize> = there.collect();
            for (n, item) in applied.iter().enumerate() {
                let place = format!("{}[{n}]", super::fields::shown(path).trim_start_matches('.'));
                let Some(element) = element_of(kind, item) else {
                    let key = if let ListKind::Map(key) = kind { key } else { "" };
                    problems.add(format!("{place}.{key}"), Reason::FieldValueRequired, "is the key of this list");
                    continue;
                };
                if !seen.insert(element.clone()) {
                    problems.add(place, Reason::FieldValueDuplicate, "an item with this key is there already");
                    continue;
                }
                let at = there.get(&element).copied();
                path.push(element);
                match at.and_then(|n| list.get_mut(n)) {
                    Some(there) => put(path, there, item, problems),
                    None => list.push(item.clone()),
                }
                path.pop();
            }
        }
        (applied, target) => target.clone_from(applied),
    }
}

/// Takes out of a document what `left` names and `kept` does not: what an applier stated before, no longer states, and
/// nobody else owns. What nobody ever owned stays.
pub(super) fn prune(document: &mut Value, left: &FieldSet, kept: &FieldSet) {
    prune_at(&mut Vec::new(), document, left, kept);
}

/// Answers whether the value itself is to go.
fn prune_at(path: &mut Vec<Element>, value: &mut Value, left: &FieldSet, kept: &FieldSet) -> bool {
    let inner = |path: &mut Vec<Element>, element: Element, value: &mut Value| {
        let Some(child) = left.child(&element) else { return false };
        path.push(element);
        let gone = prune_at(path, value, child, kept);
        path.pop();
        gone
    };
    let was_empty = match value {
        Value::Object(fields) if !fields.is_empty() => {
            let names: Vec<String> = fields.keys().cloned().collect();
            for name in names {
                let gone = fields.get_mut(&name).is_some_and(|value| inner(path, Element::Field(name.clone()), value));
                if gone {
                    fields.remove(&name);
                }
            }
            fields.is_empty()
        }
        Value::Array(list) if list_kind(path) != ListKind::Atomic && !list.is_empty() => {
            let kind = list_kind(path);
            list.retain_mut(|item| element_of(kind, item).is_none_or(|element| !inner(path, element, item)));
            list.is_empty()
        }
        _ => left.is_member(),
    };
    was_empty && path.len() > 1 && !kept.reaches(path)
}
