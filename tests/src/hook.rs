//! A receiver of webhooks on loopback: keeps all that comes, repetitions too, and checks signatures by itself.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::wait::until;

/// One message that came.
#[derive(Clone, Debug)]
pub struct Came {
    /// Its id.
    pub id: String,
    /// Whether its signature is of this body, with our secret, made within the last minutes.
    pub genuine: bool,
    /// Its body.
    pub json: Value,
}

impl Came {
    /// Class and reason: `drift.DriftDetected`.
    pub fn kind(&self) -> &str {
        self.json["type"].as_str().unwrap_or_default()
    }

    /// What it is about: `EcsService/eventchain-cluster/eventchain-event-service`.
    pub fn about(&self) -> String {
        let regarding = |field: &str| self.json["data"]["regarding"][field].as_str().unwrap_or_default();
        format!("{}/{}", regarding("kind"), regarding("name"))
    }
}

/// A receiver.
pub struct Hook {
    /// Where it listens.
    pub url: String,
    came: Arc<Mutex<Vec<Came>>>,
    server: JoinHandle<()>,
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Hook {
    /// Listens; `secret` is `whsec_…`.
    ///
    /// # Errors
    /// When there is no port, or the secret is none.
    pub async fn listen(secret: &str) -> Result<Self> {
        let key: Arc<[u8]> = STANDARD.decode(secret.strip_prefix("whsec_").context("whsec_")?)?.into();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let came: Arc<Mutex<Vec<Came>>> = Arc::default();
        let kept = Arc::clone(&came);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (key, kept) = (Arc::clone(&key), Arc::clone(&kept));
                let service = service_fn(move |request| take(request, Arc::clone(&key), Arc::clone(&kept)));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(Self { url, came, server })
    }

    /// All that came.
    pub fn came(&self) -> Vec<Came> {
        locked(&self.came).clone()
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn told(&self, kind: &str, about: &str, limit: Duration) -> Result<Came> {
        until(&format!("{kind} about {about}"), limit, async || {
            let came = self.came();
            let found = came.iter().find(|one| one.kind() == kind && one.about() == about).cloned();
            let shown = |one: &Came| format!("{} about {}", one.kind(), one.about());
            found.ok_or_else(|| came.iter().map(shown).collect::<Vec<_>>().join("; "))
        })
        .await
    }
}

fn locked(came: &Mutex<Vec<Came>>) -> MutexGuard<'_, Vec<Came>> {
    came.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(
    request: Request<Incoming>,
    key: Arc<[u8]>,
    came: Arc<Mutex<Vec<Came>>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    let (head, body) = request.into_parts();
    if let Ok(body) = body.collect().await {
        let body = body.to_bytes();
        let id = header(&head.headers, "webhook-id").to_owned();
        let genuine = is_genuine(&head.headers, &body, &key);
        locked(&came).push(Came { id, genuine, json: serde_json::from_slice(&body).unwrap_or_default() });
        *response.status_mut() = StatusCode::NO_CONTENT;
    } else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// As docs/notifications.md says it.
fn is_genuine(headers: &HeaderMap, body: &[u8], key: &[u8]) -> bool {
    let (id, at) = (header(headers, "webhook-id"), header(headers, "webhook-timestamp"));
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    let ours = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let now = simaws::Clock::real().now().as_second();
    let fresh = at.parse::<i64>().is_ok_and(|at| (now - at).abs() < 300);
    fresh && header(headers, "webhook-signature").split_whitespace().any(|theirs| theirs == ours)
}
