//! `managedresources`: one for each AWS object.

use std::sync::Arc;

use axum::extract::State;

use crate::error::ApiResult;
use crate::extract::{Asking, Name};
use crate::filter::Filter;
use crate::objects::Kind;
use crate::state::ApiState;
use crate::{lists, wire};

/// `GET managedresources`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, asking: Asking) -> ApiResult {
    let filter = Filter::from(Kind::ManagedResource, &asking.params)?;
    let filter = filter.with_parameter(&asking.params, "environment", "spec.environment");
    let filter = filter.with_parameter(&asking.params, "kind", "spec.kind");
    lists::list(&state, Kind::ManagedResource, filter, &asking).await
}

/// `GET managedresources/{name}`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name, asking: Asking) -> ApiResult {
    let row = state.store.get_resource(&name).await?;
    lists::one(Kind::ManagedResource, wire::managed_resource(&row, state.now()), &asking, &state)
}
