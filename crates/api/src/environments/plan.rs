//! `environments/{name}/plan`: what the next pass would do, or what it would do about another spec. Changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use model::problem::{Problems, Reason};
use serde_json::{Map, Value, json};
use store::EnvironmentRow;

use super::edit::document_of;
use super::write::patched;
use crate::document::{self, Ask};
use crate::error::{ApiError, ApiResult};
use crate::extract::{Body, Name, Params};
use crate::state::ApiState;
use crate::{owner, wire};

/// `GET environments/{name}/plan`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name) -> ApiResult {
    let row = state.store.get_environment(&name).await?;
    answer(&state, &row, None).await
}

/// `POST environments/{name}/plan` with `{"patch": …}` or `{"spec": …}`.
pub(crate) async fn create(
    State(state): State<Arc<ApiState>>,
    Name(name): Name,
    params: Params,
    Body(body): Body,
) -> ApiResult {
    let row = state.store.get_environment(&name).await?;
    let Some(candidate) = candidate(&row, body)? else { return answer(&state, &row, None).await };
    let read = document::read(candidate, params.field_validation()?, Some(&name)).await?;
    let checked = document::check(&state, read, Some(&row), Ask::Claims).await?;
    answer(&state, &row, Some(&checked.spec)).await
}

/// The document that is asked about; `None` for the stored one.
fn candidate(row: &EnvironmentRow, body: Value) -> ApiResult<Option<Value>> {
    const FORM: &str = "give either patch (a merge patch of the document) or spec (a whole one)";
    let mut fields = match body {
        Value::Null => return Ok(None),
        Value::Object(fields) => fields,
        _ => return Err(ApiError::field(".", Reason::FieldValueInvalid, FORM)),
    };
    // A whole document is taken for its spec.
    fields.retain(|field, _| !["apiVersion", "kind", "metadata", "status"].contains(&field.as_str()));
    let (patch, spec) = (fields.remove("patch"), fields.remove("spec"));
    let mut problems = Problems::default();
    for field in fields.keys() {
        problems.add(field, Reason::FieldValueUnknown, FORM);
    }
    if patch.is_some() && spec.is_some() {
        problems.add("spec", Reason::FieldValueForbidden, FORM);
    }
    if patch.as_ref().is_some_and(|patch| !patch.is_object()) {
        problems.add("patch", Reason::FieldValueInvalid, "must be an object");
    }
    if !problems.is_empty() {
        return Err(ApiError::invalid("Plan", &row.name, problems));
    }
    Ok(match (patch, spec) {
        (Some(patch), _) => Some(patched(row, &patch)),
        (None, Some(spec)) => {
            let mut document = document_of(row);
            document["spec"] = spec;
            Some(document)
        }
        (None, None) => None,
    })
}

async fn answer(state: &ApiState, row: &EnvironmentRow, spec: Option<&Value>) -> ApiResult<Response> {
    let place = (row.account.as_str(), row.name.as_str());
    let plan = owner::plan(state, place, spec, state.config.plan_patience).await?;
    let mut shown = match plan {
        Value::Object(plan) => plan,
        other => Map::from_iter([("answer".to_owned(), other)]),
    };
    shown.insert("apiVersion".to_owned(), json!(wire::API_VERSION));
    shown.insert("kind".to_owned(), json!("Plan"));
    shown.insert("metadata".to_owned(), json!({ "name": row.name }));
    Ok(Json(shown).into_response())
}
