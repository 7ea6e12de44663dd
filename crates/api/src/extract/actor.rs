//! Who asks, as authentication found out: the author of what is written.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::access::Identity;

/// Who asks: the author of revisions, changes and approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let name = parts.extensions.get::<Identity>().map_or("anonymous", |identity| &identity.name);
        Ok(Self(name.to_owned()))
    }
}
