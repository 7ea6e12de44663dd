//! JSON merge patches (RFC 7386): applying one, and making the one that leads from one document to another.

use serde_json::{Map, Value};

/// Applies a merge patch.
pub fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (field, value) in patch {
        if value.is_null() {
            fields.remove(field);
        } else {
            apply(fields.entry(field.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The patch that makes `new` of `old`; `None` when they are equal. Documents hold no null, which a merge patch could
/// not write.
pub fn between(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Some(new.clone()) };
    let mut patch = Map::new();
    for (field, value) in new {
        match old.get(field) {
            None => {
                patch.insert(field.clone(), value.clone());
            }
            Some(before) => {
                if let Some(inner) = between(before, value) {
                    patch.insert(field.clone(), inner);
                }
            }
        }
    }
    for field in old.keys().filter(|field| !new.contains_key(*field)) {
        patch.insert(field.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_follow_rfc_7386() {
        // RFC 7386, appendix A.
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!({"a": "b"}), json!({"a": "b"})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (mut target, patch, expected) in cases {
            apply(&mut target, &patch);
            assert_eq!(target, expected);
        }
    }

    #[test]
    fn the_patch_between_two_documents_leads_from_one_to_the_other() {
        let old = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": {"f": 1}});
        let new = json!({"a": 2, "b": {"c": [1], "d": "x"}, "g": {"h": true}});
        let patch = between(&old, &new).unwrap();
        assert_eq!(patch, json!({"a": 2, "b": {"c": [1]}, "g": {"h": true}, "e": null}));
        let mut made = old.clone();
        apply(&mut made, &patch);
        assert_eq!(made, new);
        assert_eq!(between(&new, &new), None);
    }
}
