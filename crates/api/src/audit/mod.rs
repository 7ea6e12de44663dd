//! `auditentries`: the audit trail, to read; and what is told in it of requests that were refused.

mod refusals;

use std::sync::Arc;

use axum::extract::State;
use serde_json::Value;
use store::AuditRow;

pub(crate) use refusals::{Refusals, anonymous, forbidden};

use crate::error::{ApiError, ApiResult};
use crate::extract::{Asking, Name};
use crate::filter::Filter;
use crate::objects::Kind;
use crate::state::ApiState;
use crate::{lists, wire};

/// So many of the acts that followed are shown with an entry.
const MOST_ACTS: u32 = 50;

/// `GET auditentries`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, asking: Asking) -> ApiResult {
    let filter = Filter::from(Kind::AuditEntry, &asking.params)?;
    let filter = filter.with_parameter(&asking.params, "environment", "spec.environment");
    let filter = filter.with_parameter(&asking.params, "actor", "spec.actor");
    let filter = filter.with_parameter(&asking.params, "verb", "spec.verb");
    lists::list(&state, Kind::AuditEntry, filter, &asking).await
}

/// `GET auditentries/{sequence}`, with or without leading zeros.
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name, asking: Asking) -> ApiResult {
    let Ok(sequence) = name.parse::<i64>() else { return Err(ApiError::not_found(Kind::AuditEntry.name(), &name)) };
    let row = state.store.get_audit(sequence).await?;
    let shown = shown(&state, std::slice::from_ref(&row)).await?;
    let object = shown.into_iter().next().unwrap_or_default();
    lists::one(Kind::AuditEntry, object, &asking, &state)
}

/// Entries with the acts that followed.
pub(crate) async fn shown(state: &ApiState, rows: &[AuditRow]) -> ApiResult<Vec<Value>> {
    // One more than is shown tells whether there are more.
    let acts = state.store.acts_of(&rows.iter().collect::<Vec<_>>(), MOST_ACTS + 1).await?;
    let most = MOST_ACTS as usize;
    Ok(rows.iter().map(|row| wire::audit_entry(row, acts.get(&row.sequence).map(Vec::as_slice), most)).collect())
}
