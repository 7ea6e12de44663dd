//! OpenAPI documents, made from the types that parse the spec and the table of resources: version 3 for people, `kubectl
//! explain` and validation; version 2, as protobuf too, for older kubectl. Made once, when they are first asked for.

mod page;
mod paths;
mod proto;
mod schemas;

use std::sync::LazyLock;

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::extract::Accept;
use crate::wire::API_VERSION;

pub(crate) use page::docs;

const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// The `@` of the request is no `@` in the answer: that is how Kubernetes spells it.
const PROTOBUF_ANSWER: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Lists of the spec whose items have a key, by the place of their schema: they are merged by it.
pub(crate) const LIST_KEYS: [(&str, &str); 2] = [
    ("/properties/loadBalancer/properties/listeners", "port"),
    ("/properties/database/properties/snapshots/properties/copyTo", "region"),
];

/// A document of version 3 as it is served, with its hash.
struct Document {
    text: Bytes,
    hash: String,
}

impl Document {
    fn new(value: &Value) -> Self {
        let text = value.to_string();
        let hash = hex::encode_upper(Sha256::digest(&text));
        Self { text: text.into(), hash }
    }
}

static GROUP: LazyLock<Document> = LazyLock::new(|| Document::new(&paths::document(Some(API_VERSION))));
static CORE: LazyLock<Document> = LazyLock::new(|| Document::new(&paths::document(Some("v1"))));
static WHOLE: LazyLock<Document> = LazyLock::new(|| Document::new(&paths::document(None)));
static V2: LazyLock<Value> = LazyLock::new(paths::version_2);
static V2_PROTOBUF: LazyLock<Bytes> = LazyLock::new(|| proto::encode(&V2).into());

/// `GET /openapi/v3`: where the documents are. The hash in the address lets clients keep them for good.
pub(crate) async fn index() -> Json<Value> {
    let of = |path: &str, document: &Document| json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={}", document.hash) });
    let group = format!("apis/{API_VERSION}");
    Json(json!({ "paths": { (group.as_str()): of(&group, &GROUP), "api/v1": of("api/v1", &CORE) } }))
}

/// `GET /openapi/v3/{*path}`
pub(crate) async fn version_3(Path(path): Path<String>) -> Result<Response, ApiError> {
    let document = match path.as_str() {
        "api/v1" => &*CORE,
        other if other.strip_prefix("apis/") == Some(API_VERSION) => &*GROUP,
        _ => {
            let message = format!("there is no OpenAPI document {path:?}");
            return Err(ApiError::new(StatusCode::NOT_FOUND, "NotFound", message));
        }
    };
    let mut response = text(document);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    headers.insert(EXPIRES, HeaderValue::from_static("Fri, 01 Jan 2100 00:00:00 GMT"));
    Ok(response)
}

/// `GET /openapi.json`: everything that is served, in one document.
pub(crate) async fn whole() -> Response {
    text(&WHOLE)
}

fn text(document: &Document) -> Response {
    let mut response = document.text.clone().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", document.hash)) {
        headers.insert(ETAG, tag);
    }
    response
}

/// `GET /openapi/v2`: kubectl 1.20 reads protobuf alone.
pub(crate) async fn version_2(accept: Accept) -> Response {
    if !accept.prefers(PROTOBUF) {
        return Json(V2.clone()).into_response();
    }
    let mut response = V2_PROTOBUF.clone().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF_ANSWER));
    response
}
