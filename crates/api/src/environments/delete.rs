//! Deleting environments: asked for here, finished by the daemon.

use std::sync::Arc;

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use model::env::KIND;
use model::problem::Reason;
use serde_json::Value;
use store::Precondition;
use uuid::Uuid;

use super::edit::if_match;
use super::read;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Actor, Body, Name, Params};
use crate::happened::{About, happened};
use crate::state::ApiState;

/// `DELETE environments/{name}`: `deletionTimestamp` is set; the object goes when the daemon says that what
/// `spec.policy.onDelete` deletes is gone.
pub(crate) async fn delete(
    State(state): State<Arc<ApiState>>,
    Name(name): Name,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    Body(options): Body,
) -> ApiResult {
    let (precondition, dry_run) = preconditions(&params, &headers, &options)?;
    let mut row = state.store.get_environment(&name).await?;
    if let Some(uid) = precondition.uid.filter(|uid| *uid != row.uid) {
        return Err(ApiError::conflict(KIND, &name, format!("its uid is {}, not {uid}", row.uid)));
    }
    if let Some(version) = precondition.resource_version.filter(|version| *version != row.resource_version) {
        let why = format!("its resourceVersion is {}, not {version}", row.resource_version);
        return Err(ApiError::conflict(KIND, &name, why));
    }
    if dry_run {
        row.deletion_requested_at = row.deletion_requested_at.or(Some(state.now()));
    } else {
        let asked_before = row.deletion_requested_at.is_some();
        row = state.store.request_delete(&name, precondition, None, state.now()).await?;
        if !asked_before {
            let message = format!("{} asked for the deletion", actor.0);
            happened(&state, About::Environment(&row), "DeletionRequested", message).await;
        }
    }
    read::answer(&state, StatusCode::OK, &row, &[]).await
}

/// From Kubernetes' DeleteOptions: what must still hold, and whether it is only tried out. The rest means nothing here.
pub(crate) fn preconditions(params: &Params, headers: &HeaderMap, options: &Value) -> ApiResult<(Precondition, bool)> {
    if !options.is_null() && !options.is_object() {
        return Err(ApiError::field(".", Reason::FieldValueInvalid, "must be DeleteOptions, or nothing"));
    }
    let stated = |field: &str| options.get("preconditions").and_then(|them| them.get(field)).filter(|it| !it.is_null());
    let refuse = |field: &str| {
        let path = format!("preconditions.{field}");
        ApiError::field(&path, Reason::FieldValueInvalid, "is not one that this server gave out")
    };
    let mut precondition = Precondition { resource_version: if_match(headers)?, ..Precondition::default() };
    if let Some(uid) = stated("uid") {
        let uid = uid.as_str().and_then(|uid| uid.parse::<Uuid>().ok()).ok_or_else(|| refuse("uid"))?;
        precondition.uid = Some(uid);
    }
    if let Some(version) = stated("resourceVersion") {
        let version = version.as_str().and_then(|it| it.parse().ok()).ok_or_else(|| refuse("resourceVersion"))?;
        precondition.resource_version = Some(version);
    }
    let tried_out = match options.get("dryRun") {
        None | Some(Value::Null) => false,
        Some(Value::Array(all)) if all.iter().all(|one| one == "All") => !all.is_empty(),
        Some(_) => return Err(ApiError::field("dryRun", Reason::FieldValueNotSupported, "must be [\"All\"]")),
    };
    Ok((precondition, tried_out || params.dry_run()?))
}
