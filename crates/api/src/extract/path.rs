//! The name in a path.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::error::ApiError;

/// The `{name}` of the route, percent-decoded. Whether an object of that name exists is another matter.
#[derive(Debug, Clone)]
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let unreadable = || ApiError::bad_request("the name in the path is no UTF-8");
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| unreadable())?;
        let name = params.iter().find(|(key, _)| *key == "name").map(|(_, value)| value.to_owned());
        // Postgres cannot compare with a NUL; no object has such a name.
        let name = name.filter(|name| !name.contains('\0'));
        name.map(Self).ok_or_else(unreadable)
    }
}
