//! How far the request under way reaches: set by authorization around the handler, and asked where objects are shown and
//! documents are written.
//!
//! It travels with the task and not with the arguments, so that a handler which is added later, and forgets it, is
//! still held: every document that is written goes through `document::check`, which asks here. What no request asked for
//! (the daemon's own work) reaches everything.

use std::future::Future;

use super::policy::{Labels, Scope};
use crate::error::ApiError;

tokio::task_local! {
    static CURRENT: Within;
}

/// What a request may reach.
#[derive(Debug, Clone)]
pub(crate) struct Within {
    pub(crate) scope: Scope,
    /// What is said where it ends.
    pub(crate) refusal: String,
}

/// Runs a handler within a scope.
pub(super) async fn within<T>(scope: Scope, refusal: String, handler: impl Future<Output = T>) -> T {
    CURRENT.scope(Within { scope, refusal }, handler).await
}

/// The scope of the request under way.
pub(crate) fn current() -> Scope {
    CURRENT.try_with(|within| within.scope.clone()).unwrap_or(Scope::Everything)
}

/// Refuses to make, or to make of something, an environment with such labels: whoever may write only some environments
/// must not take another one, nor let one out of hand.
pub(crate) fn check_labels(labels: &Labels) -> Result<(), ApiError> {
    CURRENT
        .try_with(|within| {
            if within.scope.permits_labels(labels) {
                return Ok(());
            }
            let message = format!("{}, before and after the change", within.refusal);
            Err(ApiError::new(http::StatusCode::FORBIDDEN, "Forbidden", message))
        })
        .unwrap_or(Ok(()))
}
