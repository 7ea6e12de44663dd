//! Events, on the paths where Kubernetes has them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use store::{EventFilter, EventRow};

use crate::error::{ApiError, ApiResult};
use crate::extract::{Name, Params};
use crate::lists::Wanted;
use crate::state::ApiState;
use crate::{selectors, wire};

const OFFERED: [&str; 10] = [
    "metadata.name",
    "metadata.namespace",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "regarding.kind",
    "regarding.name",
    "reason",
];

/// `GET /api/v1/events` and `/api/v1/namespaces/default/events`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, params: Params) -> ApiResult {
    let wanted = Wanted::from(&params)?;
    let offered: Vec<&str> = OFFERED.iter().copied().chain(["type"]).collect();
    let mut fields = selectors::fields(&params, &offered)?;
    let labels = selectors::labels(&params)?;
    let mut take = |field: &str| fields.remove(field);
    let filter = EventFilter {
        environment: params.text("environment").map(str::to_owned),
        regarding_kind: take("involvedObject.kind").or_else(|| take("regarding.kind")),
        regarding_identity: take("involvedObject.name").or_else(|| take("regarding.name")),
        event_type: take("type"),
        reason: take("reason"),
        name: take("metadata.name"),
    };
    let uid = take("involvedObject.uid");
    // Everything is in one namespace, and of one version.
    for (field, only) in [("metadata.namespace", "default"), ("involvedObject.apiVersion", wire::API_VERSION)] {
        if take(field).is_some_and(|given| given != only) {
            return Ok(wanted.answer(wire::EVENT, empty(&state).await?, |row: EventRow| wire::event(&row)));
        }
    }
    let mut page = if labels.is_empty() && uid.is_none() {
        state.store.list_events(&filter, wanted.page()).await?
    } else {
        let keep = |row: &EventRow| {
            let own = [(wire::ENVIRONMENT_LABEL.to_owned(), row.environment.clone())].into();
            let of_uid = |uid: &String| row.environment_uid.is_some_and(|own| own.to_string() == *uid);
            uid.as_ref().is_none_or(of_uid) && selectors::matches(&labels, &own)
        };
        let (state, filter) = (&state, &filter);
        let read = |page| async move { state.store.list_events(filter, &page).await };
        wanted.filtered(read, keep, |row| row.name.clone()).await?
    };
    // Names say nothing: a list that is read whole is told in the order in which it happened.
    if wanted.is_whole(&page) {
        page.items.sort_by_key(|row| (row.last_seen, row.resource_version));
    }
    Ok(wanted.answer(wire::EVENT, page, |row| wire::event(&row)))
}

async fn empty(state: &ApiState) -> ApiResult<store::Page<EventRow>> {
    Ok(store::Page { items: Vec::new(), resource_version: state.store.resource_version().await?, next: None })
}

/// `GET /api/v1/namespaces/default/events/{name}`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name) -> ApiResult {
    let filter = EventFilter { name: Some(name.clone()), ..EventFilter::default() };
    let found = state.store.recent_events(&filter, 1).await?;
    let row = found.first().ok_or_else(|| ApiError::not_found(wire::EVENT.1, &name))?;
    Ok(Json(wire::event(row)).into_response())
}
