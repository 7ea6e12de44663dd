//! Namespaces: the one that events are said to be in, for clients that look.

use std::sync::Arc;

use axum::extract::{Path, State};

use crate::error::{ApiError, ApiResult};
use crate::extract::Asking;
use crate::filter::Filter;
use crate::objects::Kind;
use crate::state::ApiState;
use crate::{lists, wire};

/// `GET /api/v1/namespaces`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, asking: Asking) -> ApiResult {
    let filter = Filter::from(Kind::Namespace, &asking.params)?;
    lists::list(&state, Kind::Namespace, filter, &asking).await
}

/// `GET /api/v1/namespaces/{namespace}`
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    Path(namespace): Path<String>,
    asking: Asking,
) -> ApiResult {
    if namespace != wire::NAMESPACE {
        return Err(ApiError::not_found(Kind::Namespace.name(), &namespace));
    }
    let row = state.store.get_operator().await?;
    lists::one(Kind::Namespace, wire::namespace(&row), &asking, &state)
}
