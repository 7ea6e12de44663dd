//! One POST of a webhook: signed, bounded in time, never redirected. HTTP is `hyper`, TLS is `rustls`.

use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioExecutor;
use tower::Service;

use crate::config::Webhook;
use crate::send::{Failed, Failure};
use crate::sign::sign;

/// The client that all webhooks share.
pub(crate) type Client = Hyper<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// So much of an answer is read, so that the connection can be used again.
const LONGEST_ANSWER: usize = 64 * 1024;

/// How long the rest of an answer is waited for, once its status is known.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// A client. With `tls` it trusts the platform's root certificates, and there must be some.
pub(crate) fn client(tls: bool) -> Result<Client, std::io::Error> {
    let (provider, builder) =
        (rustls::crypto::aws_lc_rs::default_provider(), hyper_rustls::HttpsConnectorBuilder::new());
    let connector = if tls {
        builder.with_provider_and_native_roots(provider)?
    } else {
        let config = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?;
        let nobody = rustls::RootCertStore::empty();
        builder.with_tls_config(config.with_root_certificates(nobody).with_no_client_auth())
    };
    let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    tcp.enforce_http(false);
    let connector = connector.https_or_http().enable_http1().wrap_connector(tcp);
    Ok(Hyper::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(30)).build(connector))
}

/// Whether machines are given their credentials at such an address: link-local ones, and EC2's own over IPv6
/// (Amazon EC2 User Guide, "Access instance metadata": `fd00:ec2::254`).
pub fn is_metadata_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || matches!(address.segments(), [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, _])
        }
    }
}

/// Names, but not those that lead to where machines are given their credentials.
#[derive(Clone)]
pub(crate) struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let looking = self.0.call(name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = looking.await?.filter(|found| !is_metadata_address(found.ip())).collect();
            if found.is_empty() {
                return Err(std::io::Error::other("the name leads to no address that messages may go to"));
            }
            Ok(found.into_iter())
        })
    }
}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Post<'a> {
    /// Id: the same over all attempts.
    pub(crate) id: &'a str,
    /// Seconds since 1970, of this attempt.
    pub(crate) timestamp: i64,
    pub(crate) body: &'a str,
}

/// Posts once.
pub(crate) async fn post(client: &Client, hook: &Webhook, message: Post<'_>) -> Result<(), Failed> {
    let mut request = Request::post(&hook.url)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("eventchain-operator/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", message.id)
        .header("webhook-timestamp", message.timestamp)
        .header("webhook-signature", sign(&hook.secrets, message.id, message.timestamp, message.body));
    for (name, value) in &hook.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(Bytes::copy_from_slice(message.body.as_bytes())))
        .map_err(|error| Failed::new(Failure::Refused, format!("no request can be made of it: {error}")))?;
    let response = client.request(request).await.map_err(|error| {
        // The URL is not repeated: its path is often the secret.
        let why = if error.is_connect() { "cannot connect" } else { "the connection broke" };
        Failed::new(Failure::Unavailable, format!("{why}: {}", telemetry::ErrorChain(&error)))
    })?;
    let (head, body) = response.into_parts();
    // What it says is of no use; without it the connection cannot be used again. Whoever dawdles has answered all the same.
    let _ = tokio::time::timeout(LONGEST_REST, Limited::new(body, LONGEST_ANSWER).collect()).await;
    judge(head.status, &head.headers)
}

/// What an answer means.
fn judge(status: StatusCode, headers: &HeaderMap) -> Result<(), Failed> {
    if status.is_success() {
        return Ok(());
    }
    let failure = match status {
        // Nobody is there any more, and the receiver says so.
        StatusCode::GONE => Failure::Gone,
        // It waits to be let in, or nobody listens under this path: the next message would fare no better.
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => Failure::Unavailable,
        // This message is at fault.
        status if status.is_client_error() => Failure::Refused,
        // Redirections too: a message goes where the configuration says.
        _ => Failure::Unavailable,
    };
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Err(Failed {
        retry_after: seconds.map(Duration::from_secs),
        ..Failed::new(failure, format!("HTTP {}", status.as_u16()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_to_a_metadata_service_leads_nowhere() {
        let mut resolver = Resolver(GaiResolver::new());
        // 169.254.169.254, as resolvers read it.
        let refused = resolver.call("2852039166".parse().unwrap()).await.unwrap_err();
        assert!(refused.to_string().contains("may go to"), "{refused}");
        let mut here = resolver.call("localhost".parse().unwrap()).await.unwrap();
        assert!(here.all(|found| found.ip().is_loopback()));
        for address in ["169.254.170.2", "fe80::1", "fd00:ec2::254", "fd00:ec2::23", "::ffff:169.254.169.254"] {
            assert!(is_metadata_address(address.parse().unwrap()), "{address}");
        }
        for address in ["10.0.0.7", "fd12::1", "127.0.0.1", "::1"] {
            assert!(!is_metadata_address(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn answers_are_judged_by_what_can_be_done_about_them() {
        let failure =
            |code: u16| judge(StatusCode::from_u16(code).unwrap(), &HeaderMap::new()).err().map(|it| it.failure);
        assert_eq!([failure(200), failure(204)], [None, None]);
        assert_eq!(failure(410), Some(Failure::Gone));
        for code in [301, 302, 307, 401, 403, 404, 408, 425, 429, 500, 503] {
            assert_eq!(failure(code), Some(Failure::Unavailable), "{code}");
        }
        for code in [400, 413, 415, 422] {
            assert_eq!(failure(code), Some(Failure::Refused), "{code}");
        }
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "7".parse().unwrap())]);
        assert_eq!(
            judge(StatusCode::TOO_MANY_REQUESTS, &headers).unwrap_err().retry_after,
            Some(Duration::from_secs(7))
        );
    }
}
