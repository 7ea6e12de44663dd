//! How something is asked for: the parameters, and the form of the answer.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{Accept, Params};
use crate::access::sight::Sight;
use crate::access::{How, Identity, scope};
use crate::error::{ApiError, ApiResult};
use crate::tables::{Include, Printing};

/// How something is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asking {
    pub(crate) params: Params,
    pub(crate) accept: Accept,
    /// What may be shown.
    pub(crate) sight: Sight,
}

impl Asking {
    /// How tables are to be made, if one is asked for.
    pub(crate) fn printing(&self) -> ApiResult<Option<Printing>> {
        let Some(version) = self.accept.table() else { return Ok(None) };
        Ok(Some(Printing { version: version.to_owned(), include: Include::from(&self.params)? }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = Params::from_request_parts(parts, state).await?;
        let Ok(accept) = Accept::from_request_parts(parts, state).await;
        let identity = parts.extensions.get::<Identity>().filter(|identity| identity.how != How::Unchecked);
        let sight = Sight {
            scope: scope::current(),
            until: identity.and_then(|identity| identity.expires_at),
            user: identity.map(|identity| identity.name.clone()),
        };
        Ok(Self { params, accept, sight })
    }
}
