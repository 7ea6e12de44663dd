//! Who asks. Until there is authentication, whoever stands in front of the daemon says so in a header; authentication
//! will fill the same type.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

/// Header in which a proxy names the user.
const REMOTE_USER: &str = "x-remote-user";
/// Longer names are cut: they end in revisions and approvals.
const LONGEST: usize = 128;

/// Who asks: the author of revisions, changes and approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let named = parts.headers.get(REMOTE_USER).and_then(|value| value.to_str().ok()).map(str::trim);
        // `system:` names are the daemon's own: nobody may borrow one.
        let name = named.filter(|name| !name.is_empty() && !name.starts_with("system:")).unwrap_or("anonymous");
        Ok(Self(name.chars().filter(|c| !c.is_control()).take(LONGEST).collect()))
    }
}
