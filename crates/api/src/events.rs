//! Events, on the paths where Kubernetes has them.

use std::sync::Arc;

use axum::extract::{Path, State};
use store::{EventFilter, LabelRequirement};

use crate::error::{ApiError, ApiResult};
use crate::extract::Asking;
use crate::filter::Filter;
use crate::objects::Kind;
use crate::state::ApiState;
use crate::{lists, wire};

/// `GET /api/v1/events`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, asking: Asking) -> ApiResult {
    let filter = filter(&asking)?;
    lists::list(&state, Kind::Event, filter, &asking).await
}

/// `GET /api/v1/namespaces/{namespace}/events`: all of them are in `default`.
pub(crate) async fn list_namespaced(
    State(state): State<Arc<ApiState>>,
    Path(namespace): Path<String>,
    asking: Asking,
) -> ApiResult {
    let mut filter = filter(&asking)?;
    filter.fields.entry("metadata.namespace".to_owned()).or_insert(namespace);
    lists::list(&state, Kind::Event, filter, &asking).await
}

fn filter(asking: &Asking) -> ApiResult<Filter> {
    let mut filter = Filter::from(Kind::Event, &asking.params)?;
    if let Some(environment) = asking.params.text("environment") {
        filter.labels.push(LabelRequirement::equals(wire::ENVIRONMENT_LABEL, environment));
    }
    Ok(filter)
}

/// `GET /api/v1/namespaces/{namespace}/events/{name}`
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    Path((namespace, name)): Path<(String, String)>,
    asking: Asking,
) -> ApiResult {
    let filter = EventFilter { name: Some(name.clone()), ..EventFilter::default() };
    let found = state.store.recent_events(&filter, 1).await?;
    let row = found.first().filter(|_| namespace == wire::NAMESPACE);
    let row = row.ok_or_else(|| ApiError::not_found(Kind::Event.name(), &name))?;
    lists::one(Kind::Event, wire::event(row), &asking, &state)
}
