//! JSON patches (RFC 6902). Every refusal names the operation and its path, and repeats no value.

use json_patch::{PatchErrorKind, PatchOperation};
use model::problem::{Problems, Reason};
use serde::Deserialize as _;
use serde_json::Value;

/// Kubernetes takes no more operations than this.
const MOST_OPERATIONS: usize = 10_000;
/// All copies and moves together: a document that is copied into itself doubles each time.
const MOST_COPIED_BYTES: usize = 3 * 1024 * 1024;
/// What can be sent nests no deeper (serde_json's limit), and the rest of the program walks documents by recursion: one that
/// is put together by patches must not overflow its stack.
const DEEPEST: usize = 127;

/// A patch that was decoded.
#[derive(Debug, Clone)]
pub(crate) struct JsonPatch(Vec<PatchOperation>);

impl JsonPatch {
    /// # Errors
    /// What is no patch, for people.
    pub(crate) fn decode(body: &Value) -> Result<Self, String> {
        let Value::Array(operations) = body else {
            return Err("a JSON patch must be a list of operations; for an object send Content-Type: \
                        application/merge-patch+json"
                .to_owned());
        };
        if operations.len() > MOST_OPERATIONS {
            return Err(format!("a JSON patch may have {MOST_OPERATIONS} operations"));
        }
        operations.iter().enumerate().map(|(n, operation)| decode(n, operation)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it says anything about the object's resourceVersion, so that it is made from that version.
    pub(crate) fn names_version(&self) -> bool {
        let named = ["", "/metadata", "/metadata/resourceVersion"];
        self.0.iter().any(|operation| named.contains(&operation.path().as_str()))
    }

    /// Whether it adds to, or takes from, what is below a place.
    pub(crate) fn reaches_into(&self, place: &str) -> bool {
        self.0.iter().any(|operation| {
            let below = operation.path().as_str().strip_prefix(place);
            matches!(operation, PatchOperation::Add(_)) && below.is_some_and(|below| below.starts_with('/'))
        })
    }

    /// Applies it. On an error the document is in no useful state.
    pub(crate) fn apply(&self, document: &mut Value) -> Result<(), Problems> {
        let mut copied = 0;
        for (n, operation) in self.0.iter().enumerate() {
            let refuse = |reason, why: String| {
                let mut problems = Problems::default();
                problems.add(format!("patch[{n}]"), reason, why);
                problems
            };
            let (name, path) = (name_of(operation), operation.path().as_str());
            let put = match operation {
                PatchOperation::Copy(copy) => document.pointer(copy.from.as_str()),
                PatchOperation::Move(moved) => document.pointer(moved.from.as_str()),
                PatchOperation::Add(add) => Some(&add.value),
                PatchOperation::Replace(replace) => Some(&replace.value),
                PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
            };
            if let Some(put) = put {
                if matches!(operation, PatchOperation::Copy(_) | PatchOperation::Move(_)) {
                    copied += put.to_string().len();
                }
                if copied > MOST_COPIED_BYTES {
                    let why =
                        format!("{name} {path:?}: the patch copies and moves more than {MOST_COPIED_BYTES} bytes");
                    return Err(refuse(Reason::FieldValueForbidden, why));
                }
                if operation.path().count() + depth(put) > DEEPEST {
                    let why = format!("{name} {path:?}: the document would be nested deeper than {DEEPEST}");
                    return Err(refuse(Reason::FieldValueForbidden, why));
                }
            }
            json_patch::patch_unsafe(document, std::slice::from_ref(operation)).map_err(|error| match error.kind {
                PatchErrorKind::TestFailed => {
                    refuse(Reason::FieldValueInvalid, format!("test {path:?} failed: the value is another"))
                }
                PatchErrorKind::InvalidFromPointer => {
                    refuse(Reason::FieldValueNotFound, format!("{name} {path:?}: there is nothing at \"from\""))
                }
                PatchErrorKind::CannotMoveInsideItself => {
                    refuse(Reason::FieldValueForbidden, format!("{name} {path:?}: into itself"))
                }
                _ => refuse(Reason::FieldValueNotFound, format!("{name} {path:?}: there is no such place")),
            })?;
        }
        Ok(())
    }
}

/// How deep a value nests.
fn depth(value: &Value) -> usize {
    match value {
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn name_of(operation: &PatchOperation) -> &'static str {
    match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    }
}

fn decode(n: usize, operation: &Value) -> Result<PatchOperation, String> {
    let Value::Object(fields) = operation else { return Err(format!("patch[{n}]: an operation must be an object")) };
    let name = fields.get("op").and_then(Value::as_str).unwrap_or_default();
    if !["add", "remove", "replace", "move", "copy", "test"].contains(&name) {
        return Err(format!("patch[{n}]: op must be add, remove, replace, move, copy or test"));
    }
    let pointer = |field: &str| match fields.get(field) {
        Some(Value::String(text)) if text.is_empty() || text.starts_with('/') => Ok(()),
        _ => Err(format!("patch[{n}]: {name} needs a {field} such as \"/metadata/labels/team\"")),
    };
    pointer("path")?;
    if ["move", "copy"].contains(&name) {
        pointer("from")?;
    }
    if ["add", "replace", "test"].contains(&name) && !fields.contains_key("value") {
        return Err(format!("patch[{n}]: {name} needs a value"));
    }
    PatchOperation::deserialize(operation).map_err(|_| {
        let path = fields.get("path").and_then(Value::as_str).unwrap_or_default();
        format!("patch[{n}]: {name} {path:?} is no JSON pointer (in names ~ is written ~0, / is written ~1)")
    })
}
