//! `revisions`: every spec that was ever accepted.

use std::sync::Arc;

use axum::extract::State;

use crate::error::{ApiError, ApiResult};
use crate::extract::{Asking, Name};
use crate::filter::Filter;
use crate::objects::Kind;
use crate::state::ApiState;
use crate::{lists, wire};

/// `GET revisions`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, asking: Asking) -> ApiResult {
    let filter = Filter::from(Kind::Revision, &asking.params)?;
    let filter = filter.with_parameter(&asking.params, "environment", "spec.environment");
    lists::list(&state, Kind::Revision, filter, &asking).await
}

/// `GET revisions/{environment}-{number}`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name, asking: Asking) -> ApiResult {
    let parts = name.rsplit_once('-').and_then(|(environment, number)| Some((environment, number.parse().ok()?)));
    let Some((environment, number)) = parts else { return Err(ApiError::not_found(Kind::Revision.name(), &name)) };
    let row = state.store.get_revision(environment, number).await?;
    lists::one(Kind::Revision, wire::revision(&row), &asking, &state)
}
