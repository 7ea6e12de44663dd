//! Comparing declared fields with observed ones. Unset means unmanaged: a field that is not declared yields nothing.

use model::FieldChange;
use serde_json::Value;

/// Collects the fields that differ.
#[derive(Debug, Default)]
pub struct Changes(Vec<FieldChange>);

impl Changes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes `field` when it is declared and differs. Returns whether it does.
    pub fn field<T>(&mut self, field: &str, declared: Option<&T>, observed: Option<&T>) -> bool
    where
        T: PartialEq + serde::Serialize,
    {
        let Some(declared) = declared else { return false };
        if observed == Some(declared) {
            return false;
        }
        self.0.push(FieldChange::new(field, json(observed), json(Some(declared))));
        true
    }

    /// Notes a change that was found some other way.
    pub fn push(&mut self, change: FieldChange) {
        self.0.push(change);
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes, in the order they were found.
    pub fn into_vec(self) -> Vec<FieldChange> {
        self.0
    }
}

fn json<T: serde::Serialize>(value: Option<&T>) -> Value {
    value.map_or(Value::Null, |value| serde_json::to_value(value).unwrap_or(Value::Null))
}

/// The changes a create step shows: every declared field, from nothing.
pub fn created(desired: &impl serde::Serialize) -> Vec<FieldChange> {
    match serde_json::to_value(desired) {
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(field, value)| FieldChange::new(field, Value::Null, value))
            .collect(),
        _ => Vec::new(),
    }
}
