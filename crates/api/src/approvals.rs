//! Approving a change: who may, whether it suffices, and that what is carried out is what was approved. Approvals of a
//! plan's hash through its environment end here too.

use std::sync::Arc;
use std::time::Duration;

use engine::changes::{Apply, Phase, Requires};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use model::env::WindowSpec;
use model::schedule::{WindowState, Windows};
use serde_json::{Value, json};
use store::{ChangeLink, ChangeRow, ChangeUpdate, EnvironmentRow, EnvironmentUpdate, NewApproval, Precondition};

use crate::access::scope;
use crate::document;
use crate::environments::edit::{self, Approved, Edit, Record};
use crate::environments::manager::Manager;
use crate::environments::write::patched;
use crate::error::{ApiError, ApiResult};
use crate::extract::FieldValidation;
use crate::filter::labels;
use crate::happened::{About, happened};
use crate::owner;
use crate::state::ApiState;

/// The kind.
pub(crate) const CHANGE: &str = "Change";

/// Somebody's approval.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// Who.
    pub(crate) by: String,
    /// Of which plan; of the one that is shown, if not said.
    pub(crate) plan: Option<String>,
    /// Why.
    pub(crate) message: String,
    /// How long it counts, if he says so.
    pub(crate) expires_in: Option<Duration>,
    pub(crate) dry_run: bool,
}

/// Approves a change. Answers it as it is then.
pub(crate) async fn approve(state: &Arc<ApiState>, name: &str, given: &Given) -> ApiResult<ChangeRow> {
    let change = state.store.get_change(name).await?;
    let now = state.now();
    may_be_approved(&change, given, now)?;
    let row = state.store.get_environment(&change.environment).await?;
    if change.environment_uid.is_some_and(|uid| uid != row.uid) {
        let why = format!("Environment {:?} is another one now", row.name);
        return Err(ApiError::conflict(CHANGE, name, why));
    }
    // Every approval, and not the last one alone: it must be allowed by the labels before and after the change.
    scope::check_labels(&row.labels)?;
    if change.generation.is_none() {
        scope::check_labels(&labels(&patched(&row, &change.patch)))?;
    }
    let requires = required(&change, &row);
    requires.admit(&change.author, &given.by).map_err(|refusal| forbidden(name, &refusal.to_string()))?;
    let approvals = with(&change, given, now);
    let missing = requires.missing(&change.author, approvers(&approvals));
    if given.dry_run {
        return Ok(ChangeRow { approvals, ..change });
    }
    let message = format!("{} approved change {} (by {}){}", given.by, name, change.author, told(&given.message));
    if missing > 0 {
        let waiting = json!({
            "reason": "ApprovalRequired",
            "message": format!("{missing} of {} still missing", requires.told(&change.author)),
            "until": change.expires_at,
        });
        let update = ChangeUpdate { approvals: Some(approvals), waiting: Some(waiting), ..ChangeUpdate::default() };
        let approved = state.store.update_change(name, unchanged(&change), &update).await?;
        happened(state, About::Environment(&row), "ChangeApproved", format!("{message}; {missing} more needed")).await;
        return Ok(approved);
    }
    let approved = if change.generation.is_some() {
        let_through(state, &change, &row, (approvals, given)).await?
    } else {
        apply(state, &change, &row, (approvals, given)).await?
    };
    happened(state, About::Environment(&row), "ChangeApproved", message).await;
    if change.generation.is_none() {
        let revision = approved.revision.unwrap_or_default();
        let message = format!("change {} (by {}) is applied as revision {revision}", name, change.author);
        happened(state, About::Environment(&row), "ChangeApplied", message).await;
    }
    Ok(approved)
}

fn may_be_approved(change: &ChangeRow, given: &Given, now: Timestamp) -> ApiResult<()> {
    let refuse = |why: String| Err(ApiError::conflict(CHANGE, &change.name, why));
    match change.phase.parse() {
        Ok(Phase::PendingApproval) => {}
        Ok(Phase::Pending) => return refuse("its plan is not known yet".to_owned()),
        Ok(Phase::Applying) => return refuse("nothing of it waits for approval".to_owned()),
        _ => return refuse(format!("it has ended: {}", change.phase)),
    }
    if let Some(at) = change.expires_at.filter(|at| *at <= now) {
        return refuse(format!("it lapsed at {at}"));
    }
    let shown = change.plan_hash.as_deref().unwrap_or_default();
    match given.plan.as_deref() {
        Some(plan) if plan != shown => {
            refuse(format!("that is not its current plan: {shown} is; look at it and approve that"))
        }
        _ => Ok(()),
    }
}

/// Who must approve: as was recorded, and for a spec that is not written yet, as policy says now.
pub(crate) fn required(change: &ChangeRow, row: &EnvironmentRow) -> Requires {
    let recorded = serde_json::from_value::<Requires>(change.requires.clone()).unwrap_or_default();
    match document::stored(row).filter(|_| change.generation.is_none()) {
        Some(stored) => recorded.and(Requires::of(&stored.spec.policy.changes)),
        None => recorded,
    }
}

fn approvers(approvals: &Value) -> impl Iterator<Item = &str> {
    approvals.as_array().into_iter().flatten().filter_map(|approval| approval["by"].as_str())
}

/// All approvals with this one; of the same person only the last.
fn with(change: &ChangeRow, given: &Given, now: Timestamp) -> Value {
    let mut all = change.approvals.as_array().cloned().unwrap_or_default();
    all.retain(|approval| approval["by"] != given.by.as_str());
    all.push(json!({ "by": given.by, "at": now, "message": given.message, "plan": change.plan_hash }));
    Value::Array(all)
}

/// The steps of a spec that is written.
async fn let_through(
    state: &ApiState,
    change: &ChangeRow,
    row: &EnvironmentRow,
    (approvals, given): (Value, &Given),
) -> ApiResult<ChangeRow> {
    let hash = change.plan_hash.as_deref().unwrap_or_default();
    let fresh = match owner::plan(state, (&row.account, &row.name), None, state.config.plan_patience).await {
        Ok(plan) => plan,
        // Without an owner the status is all there is; the guard lets nothing through but what was shown.
        Err(_) => known(row),
    };
    let steps = steps_of(&fresh);
    if owner::plan_hash(&fresh) != Some(hash) || steps.is_empty() {
        let new = owner::plan_hash(&fresh).map(|hash| (hash.to_owned(), fresh.clone()));
        return Err(plan_changed(state, (change, row), new).await);
    }
    let now = state.now();
    let apply = apply_of(change);
    let windows = document::stored(row).map(|stored| stored.spec.policy.windows).unwrap_or_default();
    let update = ChangeUpdate {
        phase: Some(Phase::Applying.to_string()),
        approvals: Some(approvals),
        waiting: Some(Value::Null),
        applied_at: Some(now),
        ..ChangeUpdate::default()
    };
    let approval = NewApproval {
        environment_uid: row.uid,
        plan_hash: hash.to_owned(),
        steps,
        apply: Some(apply.to_string()),
        approver: given.by.clone(),
        now,
        expires_at: counts_until(state, &windows, (apply, given.expires_in), now)?,
    };
    let written = EnvironmentUpdate {
        precondition: Precondition { uid: Some(row.uid), generation: change.generation, ..Precondition::default() },
        change: Some(ChangeLink::Update { name: change.name.clone(), precondition: unchanged(change), update }),
        approvals: vec![approval],
        ..EnvironmentUpdate::new(&row.name, now)
    };
    let written = state.store.update_environment(&written).await?;
    written.change.ok_or_else(|| ApiError::internal("an approved change was not written"))
}

/// A spec that is not written yet.
async fn apply(
    state: &Arc<ApiState>,
    change: &ChangeRow,
    row: &EnvironmentRow,
    (approvals, given): (Value, &Given),
) -> ApiResult<ChangeRow> {
    let approved =
        Approved { change: change.clone(), approvals, approver: given.by.clone(), expires_in: given.expires_in };
    let edit = Edit {
        author: change.author.clone(),
        message: change.message.clone(),
        version: None,
        validation: FieldValidation::Strict,
        dry_run: false,
        record: Record::Approved(Box::new(approved)),
        manager: Manager::named(change.field_manager.as_deref().unwrap_or("unknown")),
    };
    let make = |row: &EnvironmentRow| Ok(patched(row, &change.patch));
    let edited = edit::edit(state, &row.name, &edit, make).await?;
    edited.change.ok_or_else(|| ApiError::internal("an approved change was not written"))
}

/// What is to be approved is no longer what was: the new plan is shown, and the approvals are void.
pub(crate) async fn plan_changed(
    state: &ApiState,
    (change, row): (&ChangeRow, &EnvironmentRow),
    new: Option<(String, Value)>,
) -> ApiError {
    let (update, why) = match new {
        Some((hash, plan)) => {
            let why = format!("the plan is {hash} now, so earlier approvals are void; look at it and approve that");
            let update = ChangeUpdate {
                plan: Some(plan),
                plan_hash: Some(hash),
                approvals: Some(json!([])),
                ..ChangeUpdate::default()
            };
            (update, why)
        }
        // A pass makes the plan anew, and finds what becomes of the change.
        None => {
            let why = "nothing waits for approval in its current plan; it is planned anew".to_owned();
            let phase = change.generation.is_none().then(|| Phase::Pending.to_string());
            let update = ChangeUpdate { phase, approvals: Some(json!([])), ..ChangeUpdate::default() };
            (update, why)
        }
    };
    match state.store.update_change(&change.name, unchanged(change), &update).await {
        Ok(_) => {
            let message = format!("change {} (by {}): {why}", change.name, change.author);
            happened(state, About::Environment(row), "ChangePlanChanged", message).await;
            // Trying again by itself would approve what nobody has seen.
            ApiError::changed_plan(CHANGE, &change.name, why)
        }
        Err(error) => error.into(),
    }
}

/// That a change waits for approval, in a sentence.
pub(crate) fn needed(change: &ChangeRow) -> String {
    let requires = serde_json::from_value::<Requires>(change.requires.clone()).unwrap_or_default();
    let gated = change.plan.pointer("/gated/gated").and_then(Value::as_array).map_or(0, Vec::len);
    let what = match change.plan.get("loosens").and_then(Value::as_str) {
        Some(field) => format!("it loosens {field}; {gated} gated step(s)"),
        None => format!("{gated} gated step(s)"),
    };
    let hash = change.plan_hash.as_deref().unwrap_or_default();
    let requires = requires.told(&change.author);
    format!("change {} (by {}) waits for {requires} of plan {hash}: {what}", change.name, change.author)
}

/// When the steps of a change run.
pub(crate) fn apply_of(change: &ChangeRow) -> Apply {
    change.apply.as_deref().and_then(|apply| apply.parse().ok()).unwrap_or_default()
}

/// The fingerprints of a plan's gated steps.
pub(crate) fn steps_of(plan: &Value) -> Vec<String> {
    let steps = plan.pointer("/gated/steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    steps.iter().filter_map(|step| Some(step.as_str()?.to_owned())).collect()
}

/// Until when an approval counts: as long as was said; by default for some time, and to the end of the window that its
/// steps wait for.
pub(crate) fn counts_until(
    state: &ApiState,
    windows: &[WindowSpec],
    (apply, expires_in): (Apply, Option<Duration>),
    now: Timestamp,
) -> ApiResult<Timestamp> {
    let ttl = SignedDuration::try_from(expires_in.unwrap_or(state.config.approval_ttl)).map_err(ApiError::internal)?;
    let until = now.checked_add(ttl).map_err(ApiError::internal)?;
    let waits = apply == Apply::InWindow && expires_in.is_none();
    let windows = Windows::parse(windows).ok().filter(|_| waits);
    let closes = windows.and_then(|windows| match windows.state(now) {
        WindowState::Closed { opens: Some(opens) } => match windows.state(opens) {
            WindowState::Open { until } => Some(until),
            WindowState::Closed { .. } => None,
        },
        WindowState::Open { .. } | WindowState::Closed { opens: None } => None,
    });
    Ok(closes.map_or(until, |closes| until.max(closes)))
}

/// What the status says of the gated steps, as a plan does.
fn known(row: &EnvironmentRow) -> Value {
    let current = row.status.get("observedGeneration") == Some(&json!(row.generation));
    let gated = row.status.get("plan").filter(|_| current).cloned().unwrap_or_default();
    json!({ "generation": row.generation, "hash": gated.get("hash"), "gated": gated })
}

/// The change as it was read.
pub(crate) fn unchanged(change: &ChangeRow) -> Precondition {
    Precondition { uid: Some(change.uid), resource_version: Some(change.resource_version), ..Precondition::default() }
}

/// Somebody may not do this to a change.
pub(crate) fn forbidden(name: &str, why: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "Forbidden", format!("changes {name:?} is forbidden: {why}"))
        .about(CHANGE, name)
}

/// A message, as the end of a sentence.
pub(crate) fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
