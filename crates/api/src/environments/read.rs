//! Reading environments.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::StatusCode;
use http::header::{ALLOW, ETAG, WARNING};
use store::EnvironmentRow;

use super::edit::Edited;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Asking, Name};
use crate::filter::Filter;
use crate::freshness::Freshness;
use crate::objects::Kind;
use crate::state::ApiState;
use crate::{lists, wire};

/// `GET environments`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, asking: Asking) -> ApiResult {
    let filter = Filter::from(Kind::Environment, &asking.params)?;
    lists::list(&state, Kind::Environment, filter, &asking).await
}

/// `GET environments/{name}`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name, asking: Asking) -> ApiResult {
    let (row, freshness) = Freshness::with_environment(&state, &name).await?;
    let mut shown =
        lists::one(Kind::Environment, wire::environment(&state, &row, &freshness, state.now()), &asking, &state)?;
    tag(&mut shown, row.resource_version);
    Ok(shown)
}

/// The version as an entity tag, for `If-Match`.
fn tag(response: &mut Response, version: i64) {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
}

/// `GET environments/{name}/status`: the object without its spec.
pub(crate) async fn status(State(state): State<Arc<ApiState>>, Name(name): Name, asking: Asking) -> ApiResult {
    let (row, freshness) = Freshness::with_environment(&state, &name).await?;
    let mut shown = wire::environment(&state, &row, &freshness, state.now());
    // A row to print has columns from the spec too.
    if asking.printing()?.is_none()
        && let Some(fields) = shown.as_object_mut()
    {
        fields.remove("spec");
    }
    lists::one(Kind::Environment, shown, &asking, &state)
}

/// PUT and PATCH of `environments/{name}/status`.
pub(crate) async fn status_is_not_written() -> Response {
    let message = "the status cannot be written: only the daemon writes it";
    let refused = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
    ([(ALLOW, "GET,HEAD")], refused).into_response()
}

/// An environment as an answer.
pub(crate) async fn answer(
    state: &ApiState,
    code: StatusCode,
    row: &EnvironmentRow,
    warnings: &[String],
) -> ApiResult<Response> {
    let freshness = Freshness::of_account(state, &row.account).await?;
    Ok(answer_knowing(state, code, (row, &freshness), warnings))
}

/// What an edit came to, as an answer.
pub(crate) fn edited(state: &ApiState, edited: &Edited) -> Response {
    answer_knowing(state, StatusCode::OK, (&edited.row, &edited.freshness), &edited.warnings)
}

fn answer_knowing(
    state: &ApiState,
    code: StatusCode,
    (row, freshness): (&EnvironmentRow, &Freshness),
    warnings: &[String],
) -> Response {
    let shown = wire::environment(state, row, freshness, state.now());
    let mut response = (code, Json(shown)).into_response();
    tag(&mut response, row.resource_version);
    for warning in warnings {
        // RFC 9111, 5.5: code 299, agent `-`, quoted text.
        let quoted: String = warning.chars().filter(|c| c.is_ascii() && !c.is_control()).collect();
        let quoted = quoted.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}
