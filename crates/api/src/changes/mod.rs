//! `changes`: governed changes of desired state as objects, with author, message, plan, approvals and outcome.

pub(crate) mod decide;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::changes::{Apply, Phase};
use http::{HeaderMap, StatusCode};
use model::env::{API_VERSION, KIND};
use model::problem::{Problems, Reason};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::approvals::CHANGE;
use crate::environments::actions::input;
use crate::environments::delete::preconditions;
use crate::environments::edit::{self, Edit, Edited, Record, change_name};
use crate::environments::write::patched;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Acting, Actor, Asking, Body, FieldValidation, Name, Params};
use crate::filter::Filter;
use crate::happened::{About, happened};
use crate::objects::Kind;
use crate::state::ApiState;
use crate::{lists, wire};

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
    /// When approved steps run; as policy keeps its windows, if not said.
    #[serde(default)]
    apply: Option<Apply>,
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

/// `POST changes`: applied at once as a new revision, unless its plan has steps that wait for approval, or is not known.
pub(crate) async fn create(
    Acting(state): Acting,
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
    let Posted { spec: PostedSpec { environment, message, patch, apply }, .. } = posted;
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
    edit.record = Record::Posted { name, patch: kept(&patch), apply };
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

/// `DELETE changes/{name}`: an open one is withdrawn, and its approvals are void; of one that has ended the record goes.
/// What it changed stays either way.
pub(crate) async fn delete(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    Body(options): Body,
) -> ApiResult {
    let (precondition, dry_run) = preconditions(&params, &headers, &options)?;
    let row = state.store.get_change(&name).await?;
    if dry_run {
        return Ok(deleted(&row));
    }
    if row.finished_at.is_some() {
        return Ok(deleted(&state.store.delete_change(&name, precondition).await?));
    }
    let now = state.now();
    let outcome = json!({ "reason": "Withdrawn", "by": actor.0, "at": now });
    let phase = Phase::Withdrawn.to_string();
    let row = state.store.withdraw_change(&name, precondition, &phase, &outcome, now).await?;
    let message = format!("{} withdrew change {name} (by {})", actor.0, row.author);
    if let Ok(environment) = state.store.get_environment(&row.environment).await {
        happened(&state, About::Environment(&environment), "ChangeWithdrawn", message).await;
    }
    Ok(deleted(&row))
}

fn deleted(row: &store::ChangeRow) -> Response {
    Json(json!({
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Success",
        "details": { "group": wire::GROUP, "kind": "changes", "name": row.name, "uid": row.uid },
    }))
    .into_response()
}
