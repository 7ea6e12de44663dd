//! The wire front: which service and operation a request is for, in which protocol, and the response's form.
//!
//! The rules are the Smithy protocol pages (AWS JSON 1.0/1.1, AWS Query, RPC v2 CBOR). Must not know operations.
pub(crate) mod auth;
pub(crate) mod cbor;
pub(crate) mod query;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};

use crate::base::service::Identity;
use crate::base::shape::Origin;
use crate::{AwsError, Doc};

/// A protocol, with what its responses repeat of the request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Protocol {
    /// awsJson, with the request's content type.
    Json(String),
    Query,
    Cbor,
}

impl Protocol {
    pub(crate) fn origin(&self) -> Origin {
        match self {
            Protocol::Json(_) => Origin::Json,
            Protocol::Query => Origin::Query,
            Protocol::Cbor => Origin::Cbor,
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) protocol: Protocol,
    /// Index of the service.
    pub(crate) service: usize,
    pub(crate) operation: String,
}

fn text<'a>(request: &'a Request<Bytes>, name: &str) -> &'a str {
    request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
}

/// The protocol a request speaks, before its service is known: errors need it.
pub(crate) fn protocol(request: &Request<Bytes>) -> Protocol {
    let content_type = text(request, "content-type");
    if text(request, "smithy-protocol") == "rpc-v2-cbor" {
        Protocol::Cbor
    } else if request.headers().contains_key("x-amz-target") || content_type.starts_with("application/x-amz-json") {
        let content_type = if content_type.is_empty() { "application/x-amz-json-1.1" } else { content_type };
        Protocol::Json(content_type.to_owned())
    } else {
        Protocol::Query
    }
}

/// Finds service and operation, and parses the body into an unchecked document.
pub(crate) fn route(
    request: &Request<Bytes>,
    scope: &str,
    identities: &[Identity],
) -> Result<(Route, Result<Doc, String>), AwsError> {
    let protocol = protocol(request);
    let unknown =
        |what: &str| AwsError::new("UnsupportedOperation", format!("simaws does not implement {what}")).status(501);
    let body = request.body();
    let encoding = text(request, "content-encoding");
    if !matches!(encoding, "" | "identity") {
        return Err(unknown(&format!("request bodies with content encoding {encoding}")));
    }
    let (service, operation, input) = match &protocol {
        Protocol::Cbor => {
            let path: Vec<&str> = request.uri().path().split('/').collect();
            let ["", "service", target, "operation", operation] = path[..] else {
                return Err(AwsError::new("UnknownOperationException", "not an rpc-v2-cbor path").status(404));
            };
            let service = identities.iter().position(|i| i.cbor && i.target == target);
            (
                service.ok_or_else(|| unknown(&format!("service {target} over rpc-v2-cbor")))?,
                operation,
                cbor::read(body),
            )
        }
        Protocol::Json(_) => {
            let header = text(request, "x-amz-target");
            let Some((target, operation)) = header.rsplit_once('.') else {
                return Err(AwsError::new("UnknownOperationException", "no X-Amz-Target"));
            };
            let service = identities.iter().position(|i| !i.target.is_empty() && i.target == target);
            (service.ok_or_else(|| unknown(&format!("service {target} over awsJson")))?, operation, read_json(body))
        }
        Protocol::Query => {
            let form =
                if request.method() == Method::GET { request.uri().query().unwrap_or("").as_bytes() } else { body };
            let form = query::Form::read(form);
            let service = identities
                .iter()
                .position(|i| i.name == scope && !i.version.is_empty())
                .ok_or_else(|| unknown(&format!("service {scope} over awsQuery (nor any REST protocol)")))?;
            let operation = form.action.clone();
            if operation.is_empty() {
                return Err(AwsError::new("MissingAction", "The request is missing an action or operation parameter"));
            }
            let want = identities[service].version;
            if form.version != want {
                let message = format!("Could not find operation {operation} for version {}", form.version);
                return Err(AwsError::new("InvalidAction", message));
            }
            return Ok((Route { protocol, service, operation }, form.input));
        }
    };
    let operation = operation.to_owned();
    Ok((Route { protocol, service, operation }, input))
}

fn read_json(body: &[u8]) -> Result<Doc, String> {
    if body.is_empty() {
        return Ok(Doc::empty());
    }
    serde_json::from_slice(body).map(Doc::from_json).map_err(|e| e.to_string())
}

/// A response.
pub(crate) fn success(
    protocol: &Protocol,
    identity: &Identity,
    operation: &str,
    doc: &Doc,
    request_id: &str,
) -> Response<Bytes> {
    match protocol {
        Protocol::Json(content_type) => {
            let empty = doc.fields().is_none_or(std::collections::BTreeMap::is_empty);
            let body = if empty { Bytes::from_static(b"{}") } else { Bytes::from(doc.to_json().to_string()) };
            respond(200, content_type, request_id, &[], body)
        }
        Protocol::Query => {
            let body = query::success(identity, operation, doc, request_id);
            respond(200, "text/xml", request_id, &[], body.into())
        }
        Protocol::Cbor => {
            let headers = [("smithy-protocol", "rpc-v2-cbor".to_owned())];
            respond(200, "application/cbor", request_id, &headers, cbor::write(doc).into())
        }
    }
}

/// An error response.
pub(crate) fn failure(
    protocol: &Protocol,
    identity: Option<&Identity>,
    error: &AwsError,
    request_id: &str,
) -> Response<Bytes> {
    let query_code = error.query_code.as_deref().unwrap_or(&error.code);
    // Services that spoke awsQuery before JSON or CBOR keep telling their old code (Smithy: awsQueryCompatible).
    let compatible = identity.is_some_and(|i| !i.version.is_empty());
    let fault = if error.is_receiver_fault() { "Receiver" } else { "Sender" };
    let mut headers = Vec::new();
    if compatible && *protocol != Protocol::Query {
        headers.push(("x-amzn-query-error", format!("{query_code};{fault}")));
    }
    match protocol {
        Protocol::Json(content_type) => {
            headers.push(("x-amzn-errortype", error.code.clone()));
            let body = error.extra.clone().with("__type", &error.code).with("message", &error.message);
            respond(error.status, content_type, request_id, &headers, body.to_json().to_string().into())
        }
        Protocol::Query => {
            let namespace = identity.map_or("http://webservices.amazon.com/AWSFault/2005-15-09", |i| i.namespace);
            let body = query::failure(namespace, query_code, &error.message, fault, request_id);
            respond(error.status, "text/xml", request_id, &headers, body.into())
        }
        Protocol::Cbor => {
            headers.push(("smithy-protocol", "rpc-v2-cbor".to_owned()));
            let name = format!("com.amazonaws.{}#{}", identity.map_or("simaws", |i| i.name), error.code);
            let body = error.extra.clone().with("__type", name).with("message", &error.message);
            respond(error.status, "application/cbor", request_id, &headers, cbor::write(&body).into())
        }
    }
}

pub(crate) fn respond(
    status: u16,
    content_type: &str,
    request_id: &str,
    headers: &[(&str, String)],
    body: Bytes,
) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let all = [("content-type", content_type), ("x-amzn-requestid", request_id)];
    for (name, value) in all.into_iter().chain(headers.iter().map(|(n, v)| (*n, v.as_str()))) {
        let name = header::HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, header::HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
