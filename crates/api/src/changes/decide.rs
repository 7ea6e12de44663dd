//! `changes/{name}/approve` and `…/reject`.

use axum::Json;
use axum::response::IntoResponse;
use engine::changes::Phase;
use http::StatusCode;
use model::Span;
use serde::Deserialize;
use serde_json::{Value, json};
use store::ChangeUpdate;

use crate::approvals::{self, CHANGE, Given, told, unchanged};
use crate::environments::actions::input;
use crate::environments::approve::expires_in;
use crate::environments::edit::message;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Acting, Actor, Body, Name, Params};
use crate::happened::{About, happened};
use crate::wire;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Approve {
    /// Hash of the plan that is meant; the one that is shown, if not said.
    #[serde(default)]
    plan: Option<String>,
    #[serde(default)]
    message: String,
    /// How long it counts.
    #[serde(default)]
    expires_in: Option<Span>,
}

/// `POST changes/{name}/approve`
pub(crate) async fn approve(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    actor: Actor,
    Body(body): Body,
) -> ApiResult {
    let approve: Approve = input(CHANGE, &name, body)?;
    let given = Given {
        by: actor.0,
        plan: approve.plan,
        message: message(&approve.message)?,
        expires_in: expires_in(approve.expires_in)?,
        dry_run: params.dry_run()?,
    };
    let change = approvals::approve(&state, &name, &given).await?;
    Ok((StatusCode::CREATED, Json(wire::change(&change))).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reject {
    #[serde(default)]
    message: String,
}

/// `POST changes/{name}/reject`: it ends, and its steps are not asked about again while they look the same.
pub(crate) async fn reject(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    actor: Actor,
    Body(body): Body,
) -> ApiResult {
    let reject: Reject = input(CHANGE, &name, body)?;
    let why = message(&reject.message)?;
    let dry_run = params.dry_run()?;
    let mut change = state.store.get_change(&name).await?;
    match change.phase.parse() {
        Ok(Phase::Pending | Phase::PendingApproval) => {}
        Ok(Phase::Applying) => {
            let why =
                "it is applied: roll it back with environments/{name}/rollback, or withdraw it to void its approvals";
            return Err(ApiError::conflict(CHANGE, &name, why));
        }
        _ => return Err(ApiError::conflict(CHANGE, &name, format!("it has ended: {}", change.phase))),
    }
    let now = state.now();
    let mut outcome = json!({ "reason": "Rejected", "by": actor.0, "at": now, "message": why });
    if change.revision.is_some() {
        outcome["note"] = json!("the spec stays as it is written; its gated steps are not carried out");
    }
    let update = ChangeUpdate {
        phase: Some(Phase::Rejected.to_string()),
        outcome: Some(outcome),
        waiting: Some(Value::Null),
        finished_at: Some(now),
        ..ChangeUpdate::default()
    };
    if !dry_run {
        change = state.store.update_change(&name, unchanged(&change), &update).await?;
        let said = format!("{} rejected change {name} (by {}){}", actor.0, change.author, told(&why));
        if let Ok(environment) = state.store.get_environment(&change.environment).await {
            happened(&state, About::Environment(&environment), "ChangeRejected", said).await;
        }
    }
    Ok((StatusCode::OK, Json(wire::change(&change))).into_response())
}
