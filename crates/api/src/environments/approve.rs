//! `environments/{name}/approve`: lets the gated steps of the plan that is current through.

use std::time::Duration;

use axum::Json;
use axum::response::IntoResponse;
use engine::changes::{Apply, Phase, Requires};
use http::StatusCode;
use jiff::Timestamp;
use model::Span;
use model::env::KIND;
use model::problem::Reason;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{ChangeRow, EnvironmentRow, NewApproval};

use super::actions::input;
use super::edit;
use crate::approvals::{self, Given};
use crate::document;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Acting, Actor, Body, Name, Params};
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
    /// Why.
    #[serde(default)]
    message: String,
}

/// How long an approval counts, within bounds, if somebody says so.
pub(crate) fn expires_in(said: Option<Span>) -> ApiResult<Option<Duration>> {
    if said.is_some_and(|said| said.as_secs() == 0 || said.as_secs() > LONGEST_APPROVAL) {
        let rule = "must be more than 0s and at most 30d";
        return Err(ApiError::field("expiresIn", Reason::FieldValueInvalid, rule));
    }
    Ok(said.map(Span::as_duration))
}

/// `POST environments/{name}/approve`: the open change with this plan is approved; where there is none, the steps
/// themselves.
pub(crate) async fn create(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    actor: Actor,
    Body(body): Body,
) -> ApiResult {
    let approval: Approval = input("Approval", &name, body)?;
    let expires_in = expires_in(approval.expires_in)?;
    let message = edit::message(&approval.message)?;
    let dry_run = params.dry_run()?;
    let row = state.store.get_environment(&name).await?;
    let open = state.store.open_changes(row.uid).await?;
    let asks = |change: &&ChangeRow| {
        change.phase == Phase::PendingApproval.to_string() && change.plan_hash.as_ref() == Some(&approval.plan)
    };
    let given = Given { by: actor.0, plan: Some(approval.plan.clone()), message, expires_in, dry_run };
    let (approved, steps, expires_at) = match open.iter().find(asks) {
        Some(change) => {
            let steps = approvals::steps_of(&change.plan).len();
            let approved = approvals::approve(&state, &change.name, &given).await?;
            let expires_at = approvals::counts_until(&state, &[], (Apply::Immediately, expires_in), state.now())?;
            (Some(approved), steps, expires_at)
        }
        None => {
            let (steps, expires_at) = approve_steps(&state, &row, &given).await?;
            (None, steps, expires_at)
        }
    };
    let now = state.now();
    let mut shown = json!({
        "apiVersion": wire::API_VERSION,
        "kind": "Approval",
        "metadata": { "name": name },
        "spec": { "plan": approval.plan },
        "status": {
            "approver": given.by,
            "steps": steps,
            "approvedAt": wire::time(now),
            "expiresAt": wire::time(expires_at),
        },
    });
    if let Some(change) = approved {
        shown["status"]["change"] = json!(change.name);
        shown["status"]["phase"] = json!(change.phase);
    }
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// The gated steps of the current plan, while no change is about them: whoever wrote the spec is their author. Answers how
/// many, and until when that counts.
async fn approve_steps(state: &ApiState, row: &EnvironmentRow, given: &Given) -> ApiResult<(usize, Timestamp)> {
    let hash = given.plan.clone().unwrap_or_default();
    let steps = gated_steps(state, row, &hash).await?;
    let policy = document::stored(row).map(|stored| stored.spec.policy).unwrap_or_default();
    let requires = Requires::of(&policy.changes);
    let author = match state.store.get_revision(&row.name, row.revision).await {
        Ok(revision) => revision.author,
        Err(store::Error::NotFound { .. }) => String::new(),
        Err(error) => return Err(error.into()),
    };
    if let Err(refusal) = requires.admit(&author, &given.by) {
        let message = format!("environments {:?} is forbidden: {refusal}", row.name);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "Forbidden", message).about(KIND, &row.name));
    }
    if requires.missing(&author, [given.by.as_str()]) > 0 {
        let why = "its Change, which counts approvals, is not open yet; look again, and approve that";
        return Err(ApiError::conflict(KIND, &row.name, why));
    }
    let now = state.now();
    let apply = Apply::by_policy(&policy);
    let expires_at = approvals::counts_until(state, &policy.windows, (apply, given.expires_in), now)?;
    if given.dry_run {
        return Ok((steps.len(), expires_at));
    }
    let new = NewApproval {
        environment_uid: row.uid,
        plan_hash: hash.clone(),
        steps: steps.clone(),
        apply: Some(apply.to_string()),
        approver: given.by.clone(),
        now,
        expires_at,
    };
    state.store.approve(&new).await?;
    let message = format!("{} approved {} step(s) of plan {hash}", given.by, steps.len());
    happened(state, About::Environment(row), "Approved", message).await;
    Ok((steps.len(), expires_at))
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
