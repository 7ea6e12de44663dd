//! In front of every handler: whether whoever asks may do what he asks for, and for which environments.
//!
//! An object that somebody may not see is 403 by its name, as in Kubernetes, with the reason; nothing of it is told. Lists
//! and watches are answered, and show what may be seen (`lists`, `watch`).

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use uuid::Uuid;

use super::asked::{self, Asked};
use super::identity::Identity;
use super::policy::{Action, Labels, Object, Policy, Scope, forbidden};
use super::scope::within;
use crate::discovery::resources;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Name, Params};
use crate::objects::Kind;
use crate::state::ApiState;
use crate::watch;
use crate::wire::GROUP;

/// Lets a request through, within the environments that it may reach.
pub(crate) async fn authorize(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    let Some(policy) = state.access.policy() else { return next.run(request).await };
    let Some(who) = request.extensions().get::<Identity>().cloned() else {
        // The routes are put together wrongly: nobody gets in.
        return ApiError::internal("a request came to authorization without an identity").into_response();
    };
    let (mut parts, body) = request.into_parts();
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let name = Name::from_request_parts(&mut parts, &()).await.ok().map(|Name(name)| name);
    // A query that cannot be read is refused by the handler.
    let params = Params::from_request_parts(&mut parts, &()).await.unwrap_or_default();
    let watch = watch::asked(&params).unwrap_or_default();
    let asked = asked::asked(&parts.method, &route, name.as_deref(), watch);
    let request = Request::from_parts(parts, body);
    match allowed(&state, policy, &who, &asked).await {
        Ok((scope, refusal)) => within(scope, refusal, next.run(request)).await,
        Err(error) => {
            if error.code() == StatusCode::FORBIDDEN {
                state.access.metrics.forbidden();
                tracing::info!(user = who.name, "{}", error.message());
            }
            error.into_response()
        }
    }
}

/// For which environments the request may be served, and what is said where that ends.
async fn allowed(state: &ApiState, policy: &Policy, who: &Identity, asked: &Asked) -> ApiResult<(Scope, String)> {
    let action = match asked {
        Asked::Shared => return Ok((Scope::Everything, String::new())),
        Asked::Index => Action::new("list", GROUP, "environments", ""),
        Asked::Path(path) => Action::new("use", "", path, ""),
        Asked::Resource(action) => action.clone(),
    };
    let refuse = |why: String| ApiError::new(StatusCode::FORBIDDEN, "Forbidden", forbidden(who, &action, &why));
    policy.decide(who, &action, Object::Some).map_err(refuse)?;
    let scope = policy.scope(who, &action);
    let limited = || refuse(format!("their roles allow it only where {}", scope.said())).message().to_owned();
    if scope.is_everything() {
        return Ok((scope, String::new()));
    }
    match (belonging(&action), &action.name) {
        // What is no part of an environment is all of the installation's.
        (Belonging::Installation, _) => policy.decide(who, &action, Object::Installation).map_err(refuse)?,
        (Belonging::Environment(kind), Some(name)) => {
            let found = match find(state, kind, name).await? {
                // The handler says so, or makes it.
                Found::Nothing => return Ok((scope.clone(), limited())),
                Found::Of(labels) => Some(labels),
                Found::OfNone => None,
            };
            let object = found.as_ref().map_or(Object::Installation, Object::Of);
            policy.decide(who, &action, object).map_err(refuse)?;
        }
        (Belonging::Environment(_) | Belonging::Everybody, _) => {}
    }
    Ok((scope.clone(), limited()))
}

/// To what the objects of a resource belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belonging {
    /// To an environment, or they are one.
    Environment(Kind),
    /// To nobody in particular.
    Everybody,
    /// To the installation.
    Installation,
}

pub(super) fn belonging(action: &Action) -> Belonging {
    let group = |kind: Kind| if [Kind::Event, Kind::Namespace].contains(&kind) { "" } else { GROUP };
    let resource = resources::ALL.iter().find(|one| one.plural == action.resource && group(one.kind) == action.group);
    match resource.map(|resource| resource.kind) {
        // One of them is read alone; a list of them shows none to those who may see some environments.
        Some(Kind::Operator) if action.name.is_none() => Belonging::Everybody,
        Some(Kind::Namespace) => Belonging::Everybody,
        Some(Kind::Operator) | None => Belonging::Installation,
        Some(kind) => Belonging::Environment(kind),
    }
}

/// An object, as far as it matters who may reach it.
pub(super) enum Found {
    /// There is none.
    Nothing,
    /// It is, or belongs to, an environment with these labels.
    Of(Labels),
    /// It belongs to no environment that there is.
    OfNone,
}

/// Finds an object's environment.
pub(super) async fn find(state: &ApiState, kind: Kind, name: &str) -> ApiResult<Found> {
    let store = &state.store;
    let uid = match kind {
        Kind::Environment => store.get_environment(name).await.map(|row| Some(row.uid)),
        Kind::Change => store.get_change(name).await.map(|row| row.environment_uid),
        Kind::ManagedResource => store.get_resource(name).await.map(|row| Some(row.environment_uid)),
        Kind::Revision => match name.rsplit_once('-').and_then(|(name, number)| Some((name, number.parse().ok()?))) {
            Some((environment, number)) => {
                store.get_revision(environment, number).await.map(|row| Some(row.environment_uid))
            }
            None => return Ok(Found::Nothing),
        },
        Kind::Event => {
            let filter = store::EventFilter { name: Some(name.to_owned()), ..store::EventFilter::default() };
            match store.recent_events(&filter, 1).await {
                Ok(found) => match found.into_iter().next() {
                    Some(event) => Ok(event.environment_uid),
                    None => return Ok(Found::Nothing),
                },
                Err(error) => Err(error),
            }
        }
        Kind::AuditEntry => match name.parse() {
            Ok(sequence) => store.get_audit(sequence).await.map(|row| row.environment_uid),
            Err(_) => return Ok(Found::Nothing),
        },
        Kind::Operator | Kind::Namespace => Ok(None),
    };
    match uid {
        Err(store::Error::NotFound { .. }) => Ok(Found::Nothing),
        Err(error) => Err(error.into()),
        Ok(None) => Ok(Found::OfNone),
        Ok(Some(uid)) => of_environment(state, uid).await,
    }
}

async fn of_environment(state: &ApiState, uid: Uuid) -> ApiResult<Found> {
    match state.store.get_environment_by_uid(uid).await {
        Ok(row) => Ok(Found::Of(row.labels)),
        Err(store::Error::NotFound { .. }) => Ok(Found::OfNone),
        Err(error) => Err(error.into()),
    }
}
