//! The state in the name of whoever asks: what a handler writes through it is told in the audit trail as theirs.
//! Every handler that writes takes this instead of the bare state.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, OriginalUri};
use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderMap, Method};
use store::Origin;
use uuid::Uuid;

use super::Actor;
use crate::access::Identity;
use crate::error::ApiError;
use crate::state::ApiState;

/// A client may call itself anything; so much of it is kept.
const LONGEST_AGENT: usize = 256;
/// So much of a path is kept: names have 63 letters.
const LONGEST_REQUEST: usize = 512;

/// The id of a request, as the header `Audit-Id` of its answer tells it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(pub(crate) Uuid);

/// The state in the name of whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Acting(pub(crate) Arc<ApiState>);

impl FromRequestParts<Arc<ApiState>> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Self, ApiError> {
        let origin = origin(parts, state).await;
        Ok(Self(Arc::new(ApiState { store: state.store.acting_as(origin), ..ApiState::clone(state) })))
    }
}

/// Who asks, from where, for what.
pub(crate) async fn origin(parts: &mut Parts, state: &ApiState) -> Origin {
    let Ok(Actor(actor)) = Actor::from_request_parts(parts, &()).await;
    // Within a nested router the path is what is left of it.
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
    let request = format!("{} {}", parts.method, uri.path());
    Origin {
        actor,
        groups: parts.extensions.get::<Identity>().map(|identity| identity.groups.clone()).unwrap_or_default(),
        address: state.access.client_address(&parts.extensions, &parts.headers).map(|address| address.to_string()),
        user_agent: agent(&parts.headers),
        request_id: parts.extensions.get::<RequestId>().map(|RequestId(id)| *id),
        request: Some(request.chars().take(LONGEST_REQUEST).collect()),
        verb: parts.extensions.get::<MatchedPath>().and_then(|route| verb(&parts.method, route.as_str())),
        at: state.now(),
    }
}

fn agent(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(agent.chars().filter(|c| !c.is_control()).take(LONGEST_AGENT).collect())
}

/// What is asked for, where what is written does not tell.
fn verb(method: &Method, route: &str) -> Option<&'static str> {
    let last = route.rsplit('/').next().unwrap_or_default();
    match last {
        "approve" => Some("approve"),
        "reject" => Some("reject"),
        "rollback" => Some("rollback"),
        _ if method == Method::PATCH => Some("patch"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_tells_what_the_write_does_not() {
        assert_eq!(verb(&Method::POST, "/apis/eventchain.io/v1/environments/{name}/rollback"), Some("rollback"));
        assert_eq!(verb(&Method::PATCH, "/apis/eventchain.io/v1/environments/{name}"), Some("patch"));
        assert_eq!(verb(&Method::POST, "/apis/eventchain.io/v1/changes"), None);
    }
}
