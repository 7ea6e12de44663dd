//! Bodies: within the size limit, in time, and decoded by their content type.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use std::sync::Arc;

use crate::decode::{self, Media};
use crate::error::{ApiError, ApiResult};
use crate::json_patch::JsonPatch;
use crate::state::ApiState;

/// The types in which a document may be sent.
const DOCUMENT_TYPES: &str = "application/json or application/yaml";

/// A decoded document. No body at all is `Null`.
#[derive(Debug, Clone)]
pub(crate) struct Body(pub(crate) Value);

/// A decoded patch.
#[derive(Debug, Clone)]
pub(crate) enum Patch {
    /// RFC 7386.
    Merge(Value),
    /// RFC 6902.
    Json(JsonPatch),
    /// Server-side apply: what its manager wants.
    Apply(Value),
}

impl Patch {
    /// For what takes merge patches alone.
    pub(crate) fn into_merge(self) -> ApiResult<Value> {
        match self {
            Self::Merge(patch) => Ok(patch),
            Self::Json(_) | Self::Apply(_) => Err(unknown_patch("application/merge-patch+json")),
        }
    }
}

/// In Kubernetes' words.
fn unknown_patch(accepted: &str) -> ApiError {
    let message =
        format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
}

/// The patches of an Environment.
const PATCH_TYPES: &str = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

impl FromRequest<Arc<ApiState>> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Arc<ApiState>) -> ApiResult<Self> {
        let (media, bytes) = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(Value::Null));
        }
        let unsupported = |what: &str| {
            let message = format!("{what}: send the header Content-Type: {DOCUMENT_TYPES}");
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
        };
        match media {
            // Clients that say nothing mean JSON.
            Media::Json | Media::MergePatch | Media::Missing => decoded(decode::json, bytes).await,
            Media::Yaml => decoded(decode::yaml, bytes).await,
            Media::Form => decode::json(&bytes).map_err(|_| unsupported("the body was sent as a form and is not JSON")),
            Media::JsonPatch | Media::StrategicMergePatch | Media::ApplyPatch => {
                Err(unsupported("a patch is not understood here"))
            }
            Media::Other(other) => Err(unsupported(&format!("{other} is not understood"))),
        }
        .map(Self)
    }
}

impl FromRequest<Arc<ApiState>> for Patch {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Arc<ApiState>) -> ApiResult<Self> {
        let (media, bytes) = read(request, state).await?;
        let unsupported = |what: &str| {
            let message = format!("{what}: send the header Content-Type: application/merge-patch+json");
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
        };
        match media {
            // A merge patch is JSON; someone with curl may call it that, or nothing.
            Media::MergePatch | Media::Json | Media::Missing => decoded(decode::json, bytes).await,
            Media::Yaml => decoded(decode::yaml, bytes).await,
            Media::Form => decode::json(&bytes).map_err(|_| unsupported("the body was sent as a form and is not JSON")),
            Media::JsonPatch => {
                let body = decoded(decode::json, bytes).await?;
                return JsonPatch::decode(&body).map(Self::Json).map_err(ApiError::bad_request);
            }
            // YAML by its name, and YAML reads JSON too.
            Media::ApplyPatch => return decoded(decode::yaml, bytes).await.map(Self::Apply),
            Media::StrategicMergePatch | Media::Other(_) => Err(unknown_patch(PATCH_TYPES)),
        }
        .and_then(|patch| {
            // Some clients call a JSON patch a merge patch; as one it would replace the whole object.
            if patch.is_array() {
                let rule = "a merge patch must be an object; a list of operations is application/json-patch+json";
                return Err(ApiError::bad_request(rule));
            }
            Ok(Self::Merge(patch))
        })
    }
}

/// Decodes where nobody else waits: a large body takes its time.
async fn decoded(decode: fn(&[u8]) -> Result<Value, String>, bytes: Bytes) -> ApiResult<Value> {
    let decoding = move || decode(&bytes).map_err(ApiError::bad_request);
    tokio::task::spawn_blocking(decoding).await.map_err(ApiError::internal)?
}

/// The bytes of a body, and how it says it is written.
pub(crate) async fn read(request: Request, state: &ApiState) -> ApiResult<(Media, Bytes)> {
    let limit = state.config.max_body_bytes;
    let too_large = || {
        let message = format!("the body is longer than {limit} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    };
    let (head, body) = request.into_parts();
    let header = |name| head.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let announced = header(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let media = Media::parse(header(CONTENT_TYPE));
    let collected = tokio::time::timeout(state.config.body_timeout, Limited::new(body, limit).collect());
    match collected.await {
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "Timeout", "the body did not arrive in time")),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::bad_request("the body could not be read")),
        Ok(Ok(body)) => Ok((media, body.to_bytes())),
    }
}
