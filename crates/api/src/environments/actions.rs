//! What can be done with an environment besides changing its spec: reconcile, pause, resume, roll back.

use std::time::Duration;

use axum::Json;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use model::Span;
use model::parse::parse;
use model::problem::{Problems, Reason};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::{Pause, Precondition, RequestKind};
use uuid::Uuid;

use super::edit::{self, Edit, document_of, if_match};
use super::read;
use crate::access::scope;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Acting, Actor, Body, Name, Params};
use crate::happened::{About, happened};
use crate::state::ApiState;
use crate::{owner, wire};

/// A small body, read strictly. None at all counts as an empty one.
pub(crate) fn input<T: DeserializeOwned>(kind: &'static str, name: &str, body: Value) -> ApiResult<T> {
    let body = if body.is_null() { json!({}) } else { body };
    let (read, problems) = parse::<T>(body);
    match read {
        Some(read) if problems.is_empty() => Ok(read),
        _ => Err(ApiError::invalid(kind, name, problems)),
    }
}

/// `POST environments/{name}/reconcile?wait=30s`: look and converge now. With `?token=` an earlier request is asked
/// about.
pub(crate) async fn reconcile(Acting(state): Acting, Name(name): Name, params: Params) -> ApiResult {
    let wait = params.duration("wait")?.unwrap_or_default().min(state.config.longest_wait);
    let row = state.store.get_environment(&name).await?;
    let token = match params.text("token") {
        Some(token) => token
            .parse::<Uuid>()
            .map_err(|_| ApiError::field("token", Reason::FieldValueInvalid, "is not one that this server gave out"))?,
        None => {
            let place = (row.account.as_str(), name.as_str());
            owner::ask(&state, place, RequestKind::Reconcile, json!({}), wait).await?
        }
    };
    let answer = if wait == Duration::ZERO {
        state.store.request_answer(token).await?
    } else {
        state.store.wait_for_answer(token, wait).await?
    };
    let code = if answer.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut shown = json!({
        "apiVersion": wire::API_VERSION,
        "kind": "Reconcile",
        "metadata": { "name": name },
        "token": token,
        "handled": answer.is_some(),
    });
    if let Some(answer) = answer {
        for field in ["status", "deleted", "error"] {
            if let Some(value) = answer.get(field) {
                shown[field] = value.clone();
            }
        }
    }
    Ok((code, Json(shown)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PauseInput {
    reason: String,
    #[serde(default)]
    until: Option<Timestamp>,
    #[serde(default)]
    duration: Option<Span>,
}

impl PauseInput {
    /// When it ends, if it ends by itself.
    fn until(&self, now: Timestamp) -> Result<Option<Timestamp>, Problems> {
        let mut problems = Problems::default();
        if self.reason.trim().is_empty() || self.reason.len() > 1024 || self.reason.contains('\0') {
            problems.add("reason", Reason::FieldValueInvalid, "must be text of at most 1024 bytes");
        }
        if self.until.is_some() && self.duration.is_some() {
            problems.add("duration", Reason::FieldValueForbidden, "give until or duration, not both");
        }
        let until = match (self.until, self.duration) {
            (Some(until), _) => Some(until),
            (None, Some(span)) => now.checked_add(SignedDuration::from_secs(span.as_secs().into())).ok(),
            (None, None) => None,
        };
        if until.is_some_and(|until| until <= now) {
            let field = if self.until.is_some() { "until" } else { "duration" };
            problems.add(field, Reason::FieldValueInvalid, "must be in the future");
        }
        problems.into_result(until)
    }
}

/// `POST environments/{name}/pause` with `{"reason", "until" | "duration"}`.
pub(crate) async fn pause(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    Body(body): Body,
) -> ApiResult {
    let wanted: PauseInput = input("Pause", &name, body)?;
    let now = state.now();
    let until = wanted.until(now).map_err(|problems| ApiError::invalid("Pause", &name, problems))?;
    let until = until.and_then(|until| Timestamp::from_microsecond(until.as_microsecond()).ok());
    let pause = Pause { reason: wanted.reason.trim().to_owned(), owner: actor.0, until, since: now };
    set_pause(&state, &name, &params, &headers, Pausing::Pause(pause)).await
}

/// `POST environments/{name}/resume`
pub(crate) async fn resume(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
) -> ApiResult {
    set_pause(&state, &name, &params, &headers, Pausing::Resume(actor)).await
}

/// What becomes of the pause.
enum Pausing {
    Pause(Pause),
    Resume(Actor),
}

impl Pausing {
    fn said(&self) -> (&'static str, String) {
        match self {
            Self::Pause(pause) => {
                ("PauseRequested", format!("{} paused reconciliation: {}", pause.owner, pause.reason))
            }
            Self::Resume(Actor(who)) => ("ResumeRequested", format!("{who} resumed reconciliation")),
        }
    }
}

async fn set_pause(state: &ApiState, name: &str, params: &Params, headers: &HeaderMap, pausing: Pausing) -> ApiResult {
    let (reason, message) = pausing.said();
    let pause = match pausing {
        Pausing::Pause(pause) => Some(pause),
        Pausing::Resume(_) => None,
    };
    let precondition = Precondition { resource_version: if_match(headers)?, ..Precondition::default() };
    let dry_run = params.dry_run()?;
    let mut row = state.store.get_environment(name).await?;
    // The same pause again is no change, whenever it was asked for.
    let same = |old: &Pause, new: &Pause| (&old.reason, &old.owner, old.until) == (&new.reason, &new.owner, new.until);
    let unchanged = match (&row.pause, &pause) {
        (None, None) => true,
        (Some(old), Some(new)) => same(old, new),
        _ => false,
    };
    if dry_run {
        row.pause = pause;
    } else if !unchanged || precondition.resource_version.is_some() {
        let pause = if unchanged { row.pause.clone() } else { pause };
        row = state.store.set_pause(name, precondition, pause.as_ref()).await?;
        if !unchanged {
            happened(state, About::Environment(&row), reason, message).await;
        }
    }
    read::answer(state, StatusCode::OK, &row, &[]).await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RollbackInput {
    revision: i64,
    #[serde(default)]
    message: Option<String>,
}

/// `POST environments/{name}/rollback` with `{"revision": 12}`: that spec, as a new revision.
pub(crate) async fn rollback(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    Body(body): Body,
) -> ApiResult {
    let wanted: RollbackInput = input("Rollback", &name, body)?;
    let mut edit = Edit::from(&params, &headers, actor.0)?;
    if let Some(said) = &wanted.message {
        edit.message = edit::message(said)?;
    }
    if edit.message.is_empty() {
        edit.message = format!("rollback to revision {}", wanted.revision);
    }
    let row = state.store.get_environment(&name).await?;
    let revision = match state.store.get_revision(&name, wanted.revision).await {
        // Whoever may reach only some environments does not reach the one that had this name before.
        Ok(other) if other.environment_uid != row.uid && !scope::current().is_everything() => {
            let rule = format!("Environment {name:?} has no revision {}", wanted.revision);
            return Err(ApiError::field("revision", Reason::FieldValueNotFound, rule));
        }
        Err(store::Error::NotFound { .. }) => {
            let rule = format!("Environment {name:?} has no revision {}", wanted.revision);
            return Err(ApiError::field("revision", Reason::FieldValueNotFound, rule));
        }
        other => other?,
    };
    let make = |row: &store::EnvironmentRow| {
        let mut document = document_of(row);
        document["spec"] = revision.spec.clone();
        Ok(document)
    };
    let edited = edit::edit(&state, &name, &edit, make).await?;
    Ok(read::edited(&state, &edited))
}
