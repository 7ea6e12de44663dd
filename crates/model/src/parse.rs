//! Strict reading of a document: every problem with its path, all at once.
//!
//! serde stops at the first error. So a document is read, the offending element noted and taken out, and the rest
//! read again until nothing is left to say. What follows from an element taken out (its parent now lacks a
//! required field) is not reported a second time.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::problem::{Problems, Reason, join};

/// A document with more problems than this is not worth more reading; it bounds the work on hostile input.
const MOST_PROBLEMS: usize = 100;

/// Reads a document of type `T`. On problems the best reading that could be made of the rest comes with them, for
/// the rules that types cannot say.
pub fn parse<T: DeserializeOwned>(document: Value) -> (Option<T>, Problems) {
    let mut rest = document;
    let mut problems = Problems::default();
    if !rest.is_object() {
        problems.add(".", Reason::FieldValueInvalid, "the document must be an object");
        return (None, problems);
    }
    let mut removed: Vec<Vec<Key>> = Vec::new();
    while problems.list().len() < MOST_PROBLEMS {
        let (path, message) = match serde_path_to_error::deserialize::<_, T>(&rest) {
            Ok(value) => return (Some(value), problems),
            Err(error) => (error.path().clone(), error.inner().to_string()),
        };
        let mut keys = resolve(&path, &rest);
        let (reason, text, field) = classify(&message);
        let mut shown = show(&original(&keys, &removed));
        match reason {
            Reason::FieldValueRequired => {
                if let Some(field) = &field {
                    shown = join(&shown, field);
                }
            }
            // serde names the unknown field in its message; the path may or may not end with it already.
            Reason::FieldValueUnknown => {
                if let Some(field) = &field
                    && !matches!(keys.last(), Some(Key::Field(last)) if last == field)
                {
                    keys.push(Key::Field(field.clone()));
                    shown = show(&original(&keys, &removed));
                }
            }
            _ => {}
        }
        let place = original(&keys, &removed);
        // It was there, and is told of already.
        let follows = reason == Reason::FieldValueRequired
            && field.is_some_and(|field| {
                let missing = [place.as_slice(), &[Key::Field(field)]].concat();
                removed.contains(&missing)
            });
        if !follows {
            problems.add(if shown.is_empty() { ".".to_owned() } else { shown }, reason, text);
        }
        if keys.is_empty() || !remove(&mut rest, &keys) {
            return (None, problems);
        }
        removed.push(place);
    }
    (None, problems)
}

/// The place in the document as it was sent: list elements taken out before have moved the later ones up.
fn original(keys: &[Key], removed: &[Vec<Key>]) -> Vec<Key> {
    let mut place: Vec<Key> = Vec::with_capacity(keys.len());
    for key in keys {
        let mut key = key.clone();
        if let Key::Index(index) = &mut key {
            let mut gone: Vec<usize> = removed
                .iter()
                .filter(|other| other.len() == place.len() + 1 && other.starts_with(&place))
                .filter_map(|other| match other.last() {
                    Some(Key::Index(index)) => Some(*index),
                    Some(Key::Field(_)) | None => None,
                })
                .collect();
            gone.sort_unstable();
            for other in gone {
                if other <= *index {
                    *index += 1;
                }
            }
        }
        place.push(key);
    }
    place
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Field(String),
    Index(usize),
}

fn resolve(path: &Path, document: &Value) -> Vec<Key> {
    let mut at = Some(document);
    let mut keys = Vec::new();
    for segment in path {
        let key = match segment {
            Segment::Seq { index } => Key::Index(*index),
            Segment::Map { key } => Key::Field(key.clone()),
            // Enum variants and places serde cannot name are no step into the document.
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        at = match (&key, at) {
            (Key::Index(index), Some(Value::Array(items))) => items.get(*index),
            (Key::Field(name), Some(Value::Object(fields))) => fields.get(name),
            _ => None,
        };
        keys.push(key);
        if at.is_none() {
            break;
        }
    }
    keys
}

fn show(keys: &[Key]) -> String {
    keys.iter().fold(String::new(), |path, key| match key {
        Key::Field(name) => join(&path, name),
        Key::Index(index) => format!("{path}[{index}]"),
    })
}

/// Takes an element out.
fn remove(document: &mut Value, keys: &[Key]) -> bool {
    let Some((last, parents)) = keys.split_last() else { return false };
    let mut at = document;
    for key in parents {
        let next = match (key, at) {
            (Key::Field(name), Value::Object(fields)) => fields.get_mut(name),
            (Key::Index(index), Value::Array(items)) => items.get_mut(*index),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => return false,
        }
    }
    match (last, at) {
        (Key::Field(name), Value::Object(fields)) => fields.remove(name).is_some(),
        (Key::Index(index), Value::Array(items)) if *index < items.len() => {
            items.remove(*index);
            true
        }
        _ => false,
    }
}

/// serde's message → reason, text for people, and the field that it names.
///
/// serde repeats the value that it refuses; nothing here does: somebody may have typed a password into the wrong field,
/// and what is told travels into logs and terminals. What is sent may look like serde's own words, so its text is taken
/// apart from the end, which is serde's.
fn classify(message: &str) -> (Reason, String, Option<String>) {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (field, allowed) = rest
            .rsplit_once("`, expected ")
            .unwrap_or_else(|| (rest.strip_suffix("`, there are no fields").unwrap_or_default(), "nothing"));
        let known = format!("unknown field; expected {}", allowed.replace('`', ""));
        (Reason::FieldValueUnknown, known, Some(field.to_owned()))
    } else if let Some(rest) = message.strip_prefix("missing field `") {
        let field = rest.strip_suffix('`').unwrap_or(rest).to_owned();
        (Reason::FieldValueRequired, "must be given".to_owned(), Some(field))
    } else if let Some(rest) = message.strip_prefix("unknown variant `") {
        let allowed = rest.rsplit_once("`, expected ").map_or("another", |(_, allowed)| allowed);
        let text = format!("unknown value; expected {}", allowed.replace('`', ""));
        (Reason::FieldValueNotSupported, text, None)
    } else if message.starts_with("invalid type: ") || message.starts_with("invalid value: ") {
        let (found, wanted) = message.rsplit_once(", expected ").unwrap_or((message, "something else"));
        let kind = found.split(": ").nth(1).map_or("this", kind_of);
        (Reason::FieldValueInvalid, format!("must be {}, not {kind}", wanted_by(wanted)), None)
    } else {
        (Reason::FieldValueInvalid, message.to_owned(), None)
    }
}

/// What serde says it found (`string "x"`, ``integer `5` ``), without its value.
fn kind_of(found: &str) -> &'static str {
    match found.split([' ', '"', '`']).next().unwrap_or_default() {
        "string" | "character" => "a text",
        "integer" | "floating" => "this number",
        "boolean" | "Boolean" => "true or false",
        "map" => "an object",
        "sequence" => "a list",
        "null" | "unit" | "Option" => "null",
        _ => "this",
    }
}

/// What serde says it wanted, in the words of the document.
fn wanted_by(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "f64" | "f32" => "a number",
        "a string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::quantity::Span;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Outer {
        name: String,
        #[serde(default)]
        wait: Option<Span>,
        #[serde(default)]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Item {
        port: u16,
    }

    fn paths(document: Value) -> Vec<String> {
        let (_, problems) = parse::<Outer>(document);
        problems.list().iter().map(|p| format!("{} {}", p.path, p.reason)).collect()
    }

    #[test]
    fn every_problem_is_reported_with_its_path() {
        let found = paths(json!({
            "name": 3, "wait": 300, "colour": "red", "items": [{ "port": 80 }, { "port": "x" }, { "prot": 1 }, 7, { "port": "y" }]
        }));
        for wanted in [
            "name FieldValueInvalid",
            "wait FieldValueInvalid",
            "colour FieldValueUnknown",
            "items[1].port FieldValueInvalid",
            "items[2].prot FieldValueUnknown",
            "items[3] FieldValueInvalid",
            "items[4].port FieldValueInvalid",
        ] {
            assert!(found.iter().any(|f| f == wanted), "{wanted} not in {found:?}");
        }
    }

    #[test]
    fn what_follows_from_a_removed_element_is_not_said_twice() {
        assert_eq!(paths(json!({ "name": 3 })), ["name FieldValueInvalid"]);
    }

    #[test]
    fn no_value_is_repeated() {
        let told = |document: Value| parse::<Outer>(document).1.to_string();
        assert_eq!(told(json!({ "name": 4711 })), "name: must be a text, not this number");
        assert_eq!(
            told(json!({ "name": "x", "items": [{ "port": "4711, expected x" }] })),
            "items[0].port: must be a whole number from 0 to 65535, not a text"
        );
        assert_eq!(told(json!({ "name": "x", "items": { "4711": 1 } })), "items: must be a list, not an object");
        assert!(!told(json!({ "name": "x", "wait": "4711" })).contains("4711"));
    }

    #[test]
    fn a_name_that_looks_like_serdes_own_words_is_named_whole() {
        let found = paths(json!({ "name": "x", "a`, expected `b": 1, "c, d": 2 }));
        assert_eq!(found, ["[\"a`, expected `b\"] FieldValueUnknown", "[\"c, d\"] FieldValueUnknown"]);
    }

    #[test]
    fn a_required_field_is_named() {
        assert_eq!(paths(json!({ "items": [] })), ["name FieldValueRequired"]);
        assert_eq!(paths(json!({ "nmae": "x" })), ["nmae FieldValueUnknown", "name FieldValueRequired"]);
    }

    #[test]
    fn a_document_that_is_no_object_is_refused() {
        assert_eq!(paths(json!([1])).len(), 1);
    }
}
