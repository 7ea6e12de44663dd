//! `revisions`: every spec that was ever accepted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use store::RevisionRow;

use crate::error::{ApiError, ApiResult};
use crate::extract::{Name, Params};
use crate::lists::Wanted;
use crate::state::ApiState;
use crate::{selectors, wire};

/// The kind.
const REVISION: &str = "Revision";

/// `GET revisions`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, params: Params) -> ApiResult {
    let wanted = Wanted::from(&params)?;
    let fields = selectors::fields(&params, &["metadata.name", "spec.environment"])?;
    let labels = selectors::labels(&params)?;
    let environment = fields.get("spec.environment").map(String::as_str).or_else(|| params.text("environment"));
    let name = fields.get("metadata.name");
    let page = if labels.is_empty() && name.is_none() {
        state.store.list_revisions(environment, wanted.page()).await?
    } else {
        let keep = |row: &RevisionRow| {
            let own = [(wire::ENVIRONMENT_LABEL.to_owned(), row.environment.clone())].into();
            name.is_none_or(|name| *name == row.name()) && selectors::matches(&labels, &own)
        };
        let state = &state;
        let read = |page| async move { state.store.list_revisions(environment, &page).await };
        wanted.filtered(read, keep, |row| format!("{}/{}", row.environment, row.revision)).await?
    };
    Ok(wanted.answer((wire::API_VERSION, REVISION), page, |row| wire::revision(&row)))
}

/// `GET revisions/{environment}-{number}`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name) -> ApiResult {
    let parts = name.rsplit_once('-').and_then(|(environment, number)| Some((environment, number.parse().ok()?)));
    let Some((environment, number)) = parts else { return Err(ApiError::not_found(REVISION, &name)) };
    let row = state.store.get_revision(environment, number).await?;
    Ok(Json(wire::revision(&row)).into_response())
}
