//! Environment variables as configuration: `EVENTCHAIN_SWEEPS_HOT=5s` is `sweeps.hot`. A variable that names no key is
//! refused, except those of the tools around the daemon.

use model::problem::{Problems, Reason};
use serde_json::Value;

use super::Config;

const PREFIX: &str = "EVENTCHAIN_";

/// Variables of the same prefix that are not configuration: the test tools' and the demo's.
const OTHERS: &[&str] = &[
    "EVENTCHAIN_CONFIG",
    "EVENTCHAIN_AWS_CLI",
    "EVENTCHAIN_TEST_DATABASE_URL",
    "EVENTCHAIN_MINISTACK_URL",
    "EVENTCHAIN_MOTO_URL",
    "EVENTCHAIN_PG_BIN",
    "EVENTCHAIN_PG_SOURCE",
    "EVENTCHAIN_TERRAFORM",
    "EVENTCHAIN_TERRAFORM_PLUGINS",
    "EVENTCHAIN_MICROBURST",
    "EVENTCHAIN_CFN_LINT",
    "EVENTCHAIN_PROMETHEUS",
    "EVENTCHAIN_PROMTOOL",
    "EVENTCHAIN_KUBECTL_120",
    "EVENTCHAIN_KUBECTL_135",
    "EVENTCHAIN_PYTHON_CLIENT",
    "EVENTCHAIN_SCHEMATHESIS",
    "EVENTCHAIN_OPERATOR_BIN",
    "EVENTCHAIN_SIMAWS_BIN",
];

/// Lays variables over a document. The problems name the variable.
pub(super) fn overlay(document: &mut Value, variables: impl Iterator<Item = (String, String)>) -> Problems {
    let mut problems = Problems::default();
    let known = known_keys();
    let mut variables: Vec<(String, String)> =
        variables.filter(|(name, _)| name.starts_with(PREFIX) && !OTHERS.contains(&name.as_str())).collect();
    variables.sort();
    for (name, text) in variables {
        match known.iter().find(|(variable, _, _)| *variable == name) {
            Some((_, path, sample)) => set(document, path, value(&text, sample)),
            None => problems.add(name, Reason::FieldValueUnknown, "names no key of the configuration"),
        }
    }
    problems
}

/// Every scalar key, as (variable, path, default): derived from the defaults, so that there is no second list.
fn known_keys() -> Vec<(String, Vec<String>, Value)> {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut keys = Vec::new();
    walk(&defaults, &mut Vec::new(), &mut keys);
    // Optional keys have no default to be found by.
    for path in [
        "aws.endpoint",
        "aws.callTimeout",
        "aws.budgetShare",
        "http.tls.certFile",
        "http.tls.keyFile",
        "database.passwordSecret",
    ] {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        let sample = if path[1] == "budgetShare" { Value::from(0.5) } else { Value::from("") };
        keys.push((variable(&path), path, sample));
    }
    keys
}

fn walk(value: &Value, path: &mut Vec<String>, keys: &mut Vec<(String, Vec<String>, Value)>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                path.push(field.clone());
                walk(value, path, keys);
                path.pop();
            }
        }
        scalar => keys.push((variable(path), path.clone(), scalar.clone())),
    }
}

/// `sweeps.hot` → `EVENTCHAIN_SWEEPS_HOT`; `http.maxBodyBytes` → `EVENTCHAIN_HTTP_MAX_BODY_BYTES`.
fn variable(path: &[String]) -> String {
    let mut name = PREFIX.trim_end_matches('_').to_owned();
    for field in path {
        name.push('_');
        for c in field.chars() {
            if c.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
        }
    }
    name
}

/// The text as a value of the same type as the default; what does not fit stays text and is refused with its path.
fn value(text: &str, sample: &Value) -> Value {
    match sample {
        Value::Number(_) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        // A list: as JSON, or of texts with commas between them.
        Value::Array(_) if text.trim_start().starts_with('[') => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
        }
        Value::Array(_) => text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect(),
        Value::Bool(_) => text.parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
        _ => Value::from(text),
    }
}

fn set(document: &mut Value, path: &[String], value: Value) {
    let mut at = document;
    for field in path {
        if !at.is_object() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = &mut at[field.as_str()];
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scalar_key_has_a_variable() {
        let names: Vec<String> = known_keys().into_iter().map(|(name, _, _)| name).collect();
        for name in [
            "EVENTCHAIN_INSTALLATION",
            "EVENTCHAIN_SWEEPS_HOT",
            "EVENTCHAIN_HTTP_MAX_BODY_BYTES",
            "EVENTCHAIN_AWS_ENDPOINT",
        ] {
            assert!(names.iter().any(|n| n == name), "{name} not in {names:?}");
        }
    }
}
