//! Requests that were refused because of who asks: told in the audit trail, bursts with a count.
//!
//! The first refusal of its sort is told at once. What repeats it within a minute is counted, and told as one entry when
//! the minute is over. So a client that tries without end costs one entry a minute, and memory for so many sorts at most.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use store::{Origin, Refusal};
use telemetry::ErrorChain;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::discovery::resources;
use crate::extract::{Name, RequestId, origin};
use crate::state::ApiState;

/// Repetitions are gathered for so long.
const WINDOW: Duration = Duration::from_secs(60);
/// Sorts of refusals that are told apart; what comes on top is counted together.
const MOST_SORTS: usize = 512;

/// Of whom it is told what was counted together.
const MANY: &str = "system:many";

/// What makes two refusals the same: code, actor, address, verb and route.
type Sort = (u16, String, Option<String>, String, String);

/// Refusals that are being counted.
#[derive(Debug, Clone)]
pub(crate) struct Refusals {
    counts: Arc<Mutex<BTreeMap<Sort, u64>>>,
    stop: CancellationToken,
}

impl Refusals {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { counts: Arc::default(), stop }
    }

    /// Whether this is the first of its sort within a minute; counts it otherwise.
    fn is_first(&self, sort: &Sort) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(sort) {
            *count += 1;
            return false;
        }
        counts.insert(sort.clone(), 0);
        true
    }

    /// Whether a refusal of this sort has no place of its own.
    fn overflows(&self, sort: &Sort) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.len() >= MOST_SORTS && !counts.contains_key(sort)
    }

    fn take(&self, sort: &Sort) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(sort).unwrap_or(0)
    }

    async fn tell(&self, state: Arc<ApiState>, mut origin: Origin, mut refusal: Refusal, route: &str) {
        let mut sort =
            (refusal.code, origin.actor.clone(), origin.address.clone(), refusal.verb.clone(), route.to_owned());
        if self.overflows(&sort) {
            // Many try, or one under many names: counted together, and said of nobody.
            sort = (refusal.code, String::new(), None, String::new(), String::new());
            refusal =
                Refusal { code: refusal.code, message: refusal.message, count: refusal.count, ..Refusal::default() };
            origin = Origin { actor: MANY.to_owned(), groups: Vec::new(), address: None, user_agent: None, ..origin };
        }
        if !self.is_first(&sort) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let store = state.store.acting_as(origin);
            write(&store, &refusal).await;
            // Both arms are cancel safe.
            tokio::select! {
                () = this.stop.cancelled() => {}
                () = tokio::time::sleep(WINDOW) => {}
            }
            refusal.count = this.take(&sort);
            if refusal.count > 0 {
                write(&store, &refusal).await;
            }
        });
    }
}

async fn write(store: &store::Store, refusal: &Refusal) {
    if let Err(error) = store.record_refusal(refusal).await {
        tracing::warn!(error = %ErrorChain(&error), code = refusal.code, "a refusal could not be told in the audit trail");
    }
}

/// Tells of 403: who asks is known here.
pub(crate) async fn forbidden(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    refused(state, request, next, StatusCode::FORBIDDEN).await
}

/// Gives the request its id, which the answer shows, and tells of 401: nobody knows who asks.
pub(crate) async fn anonymous(State(state): State<Arc<ApiState>>, mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4();
    request.extensions_mut().insert(RequestId(id));
    let mut response = refused(state, request, next, StatusCode::UNAUTHORIZED).await;
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert("audit-id", id);
    }
    response
}

async fn refused(state: Arc<ApiState>, request: Request, next: Next, code: StatusCode) -> Response {
    let (mut parts, body) = request.into_parts();
    let origin = origin(&mut parts, &state).await;
    let route = parts.extensions.get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let asked = asked(&mut parts, &route).await;
    let response = next.run(Request::from_parts(parts, body)).await;
    if response.status() == code {
        let refusal = Refusal {
            code: code.as_u16(),
            message: code.canonical_reason().unwrap_or_default().to_owned(),
            count: 1,
            ..asked
        };
        let refusals = state.refusals.clone();
        refusals.tell(state, origin, refusal, &route).await;
    }
    response
}

/// What was asked for, by method and route.
async fn asked(parts: &mut Parts, route: &str) -> Refusal {
    use axum::extract::FromRequestParts as _;
    let name = Name::from_request_parts(parts, &()).await.map(|Name(name)| name).unwrap_or_default();
    let path = route.strip_prefix("/apis/eventchain.io/v1/").or_else(|| route.strip_prefix("/api/v1/"));
    let path = path.map(|path| path.strip_prefix("namespaces/{namespace}/").unwrap_or(path));
    let mut segments = path.unwrap_or_default().split('/');
    let plural = segments.next().unwrap_or_default();
    let below = segments.nth(1);
    let resource = resources::ALL.iter().find(|resource| resource.plural == plural);
    let kind = resource.map_or("", |resource| resource.kind.name());
    let verb = match (&parts.method, below) {
        (&Method::POST, Some(below)) => below.to_owned(),
        (&Method::POST, None) => "create".to_owned(),
        (&Method::PUT, _) => "update".to_owned(),
        (&Method::PATCH, _) => "patch".to_owned(),
        (&Method::DELETE, _) => "delete".to_owned(),
        _ if name.is_empty() => "list".to_owned(),
        _ => "get".to_owned(),
    };
    let environment = if kind == model::env::KIND { name.clone() } else { String::new() };
    Refusal { verb, kind: kind.to_owned(), name, environment, code: 0, message: String::new(), count: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_all_places_are_taken_what_has_one_keeps_it_and_what_is_new_has_none() {
        let refusals = Refusals::new(CancellationToken::new());
        let sort = |n: usize| (403, format!("user-{n}"), None, "get".to_owned(), "environments".to_owned());
        for n in 0..MOST_SORTS {
            assert!(!refusals.overflows(&sort(n)) && refusals.is_first(&sort(n)));
        }
        assert!(!refusals.overflows(&sort(0)) && !refusals.is_first(&sort(0)));
        assert!(refusals.overflows(&sort(MOST_SORTS)));
        assert_eq!(refusals.take(&sort(0)), 1);
        assert!(!refusals.overflows(&sort(MOST_SORTS)), "a place is free again");
    }
}
