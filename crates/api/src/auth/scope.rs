//! What a caller may see: everything, or some environments and what belongs to them.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

/// What a caller may see. Put into the request by the access layer; without one there, nothing is restricted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything.
    #[default]
    All,
    /// These environments, by name, and what belongs to them.
    Environments(Arc<BTreeSet<String>>),
}

impl Scope {
    /// Whether what belongs to an environment may be seen. Nothing belongs to the empty name but the installation.
    pub(crate) fn permits(&self, environment: &str) -> bool {
        match self {
            Self::All => true,
            Self::Environments(names) => environment.is_empty() || names.contains(environment),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
