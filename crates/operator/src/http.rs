//! The small HTTP client that `healthcheck` and `dev` use against the daemon itself: plain HTTP on loopback.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A client of one base URL.
#[derive(Clone)]
pub struct Client {
    base: String,
    hyper: Hyper<HttpConnector, Full<Bytes>>,
}

/// An answer: status and body.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body as text.
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("HTTP {}, not JSON: {}", self.status, self.text))
    }

    /// The body as JSON, when the status is one of success.
    pub fn success(&self) -> Result<Value> {
        anyhow::ensure!((200..300).contains(&self.status), "HTTP {}: {}", self.status, self.text);
        self.json()
    }
}

impl Client {
    /// A client of a daemon at `http://host:port`.
    pub fn new(base: impl Into<String>) -> Self {
        Self { base: base.into(), hyper: Hyper::builder(TokioExecutor::new()).build_http() }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.send(Method::GET, path, "application/json", String::new()).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send(Method::POST, path, "application/json", body.to_string()).await
    }

    /// Any request.
    pub async fn send(&self, method: Method, path: &str, content_type: &str, body: String) -> Result<Reply> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(http::header::CONTENT_TYPE, content_type)
            .body(Full::new(Bytes::from(body)))
            .context("no valid request")?;
        let response = self.hyper.request(request).await.with_context(|| format!("{} does not answer", self.base))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.context("the answer broke off")?.to_bytes();
        Ok(Reply { status, text: String::from_utf8_lossy(&body).into_owned() })
    }
}
