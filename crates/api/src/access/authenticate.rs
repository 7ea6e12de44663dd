//! In front of every route of the API: who asks, proved by a bearer token. Probes and metrics stay open.
//!
//! No answer and no line of the log repeats a token, and none says whether a user exists.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use telemetry::AuthOutcome;

use super::identity::{ClientAddress, Identity, SYSTEM};
use super::oidc::{self, Why};
use super::tokens::{self, Found};
use super::{Access, Checks, rates};
use crate::error::ApiError;
use crate::state::ApiState;

/// Header in which a proxy names the user, where there is no authentication.
const REMOTE_USER: &str = "x-remote-user";
/// Longer names are cut: they end in revisions and approvals.
pub(super) const LONGEST_NAME: usize = 128;
/// Longer tokens are none: an OIDC token with many groups has a few kilobytes.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Why it is not known who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unknown {
    /// There are no credentials.
    Missing,
    /// They prove nothing.
    Refused,
    /// They did, and do no longer.
    Expired,
    /// Too many were refused: try again after so many seconds.
    TooMany(i32),
    /// They cannot be checked now: the issuer's fault, and not the client's.
    Unchecked,
}

impl Unknown {
    fn outcome(&self) -> AuthOutcome {
        match self {
            Self::Missing => AuthOutcome::Missing,
            Self::Refused => AuthOutcome::Refused,
            Self::Expired => AuthOutcome::Expired,
            Self::TooMany(_) => AuthOutcome::TooMany,
            Self::Unchecked => AuthOutcome::Unavailable,
        }
    }
}

impl IntoResponse for Unknown {
    fn into_response(self) -> Response {
        let message = match self {
            Self::Missing => "Unauthorized: send the header Authorization: Bearer <token>",
            Self::Refused => "Unauthorized: the token is not accepted",
            Self::Expired => "Unauthorized: the token has expired",
            Self::TooMany(seconds) => {
                let message = "too many tokens from this address were refused; try again shortly";
                let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
                return error.retry_after(seconds).into_response();
            }
            Self::Unchecked => {
                let message = "the token cannot be checked now; try again shortly";
                return ApiError::unavailable(message).retry_after(1).into_response();
            }
        };
        let mut response = ApiError::new(StatusCode::UNAUTHORIZED, "Unauthorized", message).into_response();
        let challenge = HeaderValue::from_static("Bearer realm=\"eventchain-operator\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        response
    }
}

/// Finds out who asks, and puts it into the extensions.
pub(crate) async fn authenticate(State(state): State<Arc<ApiState>>, mut request: Request, next: Next) -> Response {
    let access = Arc::clone(&state.access);
    let address = access.client_address(request.extensions(), request.headers());
    if let Some(address) = address {
        request.extensions_mut().insert(ClientAddress(address));
    }
    let identity = match &access.checks {
        None => Identity::unchecked(remote_user(request.headers())),
        Some(checks) => match identify(&access, checks, request.headers(), (address, state.now())).await {
            Ok(identity) => identity,
            Err(unknown) => {
                tracing::debug!(?unknown, client = ?address, "a request was not authenticated");
                return unknown.into_response();
            }
        },
    };
    tracing::Span::current().record("user", &identity.name);
    if let Some(checks) = &access.checks
        && let Err(seconds) = checks.take(&identity.name)
    {
        let message = "too many requests of this user; try again shortly";
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
        return error.retry_after(seconds).into_response();
    }
    request.extensions_mut().insert(identity);
    next.run(request).await
}

/// Who asks, by the header `Authorization`.
async fn identify(
    access: &Access,
    checks: &Checks,
    headers: &HeaderMap,
    (address, now): (Option<IpAddr>, Timestamp),
) -> Result<Identity, Unknown> {
    let found = match bearer(headers) {
        Ok(token) => checked(access, checks, token, (address, now)).await,
        Err(unknown) => Err(unknown),
    };
    let outcome = found.as_ref().map_or_else(Unknown::outcome, |_| AuthOutcome::Known);
    let how = found.as_ref().map_or("none", |identity| identity.how.into());
    access.metrics.authenticated(how, outcome);
    found
}

async fn checked(
    access: &Access,
    checks: &Checks,
    token: &str,
    (address, now): (Option<IpAddr>, Timestamp),
) -> Result<Identity, Unknown> {
    let (unknown, why) = match tokens::find(&checks.tokens, token, now) {
        Found::Valid(identity) => return Ok(identity),
        Found::Expired => (Unknown::Expired, None),
        Found::Unknown if checks.oidc.is_ours(token) => match checks.oidc.check(token, now).await {
            oidc::Found::Valid(identity) => return Ok(identity),
            oidc::Found::Refused(why @ Why::Expired) => (Unknown::Expired, Some(why)),
            oidc::Found::Refused(why) => (Unknown::Refused, Some(why)),
            oidc::Found::Unavailable => return Err(Unknown::Unchecked),
        },
        Found::Unknown => (Unknown::Refused, None),
    };
    // A refusal is counted before it is told: whoever guesses learns nothing faster than the bucket fills.
    if let Some(address) = address
        && let Err(seconds) = checks.refused(&rates::origin(address))
    {
        return Err(Unknown::TooMany(seconds));
    }
    if let Some(why) = why {
        let reason = <&str>::from(why);
        access.metrics.oidc_refused(reason);
        // After the bucket: nobody fills the log.
        tracing::info!(reason, client = ?address, "a token of an OIDC issuer was refused");
    }
    Err(unknown)
}

/// The one bearer token.
fn bearer(headers: &HeaderMap) -> Result<&str, Unknown> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(if headers.contains_key(AUTHORIZATION) { Unknown::Refused } else { Unknown::Missing });
    };
    let text = value.to_str().map_err(|_| Unknown::Refused)?;
    let (scheme, token) = text.split_once(' ').ok_or(Unknown::Refused)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > LONGEST_TOKEN {
        return Err(Unknown::Refused);
    }
    Ok(token)
}

/// Who asks where nobody checks: whoever stands in front of the daemon says so.
fn remote_user(headers: &HeaderMap) -> String {
    let named = headers.get(REMOTE_USER).and_then(|value| value.to_str().ok()).map(str::trim);
    let name = named.filter(|name| !name.is_empty() && !name.starts_with(SYSTEM)).unwrap_or("anonymous");
    name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::How;

    #[test]
    fn one_bearer_token_is_taken_and_nothing_else() {
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with(&["Bearer abc"]), Ok("abc".to_owned()));
        assert_eq!(with(&["bearer  abc "]), Ok("abc".to_owned()));
        assert_eq!(with(&[]), Err(Unknown::Missing));
        for bad in [&["Bearer"][..], &["Bearer "], &["Basic abc"], &["abc"], &["Bearer a", "Bearer b"]] {
            assert_eq!(with(bad), Err(Unknown::Refused), "{bad:?}");
        }
        assert_eq!(with(&[&format!("Bearer {}", "x".repeat(LONGEST_TOKEN + 1))]), Err(Unknown::Refused));
    }

    #[test]
    fn a_header_names_nobody_of_the_daemons_own() {
        let named =
            |name: &str| remote_user(&HeaderMap::from_iter([(REMOTE_USER.parse().unwrap(), name.parse().unwrap())]));
        assert_eq!(named(" alice "), "alice");
        assert_eq!(named("system:drift"), "anonymous");
        assert_eq!(remote_user(&HeaderMap::new()), "anonymous");
        assert_eq!(named(&"x".repeat(500)).len(), LONGEST_NAME);
    }

    #[test]
    fn how_is_told_in_closed_words() {
        assert_eq!(<&str>::from(How::Token), "token");
    }
}
