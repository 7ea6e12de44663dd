//! `environments/{name}/diagnosis`: what is wrong, and what shows it. Changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use crate::error::ApiResult;
use crate::extract::Name;
use crate::state::ApiState;
use crate::{owner, wire};

/// `GET environments/{name}/diagnosis`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name) -> ApiResult {
    let row = state.store.get_environment(&name).await?;
    let place = (row.account.as_str(), row.name.as_str());
    let found = owner::diagnosis(&state, place, state.config.plan_patience).await?;
    let mut shown = match found {
        Value::Object(found) => found,
        other => Map::from_iter([("findings".to_owned(), other)]),
    };
    shown.insert("apiVersion".to_owned(), json!(wire::API_VERSION));
    shown.insert("kind".to_owned(), json!("Diagnosis"));
    shown.insert("metadata".to_owned(), json!({ "name": row.name }));
    Ok(Json(shown).into_response())
}
