//! From what a client sends to an `Environment` that is checked, with every problem at once. What the server fills in
//! (uid, timestamps, status) is set aside: clients send back what they read.

use std::collections::BTreeMap;

use engine::Graph;
use model::Environment;
use model::env::{API_VERSION, EnvironmentSpec, KIND, Metadata};
use model::parse::parse;
use model::problem::{Problems, Reason, join};
use model::validate::{amounts, validate, validate_update};
use serde_json::{Map, Value, json};
use store::{Claim, ClaimConflict, EnvironmentRow};
use uuid::Uuid;

use crate::access::scope;
use crate::error::{ApiError, ApiResult, claimed};
use crate::extract::FieldValidation;
use crate::state::ApiState;

/// The annotation from which a write's message may come.
pub(crate) const CHANGE_MESSAGE: &str = "eventchain.io/change-message";

/// Kubernetes' own limit on all annotations of an object together.
const MOST_ANNOTATION_BYTES: usize = 256 * 1024;

/// Fields of ObjectMeta that the server fills in, or that mean nothing here.
const SERVER_METADATA: [&str; 10] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "namespace",
    "ownerReferences",
    "selfLink",
    "generateName",
];

/// A document as it was read, good or bad.
#[derive(Debug)]
pub(crate) struct Read {
    /// The name that it gives, or is given.
    pub(crate) name: String,
    /// The best reading that could be made.
    pub(crate) environment: Option<Environment>,
    /// What is wrong with it so far.
    pub(crate) problems: Problems,
    /// What was dropped and is told.
    pub(crate) warnings: Vec<String>,
    /// The resourceVersion that it claims to be made from.
    pub(crate) resource_version: Option<i64>,
    /// The object that it claims to be.
    pub(crate) uid: Option<Uuid>,
}

/// A document without problems, and what it comes to.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) environment: Environment,
    /// The spec as it is stored: what was declared, and nothing else.
    pub(crate) spec: Value,
    pub(crate) claims: Vec<Claim>,
    pub(crate) warnings: Vec<String>,
    paths: BTreeMap<Claim, String>,
}

/// What a check asks of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// What other Environments claim.
    Claims,
    /// Nothing, unless there are problems already, to tell all of them at once: the transaction that writes the document
    /// refuses what others claim (`Checked::refused`).
    NoMoreThanTheWrite,
}

/// Reads a document. `fallback_name` is the name when it gives none.
///
/// A hostile document within the size limit takes half a second to read, so it is not read where others wait.
pub(crate) async fn read(document: Value, validation: FieldValidation, fallback_name: Option<&str>) -> ApiResult<Read> {
    let fallback_name = fallback_name.map(str::to_owned);
    let reading = move || read_document(document, validation, fallback_name.as_deref());
    tokio::task::spawn_blocking(reading).await.map_err(ApiError::internal)
}

pub(crate) fn read_document(mut document: Value, validation: FieldValidation, fallback_name: Option<&str>) -> Read {
    let mut problems = Problems::default();
    let (mut resource_version, mut uid) = (None, None);
    refuse_nul("", &document, &mut problems);
    if let Value::Object(fields) = &mut document {
        // Only the daemon writes it.
        fields.remove("status");
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        if metadata.is_null() {
            *metadata = json!({});
        }
        if let Value::Object(metadata) = metadata {
            resource_version = take(metadata, "resourceVersion", &mut problems, |text| text.parse().ok());
            uid = take(metadata, "uid", &mut problems, |text| text.parse().ok());
            metadata.retain(|field, value| !SERVER_METADATA.contains(&field.as_str()) && !value.is_null());
            if let Some(name) = fallback_name
                && metadata.get("name").is_none_or(|name| name == "")
            {
                metadata.insert("name".to_owned(), json!(name));
            }
        }
    }
    let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (environment, found) = parse::<Environment>(document);
    let mut warnings = Vec::new();
    for problem in found.list() {
        let unknown = problem.reason == Reason::FieldValueUnknown;
        match validation {
            FieldValidation::Warn if unknown => warnings.push(format!("unknown field {:?}", problem.path)),
            FieldValidation::Ignore if unknown => {}
            // In Kubernetes' words, which people search for.
            FieldValidation::Strict if unknown => {
                let known = problem.message.strip_prefix("unknown field").unwrap_or_default();
                let message = format!("strict decoding error: unknown field {:?}{known}", problem.path);
                problems.add(&problem.path, problem.reason, message);
            }
            _ => problems.add(&problem.path, problem.reason, &problem.message),
        }
    }
    if environment.is_none() && problems.is_empty() {
        // They were dropped one by one, until that was enough.
        problems.add(".", Reason::FieldValueUnknown, "has too many unknown fields to drop");
    }
    Read { name, environment, problems, warnings, resource_version, uid }
}

/// A text field of the metadata that the server gave out. Empty and null count as absent.
fn take<T>(
    metadata: &mut Map<String, Value>,
    field: &str,
    problems: &mut Problems,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let value = metadata.remove(field).filter(|value| !value.is_null() && value != "")?;
    let parsed = value.as_str().and_then(parse);
    if parsed.is_none() {
        let rule = "is not one that this server gave out";
        problems.add(join("metadata", field), Reason::FieldValueInvalid, rule);
    }
    parsed
}

/// Postgres stores no NUL character.
fn refuse_nul(path: &str, value: &Value, problems: &mut Problems) {
    let rule = "must not hold a NUL character";
    match value {
        Value::String(text) if text.contains('\0') => problems.add(path, Reason::FieldValueInvalid, rule),
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                refuse_nul(&format!("{path}[{n}]"), item, problems);
            }
        }
        Value::Object(fields) => {
            for (field, value) in fields {
                let inner = join(path, field);
                if field.contains('\0') {
                    problems.add(&inner, Reason::FieldValueInvalid, rule);
                }
                refuse_nul(&inner, value, problems);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The stored environment as a document, if this release can read it.
pub(crate) fn stored(row: &EnvironmentRow) -> Option<Environment> {
    let (spec, problems) = parse::<EnvironmentSpec>(row.spec.clone());
    let metadata =
        Metadata { name: row.name.clone(), labels: row.labels.clone(), annotations: row.annotations.clone() };
    let spec = spec.filter(|_| problems.is_empty())?;
    Some(Environment { api_version: API_VERSION.to_owned(), kind: KIND.to_owned(), metadata, spec })
}

/// Checks a reading by itself, against the version that holds, and against what other Environments claim.
pub(crate) async fn check(state: &ApiState, read: Read, row: Option<&EnvironmentRow>, ask: Ask) -> ApiResult<Checked> {
    let Read { name, environment, mut problems, warnings, .. } = read;
    // Before anything is told of what is there.
    if let Some(row) = row {
        scope::check_labels(&row.labels)?;
    }
    let Some(environment) = environment else {
        return Err(ApiError::invalid(KIND, row.map_or(&name, |row| &row.name), problems));
    };
    scope::check_labels(&environment.metadata.labels)?;
    let amounts = amounts(&environment);
    if !amounts.is_empty() {
        // Nothing is made of it: that might be more than there is memory for.
        problems.extend(amounts);
        return Err(ApiError::invalid(KIND, row.map_or(&name, |row| &row.name), problems));
    }
    problems.extend(validate(&environment));
    check_annotations(&environment, &mut problems);
    if let Some(row) = row {
        match stored(row) {
            Some(old) => problems.extend(validate_update(&old, &environment)),
            None if environment.spec.aws.account_id.as_str() != row.account => {
                problems.add("spec.aws.accountId", Reason::FieldValueForbidden, "cannot be changed");
            }
            None => {}
        }
    }
    let name = environment.metadata.name.clone();
    let graph = match engine::expand(&state.registry, &environment, &state.installation) {
        Ok(graph) => graph,
        Err(error) => {
            // The rules name most of these already, with better paths.
            if problems.is_empty() {
                problems.add("spec", Reason::FieldValueDuplicate, error.to_string());
            }
            return Err(ApiError::invalid(KIND, &name, problems));
        }
    };
    let paths = claims_of(&graph);
    let claims: Vec<Claim> = paths.keys().cloned().collect();
    if ask == Ask::Claims || !problems.is_empty() {
        let conflicts = state.store.claim_conflicts(row.map(|row| row.uid), &claims).await?;
        // Said before what it holds is: who makes it again is to read that it is there, not that it is in its own way.
        if row.is_none() && conflicts.iter().any(|conflict| conflict.holder == name) {
            return Err(store::Error::AlreadyExists { kind: KIND, name }.into());
        }
        add_conflicts(&paths, &conflicts, &mut problems);
    }
    if !problems.is_empty() {
        return Err(ApiError::invalid(KIND, &name, problems));
    }
    let spec = serde_json::to_value(&environment.spec).map_err(ApiError::internal)?;
    Ok(Checked { environment, spec, claims, warnings, paths })
}

impl Checked {
    /// The store's refusal of a claim that came in between, with paths.
    pub(crate) fn refused(&self, error: store::Error) -> ApiError {
        match error {
            store::Error::ClaimedBy(conflicts) => {
                let mut problems = Problems::default();
                add_conflicts(&self.paths, &conflicts, &mut problems);
                ApiError::invalid(KIND, &self.environment.metadata.name, problems)
            }
            other => other.into(),
        }
    }
}

fn check_annotations(environment: &Environment, problems: &mut Problems) {
    let annotations = &environment.metadata.annotations;
    let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > MOST_ANNOTATION_BYTES {
        let rule = format!("annotations may have {MOST_ANNOTATION_BYTES} bytes in all");
        problems.add("metadata.annotations", Reason::FieldValueInvalid, rule);
    }
}

/// The AWS objects that a graph claims, and where each is declared.
fn claims_of(graph: &Graph) -> BTreeMap<Claim, String> {
    let claim = |key: &model::ResourceKey| Claim {
        account: key.account.to_string(),
        region: key.region.to_string(),
        kind: key.kind.to_string(),
        identity: key.identity.to_string(),
    };
    graph.claims().map(|node| (claim(&node.key), node.path.clone())).collect()
}

fn add_conflicts(paths: &BTreeMap<Claim, String>, conflicts: &[ClaimConflict], problems: &mut Problems) {
    for conflict in conflicts {
        let path = paths.get(&conflict.claim).map_or("spec", String::as_str);
        problems.add(path, Reason::FieldValueDuplicate, claimed(conflict));
    }
}
