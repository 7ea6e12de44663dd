//! Requests for tests: one call over one protocol, in-process.
use bytes::Bytes;
use http::Request;
use serde_json::Value;

use crate::{Doc, Dropped, Sim, wire};

/// A caller: an account (the access key) and a region.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Access key id; twelve digits are the account.
    pub access_key: String,
    /// Region.
    pub region: String,
}

impl Default for Caller {
    fn default() -> Self {
        Self { access_key: "123456789012".to_owned(), region: "us-east-1".to_owned() }
    }
}

/// A response: status and body (XML as text).
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body; of CBOR as JSON, of XML as a string.
    pub body: Value,
    /// Response headers.
    pub headers: http::HeaderMap,
}

impl Reply {
    /// The error code of a JSON, CBOR or XML error; empty when there is none.
    pub fn code(&self) -> String {
        if let Some(xml) = self.body.as_str() {
            return xml.split("<Code>").nth(1).and_then(|s| s.split("</Code>").next()).unwrap_or("").to_owned();
        }
        let code = self.body.get("__type").and_then(Value::as_str).unwrap_or("");
        code.rsplit('#').next().unwrap_or("").to_owned()
    }

    /// The XML body.
    pub fn xml(&self) -> &str {
        self.body.as_str().unwrap_or("")
    }
}

impl Caller {
    /// The `Authorization` header for a service.
    pub fn authorization(&self, service: &str) -> String {
        let Self { access_key, region } = self;
        format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/20260101/{region}/{service}/aws4_request, \
             SignedHeaders=host, Signature=0"
        )
    }

    fn request(&self, service: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Request<Bytes> {
        let mut request = Request::post(path).header("authorization", self.authorization(service));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Bytes::from(body)).expect("method, path and headers are valid")
    }

    /// One awsJson call. `target` is the `X-Amz-Target` prefix.
    pub async fn json(&self, sim: &Sim, service: &str, operation: &str, body: Value) -> Result<Reply, Dropped> {
        let target = crate::services()
            .iter()
            .map(|s| s.identity())
            .find(|i| i.name == service)
            .map_or_else(String::new, |i| format!("{}.{operation}", i.target));
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        send(sim, self.request(service, "/", &headers, body.to_string().into_bytes())).await
    }

    /// One awsQuery call, with parameters as they go into the form.
    pub async fn query(
        &self,
        sim: &Sim,
        service: &str,
        operation: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Reply, Dropped> {
        let version =
            crate::services().iter().map(|s| s.identity()).find(|i| i.name == service).map_or("", |i| i.version);
        let encode = |s: &str| percent_encoding::utf8_percent_encode(s, percent_encoding::NON_ALPHANUMERIC).to_string();
        let mut form = format!("Action={operation}&Version={version}");
        for (name, value) in parameters {
            form.extend(["&", &encode(name), "=", &encode(value)]);
        }
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        send(sim, self.request(service, "/", &headers, form.into_bytes())).await
    }

    /// One rpc-v2-cbor call.
    pub async fn cbor(&self, sim: &Sim, service: &str, operation: &str, body: Doc) -> Result<Reply, Dropped> {
        let target =
            crate::services().iter().map(|s| s.identity()).find(|i| i.name == service).map_or("", |i| i.target);
        let path = format!("/service/{target}/operation/{operation}");
        let headers = [("content-type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")];
        send(sim, self.request(service, &path, &headers, wire::cbor::write(&body))).await
    }
}

async fn send(sim: &Sim, request: Request<Bytes>) -> Result<Reply, Dropped> {
    let response = sim.handle(request).await?;
    let (head, body) = response.into_parts();
    let kind = head.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or("");
    let body = if kind == "application/cbor" {
        wire::cbor::read(&body).map(|d| d.to_json()).unwrap_or_default()
    } else if kind.contains("json") {
        serde_json::from_slice(&body).unwrap_or_default()
    } else {
        Value::String(String::from_utf8_lossy(&body).into_owned())
    };
    Ok(Reply { status: head.status.as_u16(), body, headers: head.headers })
}

/// One awsJson call by the default caller, whose connection no fault drops.
pub async fn json(sim: &Sim, service: &str, operation: &str, body: Value) -> Reply {
    Caller::default().json(sim, service, operation, body).await.expect("no fault drops this call")
}

/// One awsQuery call by the default caller, whose connection no fault drops.
pub async fn query(sim: &Sim, service: &str, operation: &str, parameters: &[(&str, &str)]) -> Reply {
    Caller::default().query(sim, service, operation, parameters).await.expect("no fault drops this call")
}

/// One rpc-v2-cbor call by the default caller, whose connection no fault drops.
pub async fn cbor(sim: &Sim, service: &str, operation: &str, body: Doc) -> Reply {
    Caller::default().cbor(sim, service, operation, body).await.expect("no fault drops this call")
}
