//! What stands in front of the handlers: a span and a count for each request, a limit on requests at once, and answers
//! for what no handler answers.

use std::any::Any;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::ORIGIN;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::error::ApiError;
use crate::state::{ApiState, RequestSeen};

/// Requests that may be worked on at once.
#[derive(Debug, Clone)]
pub(crate) struct Limits(Arc<Semaphore>);

impl Limits {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }
}

/// Refuses what is too much at once, rather than let it queue up beyond its client's patience.
pub(crate) async fn limit(State(Limits(permits)): State<Limits>, request: Request, next: Next) -> Response {
    let Ok(_permit) = permits.try_acquire() else {
        let message = "too many requests at once; try again shortly";
        return ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).retry_after(1).into_response();
    };
    next.run(request).await
}

/// Refuses writes that a web page sends. Any page that a browser shows can send them to a loopback address, without its
/// reader's knowledge; only browsers say `Origin`, and no page of ours writes.
pub(crate) async fn no_pages(request: Request, next: Next) -> Response {
    if !request.method().is_safe() && request.headers().contains_key(ORIGIN) {
        let message = "a web page may not change anything here";
        return ApiError::new(StatusCode::FORBIDDEN, "Forbidden", message).into_response();
    }
    next.run(request).await
}

/// A span for each request, and its count and time for the metrics.
pub(crate) async fn observe(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    // The query is left out: it may hold what somebody typed by mistake.
    let span = tracing::info_span!("request", http.method = %method, http.route = route, http.path = request.uri().path(), user = tracing::field::Empty);
    let response = next.run(request).instrument(span.clone()).await;
    let (code, elapsed) = (response.status(), began.elapsed());
    span.in_scope(|| tracing::debug!(http.code = code.as_u16(), elapsed_ms = elapsed.as_millis(), "answered"));
    (state.on_request)(&RequestSeen { method: &method, route, code, elapsed });
    response
}

/// A handler panicked: a bug, told in the log and not to the client.
pub(crate) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    ApiError::internal(format!("a handler panicked: {}", text.unwrap_or("no message"))).into_response()
}

/// No such path.
pub(crate) async fn not_found(request: Request) -> Response {
    let message = format!("the path {:?} is not served", request.uri().path());
    ApiError::new(StatusCode::NOT_FOUND, "NotFound", message).into_response()
}

/// The path is served, with other methods.
pub(crate) async fn method_not_allowed(request: Request) -> Response {
    let message = format!("{} is not served on this path", request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).into_response()
}
