//! Reading environments.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::StatusCode;
use http::header::{ETAG, WARNING};
use model::env::KIND;
use store::{EnvironmentFilter, EnvironmentRow};

use crate::error::ApiResult;
use crate::extract::{Name, Params};
use crate::freshness::Freshness;
use crate::lists::Wanted;
use crate::state::ApiState;
use crate::{selectors, wire};

/// `GET environments`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, params: Params) -> ApiResult {
    let wanted = Wanted::from(&params)?;
    let fields = selectors::fields(&params, &["metadata.name", "spec.aws.accountId"])?;
    let filter = EnvironmentFilter {
        labels: selectors::labels(&params)?,
        accounts: fields.get("spec.aws.accountId").cloned().into_iter().collect(),
        name: fields.get("metadata.name").cloned(),
    };
    let page = state.store.list_environments(&filter, wanted.page()).await?;
    let freshness = Freshness::read(&state, &filter.accounts).await?;
    let now = state.now();
    let item = |row| wire::environment(&state, &row, &freshness, now);
    Ok(wanted.answer((wire::API_VERSION, KIND), page, item))
}

/// `GET environments/{name}`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name) -> ApiResult {
    let row = state.store.get_environment(&name).await?;
    answer(&state, StatusCode::OK, &row, &[]).await
}

/// `GET environments/{name}/status`: the object without its spec.
pub(crate) async fn status(State(state): State<Arc<ApiState>>, Name(name): Name) -> ApiResult {
    let row = state.store.get_environment(&name).await?;
    let freshness = Freshness::read(&state, std::slice::from_ref(&row.account)).await?;
    let mut shown = wire::environment(&state, &row, &freshness, state.now());
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("spec");
    }
    Ok(Json(shown).into_response())
}

/// An environment as an answer.
pub(crate) async fn answer(
    state: &ApiState,
    code: StatusCode,
    row: &EnvironmentRow,
    warnings: &[String],
) -> ApiResult<Response> {
    let freshness = Freshness::read(state, std::slice::from_ref(&row.account)).await?;
    let shown = wire::environment(state, row, &freshness, state.now());
    let mut response = (code, Json(shown)).into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", row.resource_version)) {
        response.headers_mut().insert(ETAG, tag);
    }
    for warning in warnings {
        // RFC 9111, 5.5: code 299, agent `-`, quoted text.
        let quoted: String = warning.chars().filter(|c| c.is_ascii() && !c.is_control()).collect();
        let quoted = quoted.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    Ok(response)
}
