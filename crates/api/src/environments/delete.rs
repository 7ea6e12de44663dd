//! Deleting environments: asked for here, finished by the daemon.

use axum::Json;
use axum::response::IntoResponse;
use engine::changes::{Apply, Origin, Phase, Requires};
use http::{HeaderMap, StatusCode};
use model::env::{KIND, OnDelete};
use model::problem::Reason;
use serde_json::{Value, json};
use store::{EnvironmentRow, NewChange, Precondition};
use uuid::Uuid;

use super::edit::{change_name, if_match};
use super::read;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Acting, Actor, Body, Name, Params};
use crate::filter::Filter;
use crate::freshness::Freshness;
use crate::happened::{About, happened};
use crate::objects::Kind;
use crate::state::ApiState;
use crate::{document, lists, wire};

/// What a deletion asks for.
struct Asked {
    precondition: Precondition,
    dry_run: bool,
    /// What depends on the object is to stay.
    orphans: bool,
}

impl Asked {
    fn from(params: &Params, headers: &HeaderMap, options: &Value) -> ApiResult<Self> {
        let (precondition, dry_run) = preconditions(params, headers, options)?;
        let in_body = |field: &str| options.get(field).filter(|value| !value.is_null());
        let policy = match in_body("propagationPolicy") {
            Some(Value::String(policy)) => Some(policy.as_str()),
            Some(_) => Some(""),
            None => params.text("propagationPolicy"),
        };
        let orphans = match policy {
            None => in_body("orphanDependents") == Some(&Value::Bool(true)) || params.flag("orphanDependents")?,
            Some("Orphan") => true,
            Some("Background" | "Foreground") => false,
            Some(_) => {
                let rule = "must be Background, Foreground or Orphan";
                return Err(ApiError::field("propagationPolicy", Reason::FieldValueNotSupported, rule));
            }
        };
        Ok(Self { precondition, dry_run, orphans })
    }
}

/// `DELETE environments/{name}`: `deletionTimestamp` is set; the object goes when the daemon says that what
/// `spec.policy.onDelete` deletes is gone.
pub(crate) async fn delete(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    Body(options): Body,
) -> ApiResult {
    let asked = Asked::from(&params, &headers, &options)?;
    let row = delete_one(&state, &name, &asked, &actor).await?;
    read::answer(&state, StatusCode::OK, &row, &[]).await
}

/// `DELETE environments?labelSelector=…`: each that is selected. Answers what was asked to go.
pub(crate) async fn delete_collection(
    Acting(state): Acting,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    Body(options): Body,
) -> ApiResult {
    let asked = Asked::from(&params, &headers, &options)?;
    let filter = Filter::from(Kind::Environment, &params)?;
    if filter.is_empty() {
        // In Kubernetes this deletes everything; here everything is somebody's production.
        let rule = "say which are to be deleted, by labelSelector or fieldSelector";
        return Err(ApiError::field("labelSelector", Reason::FieldValueRequired, rule));
    }
    let page = lists::selected(&state, Kind::Environment, &filter, &params).await?;
    let mut rows = Vec::new();
    for object in page.items {
        let uid = object.shown.pointer("/metadata/uid").and_then(Value::as_str).and_then(|uid| uid.parse().ok());
        // The one that was selected, and not another that has its name by now.
        let asked = Asked { precondition: Precondition { uid, ..asked.precondition }, ..asked };
        match delete_one(&state, &object.place, &asked, &actor).await {
            Ok(row) => rows.push(row),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    let freshness = Freshness::of_all(&state).await?;
    let items: Vec<Value> = rows.iter().map(|row| wire::environment(&state, row, &freshness, state.now())).collect();
    let version = state.store.resource_version().await?.to_string();
    Ok(Json(json!({
        "apiVersion": wire::API_VERSION,
        "kind": "EnvironmentList",
        "metadata": { "resourceVersion": version },
        "items": items,
    }))
    .into_response())
}

async fn delete_one(state: &ApiState, name: &str, asked: &Asked, actor: &Actor) -> ApiResult<EnvironmentRow> {
    let precondition = asked.precondition;
    let mut row = state.store.get_environment(name).await?;
    if let Some(uid) = precondition.uid.filter(|uid| *uid != row.uid) {
        return Err(ApiError::conflict(KIND, name, format!("its uid is {}, not {uid}", row.uid)));
    }
    if let Some(version) = precondition.resource_version.filter(|version| *version != row.resource_version) {
        let why = format!("its resourceVersion is {}, not {version}", row.resource_version);
        return Err(ApiError::conflict(KIND, name, why));
    }
    if asked.orphans && document::stored(&row).is_none_or(|it| it.spec.policy.on_delete == OnDelete::Delete) {
        let rule = "Orphan would keep the AWS objects, and spec.policy.onDelete says Delete: set that to Retain first";
        return Err(ApiError::field("propagationPolicy", Reason::FieldValueForbidden, rule));
    }
    if asked.dry_run {
        row.deletion_requested_at = row.deletion_requested_at.or(Some(state.now()));
        return Ok(row);
    }
    let asked_before = row.deletion_requested_at.is_some();
    row = state.store.request_delete(name, precondition, None, state.now()).await?;
    if !asked_before {
        let message = format!("{} asked for the deletion", actor.0);
        happened(state, About::Environment(&row), "DeletionRequested", message).await;
        record(state, &row, &actor.0).await?;
    }
    Ok(row)
}

/// From Kubernetes' DeleteOptions: what must still hold, and whether it is only tried out.
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

/// A deletion that deletes AWS objects is a change: its steps wait for approval like any others, and whoever asked for it is
/// its author.
async fn record(state: &ApiState, row: &EnvironmentRow, author: &str) -> ApiResult<()> {
    let policy = document::stored(row).map(|stored| stored.spec.policy).unwrap_or_default();
    if policy.on_delete != OnDelete::Delete {
        return Ok(());
    }
    let now = state.now();
    let change = NewChange {
        name: change_name(&row.name, now),
        environment: row.name.clone(),
        environment_uid: Some(row.uid),
        phase: Phase::Applying.to_string(),
        origin: Some(Origin::Deletion.to_string()),
        apply: Some(Apply::by_policy(&policy).to_string()),
        author: author.to_owned(),
        message: format!("deletion of {}", row.name),
        patch: json!({}),
        requires: json!(Requires::of(&policy.changes)),
        generation: Some(row.generation),
        applied_at: Some(now),
        ..NewChange::default()
    };
    state.store.create_change(&change, now).await?;
    Ok(())
}
