//! A reverse proxy on loopback that counts AWS calls by service and operation: how we know that an emulator, which
//! counts nothing, saw no write. It changes nothing that passes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One call that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// `service:Operation`; the service as in the signature.
    pub name: String,
    /// The answer's HTTP status; 502 when there was none.
    pub status: u16,
    /// The start of the answer of a call that failed.
    pub failure: String,
}

/// A running proxy. Dropped, it stops.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    calls: Arc<Mutex<Vec<Passed>>>,
    task: JoinHandle<()>,
}

struct Upstream {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
    calls: Arc<Mutex<Vec<Passed>>>,
}

impl Proxy {
    /// A proxy in front of `http://host:port`.
    ///
    /// # Errors
    /// When loopback has no port.
    pub async fn start(upstream: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let upstream = Arc::new(Upstream {
            url: upstream.trim_end_matches('/').to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            calls: Arc::clone(&calls),
        });
        let task = tokio::spawn(async move {
            // Connections end with the set, and the set with the proxy.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let upstream = Arc::clone(&upstream);
                let service = hyper::service::service_fn(move |request| {
                    let upstream = Arc::clone(&upstream);
                    async move { Ok::<_, Infallible>(upstream.pass(request).await) }
                });
                // An error is a client that went away.
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(serving);
            }
        });
        Ok(Self { url, calls, task })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What passed so far, in order.
    pub fn passed(&self) -> Vec<Passed> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what passed.
    pub fn reset(&self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How often each operation was called.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        count(self.passed().into_iter())
    }

    /// How often each operation was called that is no read.
    pub fn writes(&self) -> BTreeMap<String, u64> {
        count(self.passed().into_iter().filter(|call| !is_read(&call.name)))
    }

    /// Calls that failed, with the start of what was answered.
    pub fn failures(&self) -> Vec<Passed> {
        self.passed().into_iter().filter(|call| call.status >= 400).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn count(calls: impl Iterator<Item = Passed>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.name).or_default() += 1;
    }
    counts
}

/// AWS names what only reads by these verbs, in every service that we use.
pub fn is_read(name: &str) -> bool {
    let operation = name.split(':').nth(1).unwrap_or(name);
    ["Describe", "List", "Get", "BatchGet", "AssumeRole"].iter().any(|verb| operation.starts_with(verb))
}

impl Upstream {
    async fn pass(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return refuse(StatusCode::BAD_REQUEST) };
        let body = body.to_bytes();
        let name = format!("{}:{}", service(&head.headers), operation(&head.headers, head.uri.path(), &body));
        let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut onward = Request::builder().method(head.method).uri(format!("{}{path}", self.url));
        for (header, value) in head.headers.iter().filter(|(header, _)| *header != http::header::HOST) {
            onward = onward.header(header, value);
        }
        let Ok(onward) = onward.body(Full::new(body)) else { return refuse(StatusCode::BAD_REQUEST) };
        let response = match self.client.request(onward).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                body.collect().await.ok().map(|body| (head, body.to_bytes()))
            }
            Err(_) => None,
        };
        let (status, failure, response) = match response {
            Some((head, body)) => {
                let failure = if head.status.is_success() {
                    String::new()
                } else {
                    String::from_utf8_lossy(&body).chars().take(300).collect()
                };
                (head.status.as_u16(), failure, Response::from_parts(head, Full::new(body)))
            }
            None => (502, "no answer".to_owned(), refuse(StatusCode::BAD_GATEWAY)),
        };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(Passed { name, status, failure });
        response
    }
}

fn refuse(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// From the scope of the signature: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn service(headers: &HeaderMap) -> String {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    authorization.split('/').nth(3).unwrap_or("?").to_owned()
}

/// awsJson names the operation in a header, rpc-v2-cbor in the path, awsQuery in the form.
fn operation(headers: &HeaderMap, path: &str, body: &[u8]) -> String {
    if let Some(target) = headers.get("x-amz-target").and_then(|value| value.to_str().ok()) {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    if let Some((_, operation)) = path.split_once("/operation/") {
        return operation.to_owned();
    }
    let form = String::from_utf8_lossy(body);
    let action = form.split('&').find_map(|pair| pair.strip_prefix("Action="));
    action.unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn operations_are_read_from_every_protocol() {
        let json = headers(&[("x-amz-target", "AmazonEC2ContainerServiceV20141113.UpdateService")]);
        assert_eq!(operation(&json, "/", b"{}"), "UpdateService");
        let none = HeaderMap::new();
        assert_eq!(
            operation(&none, "/service/GraniteServiceVersion20100801/operation/PutMetricAlarm", b""),
            "PutMetricAlarm"
        );
        assert_eq!(operation(&none, "/", b"Action=ModifyDBInstance&Version=2014-10-31"), "ModifyDBInstance");
    }

    #[test]
    fn the_service_is_that_of_the_signature() {
        let signed = headers(&[(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/rds/aws4_request, SignedHeaders=host",
        )]);
        assert_eq!(service(&signed), "rds");
    }

    #[test]
    fn what_is_no_read_counts_as_a_write() {
        assert!(is_read("ecs:DescribeServices") && is_read("tagging:GetResources"));
        assert!(!is_read("ecs:UpdateService") && !is_read("logs:TagResource") && !is_read("?:?"));
    }
}
