//! How two specs differ, field by field, for revisions. Plain environment values are masked: a diff is read more widely
//! than the spec.

use crate::problem::join;
use serde_json::{Map, Value, json};

const MASK: &str = "(masked)";

/// The fields that differ: `[{ "field": …, "from": …, "to": … }]`, in the order of their paths. A side that is not there
/// is null.
pub fn fields(old: &Value, new: &Value) -> Value {
    let mut found = Vec::new();
    walk(&[], old, new, &mut found);
    Value::Array(found)
}

fn walk(path: &[&str], old: &Value, new: &Value, found: &mut Vec<Value>) {
    if old == new {
        return;
    }
    let empty = Map::new();
    let sides = match (old, new) {
        (Value::Object(old), Value::Object(new)) => Some((old, new)),
        (Value::Null, Value::Object(new)) if !new.is_empty() => Some((&empty, new)),
        (Value::Object(old), Value::Null) if !old.is_empty() => Some((old, &empty)),
        _ => None,
    };
    let Some((old_fields, new_fields)) = sides else {
        let shown = |value: &Value| if is_private(path) && !value.is_null() { json!(MASK) } else { value.clone() };
        let field = path.iter().fold(String::new(), |joined, field| join(&joined, field));
        found.push(json!({ "field": field, "from": shown(old), "to": shown(new) }));
        return;
    };
    let mut names: Vec<&String> = old_fields.keys().chain(new_fields.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let inner = [path, &[name.as_str()]].concat();
        let side = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
        walk(&inner, &side(old_fields), &side(new_fields), found);
    }
}

/// `services.<service>.environment.<variable>`.
fn is_private(path: &[&str]) -> bool {
    matches!(path, ["services", _, "environment", ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_fields_are_named_with_both_values() {
        let old = json!({"a": {"b": 1, "c": [1]}, "d": "x"});
        let new = json!({"a": {"b": 2, "c": [1]}, "e": {"f": true}});
        assert_eq!(
            fields(&old, &new),
            json!([
                {"field": "a.b", "from": 1, "to": 2},
                {"field": "d", "from": "x", "to": null},
                {"field": "e.f", "from": null, "to": true},
            ])
        );
        assert_eq!(fields(&new, &new), json!([]));
    }

    #[test]
    fn plain_environment_values_are_masked() {
        let old = json!({"services": {"api": {"environment": {"TOKEN": "old"}}}});
        let new = json!({"services": {"api": {"environment": {"TOKEN": "new", "MODE": "x"}}}});
        let shown = fields(&old, &new).to_string();
        assert!(!shown.contains("old") && !shown.contains("new") && shown.contains(MASK), "{shown}");
        assert!(shown.contains("services.api.environment.TOKEN"), "{shown}");
        let created = fields(&Value::Null, &new).to_string();
        assert!(!created.contains("\"new\""), "{created}");
    }

    #[test]
    fn an_empty_object_that_appears_is_shown() {
        assert_eq!(fields(&json!({}), &json!({"alarms": {}})), json!([{"field": "alarms", "from": null, "to": {}}]));
    }
}
