//! `environments/{name}/approve`: lets the gated steps of the plan that is current through.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use jiff::SignedDuration;
use model::Span;
use model::env::KIND;
use model::problem::Reason;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{EnvironmentRow, NewApproval};

use super::actions::input;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Actor, Body, Name, Params};
use crate::happened::{About, happened};
use crate::state::ApiState;
use crate::{owner, wire};

/// An approval may count for so long at most.
const LONGEST_APPROVAL: u32 = 30 * 86_400;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Approval {
    /// Hash of the plan.
    plan: String,
    /// How long it counts.
    #[serde(default)]
    expires_in: Option<Span>,
}

/// `POST environments/{name}/approve`
pub(crate) async fn create(
    State(state): State<Arc<ApiState>>,
    Name(name): Name,
    params: Params,
    actor: Actor,
    Body(body): Body,
) -> ApiResult {
    let approval: Approval = input("Approval", &name, body)?;
    let ttl = approval.expires_in.map_or(state.config.approval_ttl, Span::as_duration);
    if ttl.is_zero() || ttl.as_secs() > u64::from(LONGEST_APPROVAL) {
        let rule = "must be more than 0s and at most 30d";
        return Err(ApiError::field("expiresIn", Reason::FieldValueInvalid, rule));
    }
    let dry_run = params.dry_run()?;
    let row = state.store.get_environment(&name).await?;
    let steps = gated_steps(&state, &row, &approval.plan).await?;
    let now = state.now();
    let expires_at =
        now.checked_add(SignedDuration::try_from(ttl).unwrap_or(SignedDuration::ZERO)).map_err(ApiError::internal)?;
    if !dry_run {
        let new = NewApproval {
            environment_uid: row.uid,
            plan_hash: approval.plan.clone(),
            steps: steps.clone(),
            approver: actor.0.clone(),
            now,
            expires_at,
        };
        state.store.approve(&new).await?;
        let message = format!("{} approved {} step(s) of plan {}", actor.0, steps.len(), approval.plan);
        happened(&state, About::Environment(&row), "Approved", message).await;
    }
    let shown = json!({
        "apiVersion": wire::API_VERSION,
        "kind": "Approval",
        "metadata": { "name": name },
        "spec": { "plan": approval.plan },
        "status": {
            "approver": actor.0,
            "steps": steps.len(),
            "approvedAt": wire::time(now),
            "expiresAt": wire::time(expires_at),
        },
    });
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// Fingerprints of the steps that wait for approval, if that hash is the current plan's: the one in the status, or the
/// one that the owner makes now.
async fn gated_steps(state: &ApiState, row: &EnvironmentRow, hash: &str) -> ApiResult<Vec<String>> {
    let known = row.status.get("plan").filter(|_| row.status.get("observedGeneration") == Some(&json!(row.generation)));
    if let Some(steps) = known.and_then(|gated| steps_of(gated, hash)) {
        return Ok(steps);
    }
    let place = (row.account.as_str(), row.name.as_str());
    let current = match owner::plan(state, place, None, state.config.plan_patience).await {
        Ok(plan) => plan.get("gated").cloned().unwrap_or_default(),
        // Without an owner the status is all there is, and it has another plan or none.
        Err(_) => known.cloned().unwrap_or_default(),
    };
    steps_of(&current, hash).ok_or_else(|| {
        let why = match current.get("hash").and_then(Value::as_str) {
            Some(other) => format!("that is not the current plan: {other} is; look at it and approve that"),
            None => "nothing waits for approval in the current plan".to_owned(),
        };
        ApiError::conflict(KIND, &row.name, why)
    })
}

fn steps_of(gated: &Value, hash: &str) -> Option<Vec<String>> {
    if gated.get("hash").and_then(Value::as_str) != Some(hash) {
        return None;
    }
    let steps = gated.get("steps")?.as_array()?;
    let steps: Vec<String> = steps.iter().filter_map(|step| Some(step.as_str()?.to_owned())).collect();
    (!steps.is_empty()).then_some(steps)
}
