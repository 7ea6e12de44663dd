//! `changes`: desired-state changes as objects, with author, message, plan and outcome.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use model::env::{API_VERSION, KIND};
use model::problem::{Problems, Reason};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::environments::actions::input;
use crate::environments::delete::preconditions;
use crate::environments::edit::{self, Edit, Edited, Record, change_name};
use crate::environments::write::patched;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Actor, Asking, Body, FieldValidation, Name, Params};
use crate::filter::Filter;
use crate::objects::Kind;
use crate::state::ApiState;
use crate::{lists, wire};

/// The kind.
const CHANGE: &str = "Change";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Posted {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    /// Its name is made here; what else clients put there means nothing.
    #[serde(default, rename = "metadata")]
    _metadata: Value,
    spec: PostedSpec,
    /// Only the daemon writes it.
    #[serde(default, rename = "status")]
    _status: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PostedSpec {
    environment: String,
    #[serde(default)]
    message: String,
    patch: Value,
}

impl Posted {
    fn problems(&self) -> Problems {
        let mut problems = Problems::default();
        if self.api_version.as_deref().is_some_and(|version| version != API_VERSION) {
            problems.add("apiVersion", Reason::FieldValueNotSupported, format!("must be {API_VERSION}"));
        }
        if self.kind.as_deref().is_some_and(|kind| kind != CHANGE) {
            problems.add("kind", Reason::FieldValueNotSupported, format!("must be {CHANGE}"));
        }
        if !self.spec.patch.is_object() {
            problems.add("spec.patch", Reason::FieldValueInvalid, "must be a merge patch of the Environment");
        }
        problems
    }
}

/// `POST changes`: applied at once as a new revision; steps that policy gates wait inside its plan.
pub(crate) async fn create(
    State(state): State<Arc<ApiState>>,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    Body(body): Body,
) -> ApiResult {
    let posted: Posted = input(CHANGE, "", body)?;
    let problems = posted.problems();
    if !problems.is_empty() {
        return Err(ApiError::invalid(CHANGE, "", problems));
    }
    let Posted { spec: PostedSpec { environment, message, patch }, .. } = posted;
    let mut edit = Edit::from(&params, &headers, actor.0)?;
    if !message.is_empty() {
        edit.message = edit::message(&message)?;
    }
    // What was dropped from it must not be stored either.
    if edit.validation != FieldValidation::Strict {
        let rule = "a Change is always read strictly";
        return Err(ApiError::field("fieldValidation", Reason::FieldValueNotSupported, rule));
    }
    let name = change_name(&environment, state.now());
    edit.record = Record::Posted { name, patch: kept(&patch), plan: true };
    let make = |row: &store::EnvironmentRow| {
        let mut document = patched(row, &patch);
        // A change says what is wanted, not who owns it, nor what holds it.
        if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            metadata.remove("finalizers");
        }
        Ok(document)
    };
    let Edited { change, .. } = edit::edit(&state, &environment, &edit, make).await.map_err(|error| {
        if error.is_not_found() {
            let rule = format!("{KIND} {environment:?} does not exist");
            return ApiError::field("spec.environment", Reason::FieldValueNotFound, rule);
        }
        error
    })?;
    let change = change.ok_or_else(|| ApiError::internal("a posted change was not recorded"))?;
    Ok((StatusCode::CREATED, Json(wire::change(&change))).into_response())
}

/// What is recorded of a patch: the parts that have an effect. The rest was checked by nobody.
fn kept(patch: &Value) -> Value {
    let mut kept = patch.clone();
    if let Some(fields) = kept.as_object_mut() {
        fields.retain(|field, _| ["metadata", "spec"].contains(&field.as_str()));
        match fields.get_mut("metadata") {
            Some(Value::Object(metadata)) => {
                metadata.retain(|field, _| ["annotations", "labels"].contains(&field.as_str()));
            }
            Some(_) | None => drop(fields.remove("metadata")),
        }
    }
    kept
}

/// `GET changes`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, asking: Asking) -> ApiResult {
    let filter = Filter::from(Kind::Change, &asking.params)?;
    let filter = filter.with_parameter(&asking.params, "environment", "spec.environment");
    lists::list(&state, Kind::Change, filter, &asking).await
}

/// `GET changes/{name}`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name, asking: Asking) -> ApiResult {
    let row = state.store.get_change(&name).await?;
    lists::one(Kind::Change, wire::change(&row), &asking, &state)
}

/// `DELETE changes/{name}`: the record goes; what it changed stays.
pub(crate) async fn delete(
    State(state): State<Arc<ApiState>>,
    Name(name): Name,
    params: Params,
    headers: HeaderMap,
    Body(options): Body,
) -> ApiResult {
    let (precondition, dry_run) = preconditions(&params, &headers, &options)?;
    let row = if dry_run {
        state.store.get_change(&name).await?
    } else {
        state.store.delete_change(&name, precondition).await?
    };
    let deleted = json!({
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Success",
        "details": { "group": wire::GROUP, "kind": "changes", "name": row.name, "uid": row.uid },
    });
    Ok(Json(deleted).into_response())
}
