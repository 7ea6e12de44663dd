//! Discovery: which kinds there are, under which names, and what can be done with them. Everything here and in `openapi`
//! comes from the one table in `resources`.

mod documents;
pub(crate) mod resources;

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_TYPE, VARY};
use serde_json::Value;

use crate::error::ApiError;
use crate::extract::Accept;

/// `GET /api`
pub(crate) async fn core(accept: Accept) -> Response {
    negotiated(&accept, documents::core_versions(), documents::aggregated_core)
}

/// `GET /apis`
pub(crate) async fn groups(accept: Accept) -> Response {
    negotiated(&accept, documents::groups(), documents::aggregated_groups)
}

/// `GET /apis/{group}`
pub(crate) async fn group(Path(name): Path<String>) -> Result<Response, ApiError> {
    let found = documents::group(&name).ok_or_else(|| no_such_path(&format!("/apis/{name}")))?;
    Ok(Json(found).into_response())
}

/// `GET /api/v1`
pub(crate) async fn core_resources() -> Json<Value> {
    Json(documents::resources("v1"))
}

/// `GET /apis/eventchain.io/v1`
pub(crate) async fn group_resources() -> Json<Value> {
    Json(documents::resources(crate::wire::API_VERSION))
}

/// `GET /apis/authentication.k8s.io/v1`
pub(crate) async fn authentication_resources() -> Json<Value> {
    Json(documents::reviews(resources::AUTHENTICATION))
}

/// `GET /apis/authorization.k8s.io/v1`
pub(crate) async fn authorization_resources() -> Json<Value> {
    Json(documents::reviews(resources::AUTHORIZATION))
}

fn no_such_path(path: &str) -> ApiError {
    ApiError::new(http::StatusCode::NOT_FOUND, "NotFound", format!("the path {path:?} is not served"))
}

fn negotiated(accept: &Accept, plain: Value, aggregated: impl Fn(&str) -> Value) -> Response {
    let version = accept.aggregated_discovery().filter(|version| ["v2", "v2beta1"].contains(version));
    let mut response = match version {
        None => Json(plain).into_response(),
        Some(version) => {
            let mut response = Json(aggregated(version)).into_response();
            // Clients look at the parameters of this type to tell the two documents apart.
            let media = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
            if let Ok(media) = HeaderValue::try_from(media) {
                response.headers_mut().insert(CONTENT_TYPE, media);
            }
            response
        }
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}
