//! HTTP as plain as it comes: one request, one answer, a limit of time.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longer than any wait that a request of ours asks for.
const LIMIT: Duration = Duration::from_secs(60);

/// A client. Clones share connections.
#[derive(Clone, Debug)]
pub struct Http(Client<HttpConnector, Full<Bytes>>);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: http::HeaderMap,
    /// The body as text.
    pub text: String,
    /// The body as JSON; null where it is none.
    pub json: Value,
}

impl Default for Http {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

impl Http {
    /// Sends one request.
    ///
    /// # Errors
    /// When there is no answer within a minute.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method.clone()).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into()))?;
        let answer = async {
            let response = self.0.request(request).await?;
            let (head, body) = response.into_parts();
            let text = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
            let json = serde_json::from_str(&text).unwrap_or_default();
            anyhow::Ok(Answer { status: head.status.as_u16(), headers: head.headers, text, json })
        };
        tokio::time::timeout(LIMIT, answer)
            .await
            .with_context(|| format!("{method} {url}: no answer within {LIMIT:?}"))?
            .with_context(|| format!("{method} {url}"))
    }
}

/// One awsQuery call to an endpoint that does not look at signatures: for what a test lays out before the daemon runs.
///
/// # Errors
/// When the answer is no success.
pub async fn aws_query(
    endpoint: &str,
    access_key: &str,
    region: &str,
    service: &str,
    operation: &str,
    version: &str,
    parameters: &[(&str, &str)],
) -> Result<String> {
    let encode = |s: &str| percent_encoding::utf8_percent_encode(s, percent_encoding::NON_ALPHANUMERIC).to_string();
    let mut form = format!("Action={operation}&Version={version}");
    for (name, value) in parameters {
        form.extend(["&", &encode(name), "=", &encode(value)]);
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let headers = [
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("authorization", authorization.as_str()),
        ("x-amz-date", "20260101T000000Z"),
    ];
    let answer = Http::default().send(Method::POST, &format!("{endpoint}/"), &headers, form).await?;
    anyhow::ensure!(answer.status == 200, "{service}:{operation}: {} {}", answer.status, answer.text);
    Ok(answer.text)
}

/// What stands in the first element of this name.
pub fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let rest = xml.split(&format!("<{name}>")).nth(1)?;
    rest.split(&format!("</{name}>")).next()
}

/// What stands in every element of this name.
pub fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
}
