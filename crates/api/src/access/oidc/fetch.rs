//! Asking an issuer: its discovery document, and the keys to which that points. Bounded in time and size, over TLS.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::OidcError;

/// A document takes so long at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// And has so many bytes at most.
const LONGEST: usize = 1 << 20;
/// Where discovery is, below the issuer.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Why the keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{url} cannot be asked")]
    Request { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{url} did not answer within {} s", PATIENCE.as_secs())]
    Late { url: String },
    #[error("{url} answered {code}")]
    Refused { url: String, code: StatusCode },
    #[error("{url} answered more than {LONGEST} bytes, or not all of it")]
    Broken { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{url} answered something else than was asked for")]
    Nonsense { url: String, source: serde_json::Error },
    #[error("the discovery document is of the issuer {said:?}")]
    OtherIssuer { said: String },
    #[error("jwks_uri {url:?} is no https URL")]
    Insecure { url: String },
}

/// Asks one issuer.
pub(super) struct Fetcher {
    issuer: String,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

impl Fetcher {
    /// `authorities` is a file of certificates to trust instead of those of the system.
    pub(super) fn new(issuer: &str, authorities: Option<&Path>) -> Result<Self, OidcError> {
        check_issuer(issuer).map_err(OidcError::Issuer)?;
        let failed = |error: &dyn std::error::Error| OidcError::Tls(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?;
        let builder = match authorities {
            Some(path) => builder.with_root_certificates(roots(path)?),
            // On this machine: there is no certificate to check.
            None if issuer.starts_with("http:") => builder.with_root_certificates(RootCertStore::empty()),
            None => builder.with_native_roots().map_err(|error| failed(&error))?,
        };
        let connector = HttpsConnectorBuilder::new().with_tls_config(builder.with_no_client_auth());
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Self { issuer: issuer.to_owned(), client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys as they are now.
    pub(super) async fn keys(&self) -> Result<Vec<Value>, FetchError> {
        let discovery: Discovery = self.get(&format!("{}{DISCOVERY}", self.issuer.trim_end_matches('/'))).await?;
        // OpenID Connect Discovery 1.0, 4.3: exactly the one that was asked.
        if discovery.issuer != self.issuer {
            return Err(FetchError::OtherIssuer { said: discovery.issuer });
        }
        // Plain HTTP only where the issuer is on this machine, and so are its keys.
        let plain = self.issuer.starts_with("http:") && is_here(&discovery.jwks_uri);
        if !plain && !is_https(&discovery.jwks_uri) {
            return Err(FetchError::Insecure { url: discovery.jwks_uri });
        }
        let Published { keys } = self.get(&discovery.jwks_uri).await?;
        Ok(keys)
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let late = |_| FetchError::Late { url: url.to_owned() };
        let bytes = tokio::time::timeout(PATIENCE, self.read(url)).await.map_err(late)??;
        serde_json::from_slice(&bytes).map_err(|source| FetchError::Nonsense { url: url.to_owned(), source })
    }

    /// Redirects are not followed: the issuer says where its keys are.
    async fn read(&self, url: &str) -> Result<Bytes, FetchError> {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| FetchError::Request { url: url.to_owned(), source };
        let request = Request::get(url).header(http::header::ACCEPT, "application/json").body(Empty::new());
        let request = request.map_err(|error| failed(error.into()))?;
        let response = self.client.request(request).await.map_err(|error| failed(error.into()))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Refused { url: url.to_owned(), code: response.status() });
        }
        let broken = |source| FetchError::Broken { url: url.to_owned(), source };
        let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(broken)?;
        Ok(body.to_bytes())
    }
}

/// The certificates of a file.
fn roots(path: &Path) -> Result<RootCertStore, OidcError> {
    let unreadable = |message: String| OidcError::Authorities { path: path.to_owned(), message };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() { Err(unreadable("there is none in it".to_owned())) } else { Ok(roots) }
}

/// Whether a URL can name an issuer: over TLS nobody in between can change what it answers, nor on this very machine.
pub(super) fn check_issuer(url: &str) -> Result<(), &'static str> {
    if url.contains(['?', '#', '@']) {
        return Err("must have no query, no fragment and no user");
    }
    if is_https(url) || is_here(url) { Ok(()) } else { Err("must be an https URL (http on this machine only)") }
}

fn is_https(url: &str) -> bool {
    url.starts_with("https://") && url.parse::<Uri>().is_ok_and(|url| url.host().is_some_and(|host| !host.is_empty()))
}

fn is_here(url: &str) -> bool {
    let Ok(parsed) = url.parse::<Uri>() else { return false };
    let host = parsed.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    url.starts_with("http://") && here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for good in ["https://id.example", "https://id.example/realms/x", "http://127.0.0.1:8080", "http://[::1]/x"] {
            assert_eq!(check_issuer(good), Ok(()), "{good}");
        }
        for bad in [
            "http://id.example",
            "ftp://id.example",
            "id.example",
            "",
            "https://",
            "http://127.0.0.1.example",
            "http://127.0.0.1@id.example",
            "https://id.example?x",
            "https://id.example#x",
        ] {
            assert!(check_issuer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_issuer_elsewhere_cannot_point_to_this_machine() {
        assert!(is_here("http://localhost:8080/keys") && !is_https("http://localhost:8080/keys"));
    }
}
