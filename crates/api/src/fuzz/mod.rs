//! Fuzz targets of what clients send: documents, patches, field sets, selectors, parameters. (Tokens and the protobuf of
//! reviews: `access::fuzz`.)

mod apply;
mod queries;

use std::time::Duration;

use fuzzing::{target, tells, within};
use serde_json::{Value, json};

use crate::decode;
use crate::document::read_document;
use crate::extract::FieldValidation;
use crate::json_patch::JsonPatch;

/// Far more than any of these inputs needs.
const LIMIT: Duration = Duration::from_secs(20);
/// What JSON may nest, and what a document that was patched may: the rest of the program walks it by recursion.
const DEEPEST: usize = 128;

/// The document that patches are tried on.
fn guide() -> Value {
    let text = include_str!("__fuzz__/json/corpus/guide.json");
    serde_json::from_str(text).expect("it is JSON")
}

#[test]
fn yaml_is_read_or_refused_in_bounded_time() {
    let words =
        ["apiVersion: eventchain.io/v1\n", "spec: ", "&x [", "*x, *x, *x", "? ", "<<: *x", "!!str ", "@", "- - - "];
    target!("yaml", &words, |text: &str| {
        within(LIMIT, || match decode::yaml(text.as_bytes()) {
            Ok(document) => is_judged(&document),
            // Names of fields and of anchors are told.
            Err(message) => assert!(!tells(&message) || names_tell(text), "{message}"),
        });
    });
}

#[test]
fn json_is_read_or_refused_in_bounded_time_and_means_the_same_as_yaml() {
    let words = ["\"spec\":", "\\u00e9", "\\ud83d\\ude00", "1E+2", "{\"a\":", "[[", "\"a\":1,\"a\":2"];
    target!("json", &words, |text: &str| {
        within(LIMIT, || match decode::json(text.as_bytes()) {
            Ok(document) => {
                if let Ok(as_yaml) = decode::yaml(text.as_bytes()) {
                    assert!(is_same(&as_yaml, &document), "as YAML it says something else: {as_yaml}");
                }
                is_judged(&document);
            }
            Err(message) => assert!(!tells(&message) || names_tell(text), "{message}"),
        });
    });
}

/// Whether two documents say the same; -0 is 0, and a number may be whole in one language only.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| is_same(one, other)))
        }
        (one, other) => one == other,
    }
}

/// Whether the canary may be part of a name: an edit of the text put it there, next to what may be a key.
fn names_tell(text: &str) -> bool {
    text.split('\n').any(|line| tells(line) && (line.contains(':') || line.contains(['&', '*', '?', '"', '!', '%'])))
}

/// What can be decoded is an environment that can be worked with, or is refused with reasons.
fn is_judged(document: &Value) {
    for validation in [FieldValidation::Strict, FieldValidation::Ignore] {
        let mut read = read_document(document.clone(), validation, Some("prod"));
        let Some(environment) = read.environment else {
            assert!(!read.problems.is_empty(), "refused without a reason");
            continue;
        };
        read.problems.extend(model::validate::validate(&environment));
        if read.problems.is_empty() {
            // A graph, or a reason why not; never a panic.
            let _ = engine::expand(&kinds::registry(), &environment, "fuzz");
        }
        for problem in read.problems.list() {
            assert!(!tells(&problem.message) || holds_name(document), "{}: {}", problem.path, problem.message);
        }
    }
}

fn holds_name(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| tells(name) || holds_name(value)),
        Value::Array(items) => items.iter().any(holds_name),
        _ => false,
    }
}

#[test]
fn json_patches_are_applied_or_refused_and_nest_nothing_deeper() {
    let words =
        ["move", "copy", "test", "replace", "from", "/spec/services", "/-", "~1", "/metadata/finalizers/0", "value"];
    target!("json_patch", &words, |text: &str| {
        let Ok(body) = decode::json(text.as_bytes()) else { return };
        within(LIMIT, || {
            let patch = match JsonPatch::decode(&body) {
                Ok(patch) => patch,
                Err(message) => return assert!(!tells(&message) || names_tell(text), "{message}"),
            };
            let mut document = guide();
            match patch.apply(&mut document) {
                Ok(()) => {
                    assert!(is_shallow(&document, DEEPEST), "it nests deeper than anything that can be sent");
                    let mut again = guide();
                    patch.apply(&mut again).expect("it was applied before");
                    assert_eq!(again, document);
                }
                Err(problems) => {
                    let told = problems.list().iter().any(|problem| tells(&problem.message));
                    assert!(!told || names_tell(text), "{problems}");
                }
            }
        });
    });
}

fn is_shallow(value: &Value, deepest: usize) -> bool {
    deepest > 0
        && match value {
            Value::Object(fields) => fields.values().all(|value| is_shallow(value, deepest - 1)),
            Value::Array(items) => items.iter().all(|value| is_shallow(value, deepest - 1)),
            _ => true,
        }
}

#[test]
fn a_patch_cannot_build_what_is_too_deep_to_be_sent() {
    // Wrapped by moves, a hundred levels at a time, deep enough to overflow the stack of whoever walks it.
    let levels = 100;
    let nested = (0..levels).fold(json!({}), |inner, _| json!({ "x": inner }));
    let place = "/x".repeat(levels);
    let mut operations = vec![json!({ "op": "add", "path": "/a", "value": {} })];
    for _ in 0..300 {
        operations.push(json!({ "op": "add", "path": "/t", "value": nested }));
        operations.push(json!({ "op": "move", "from": "/a", "path": format!("/t{place}/y") }));
        operations.push(json!({ "op": "move", "from": "/t", "path": "/a" }));
    }
    let refused = JsonPatch::decode(&json!(operations)).unwrap().apply(&mut guide()).unwrap_err();
    assert!(refused.to_string().contains("deep"), "{refused}");
}
