//! The small HTTP client that `healthcheck` and `dev` use against the daemon itself, on this machine. It sends no secret.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::Value;

/// A client of one base URL.
#[derive(Clone)]
pub struct Client {
    base: String,
    hyper: Hyper<HttpsConnector<HttpConnector>, Full<Bytes>>,
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
    pub fn new(base: impl Into<String>) -> Result<Self> {
        let config = tls()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Ok(Self::with(base.into(), config))
    }

    /// A client of a daemon on this machine at `https://address:port`, whatever its certificate says: that is for the name
    /// by which others reach it. Only for what is open to everybody; kubelet's probes do the same.
    pub fn unverified(base: impl Into<String>) -> Result<Self> {
        let verifier = Arc::new(AnyCertificate(provider()));
        let config = tls()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(Self::with(base.into(), config))
    }

    fn with(base: String, config: ClientConfig) -> Self {
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        Self { base, hyper: Hyper::builder(TokioExecutor::new()).build(connector) }
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

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn tls() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().context("TLS versions")
}

/// Takes any certificate, for a look at what is open to everybody on this machine.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
