//! TLS of the listener: one certificate from two files, replaced when they change, without a connection lost. A new file
//! that is no good leaves the old certificate where it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::state::Clock;

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no certificate in the file.
    #[error("{path} holds no certificate in PEM form")]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// There is no private key in the file.
    #[error("{path} holds no private key in PEM form")]
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// The two do not go together, or cannot be used.
    #[error("the key of {path} does not go with the certificate, or is of a kind that is not served: {message}")]
    Unusable {
        /// The key's file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The certificate has ended.
    #[error("the certificate of {path} ended at {ended}")]
    Expired {
        /// Which.
        path: PathBuf,
        /// When.
        ended: Timestamp,
    },
}

/// What is told of certificates.
#[derive(Debug)]
pub enum Reloaded {
    /// A new one is served; it ends then.
    Served(Timestamp),
    /// The new files are refused; the old one is served.
    Refused(TlsError),
}

/// The TLS of a listener. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    served: Arc<Served>,
}

/// The certificate that is served.
struct Served {
    certificate_file: PathBuf,
    key_file: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
    /// Of the files as they were read last, good or bad: what did not change is not told again.
    seen: Mutex<[u8; 32]>,
}

#[derive(Clone)]
struct Current {
    key: Arc<CertifiedKey>,
    expires_at: Timestamp,
}

impl fmt::Debug for Served {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Served").field("certificate_file", &self.certificate_file).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.served.fmt(formatter)
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().key)
    }
}

impl Served {
    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The two files' contents.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read =
            |path: &Path| std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source });
        Ok(Self { certificate: read(certificate)?, key: read(key)? })
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::new().chain_update(Sha256::digest(&self.certificate)).chain_update(&self.key).finalize().into()
    }

    fn parse(&self, provider: &CryptoProvider, certificate: &Path, key: &Path) -> Result<Current, TlsError> {
        let no_certificate = || TlsError::NoCertificate { path: certificate.to_owned() };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| no_certificate())?;
        let expires_at = chain.first().and_then(expiry).ok_or_else(no_certificate)?;
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::NoKey { path: key.to_owned() })?;
        let key = CertifiedKey::from_der(chain, private, provider)
            .map_err(|error| TlsError::Unusable { path: key.to_owned(), message: error.to_string() })?;
        Ok(Current { key: Arc::new(key), expires_at })
    }
}

/// When a certificate ends.
fn expiry(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

impl Tls {
    /// Reads a certificate chain and its key, in PEM form. One that has ended is served all the same, so that the daemon
    /// starts; its clients and the metric say so.
    ///
    /// # Errors
    /// When they cannot be read or used.
    pub fn load(certificate_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let files = Files::read(certificate_file, key_file)?;
        let current = files.parse(&provider, certificate_file, key_file)?;
        let served = Arc::new(Served {
            certificate_file: certificate_file.to_owned(),
            key_file: key_file.to_owned(),
            provider: Arc::clone(&provider),
            current: RwLock::new(current),
            seen: Mutex::new(files.digest()),
        });
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let unusable =
            |error: rustls::Error| TlsError::Unusable { path: key_file.to_owned(), message: error.to_string() };
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Served>::clone(&served);
        let mut config = versions.map_err(unusable)?.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), served })
    }

    /// When the certificate that is served ends.
    pub fn expires_at(&self) -> Timestamp {
        self.served.current().expires_at
    }

    /// Reads the files again. `None` when they are as they were.
    pub fn reload(&self, now: Timestamp) -> Option<Reloaded> {
        let served = &self.served;
        let files = match Files::read(&served.certificate_file, &served.key_file) {
            Ok(files) => files,
            // Files that are gone are told once, and again when they are back.
            Err(error) => return self.is_news([0; 32]).then_some(Reloaded::Refused(error)),
        };
        if !self.is_news(files.digest()) {
            return None;
        }
        let ended = |current: &Current| current.expires_at <= now;
        Some(match files.parse(&served.provider, &served.certificate_file, &served.key_file) {
            Err(error) => Reloaded::Refused(error),
            Ok(new) if ended(&new) && !ended(&served.current()) => {
                Reloaded::Refused(TlsError::Expired { path: served.certificate_file.clone(), ended: new.expires_at })
            }
            Ok(new) => {
                let expires_at = new.expires_at;
                *served.current.write().unwrap_or_else(PoisonError::into_inner) = new;
                Reloaded::Served(expires_at)
            }
        })
    }

    fn is_news(&self, digest: [u8; 32]) -> bool {
        let mut seen = self.served.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *seen, digest) != digest
    }

    /// Looks at the files now and then, and when it is told to. `told` hears of each change.
    pub async fn keep_fresh(
        self,
        (period, now): (Duration, Clock),
        mut hints: tokio::sync::mpsc::Receiver<()>,
        stop: CancellationToken,
        told: impl Fn(Reloaded) + Send,
    ) {
        let mut looks = tokio::time::interval(period);
        let mut hinted = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // Cancel safe both: a tick comes again, a hint stays in the channel.
                _ = looks.tick() => {}
                hint = hints.recv(), if hinted => hinted = hint.is_some(),
            }
            let (tls, at) = (self.clone(), now());
            match tokio::task::spawn_blocking(move || tls.reload(at)).await {
                Ok(Some(reloaded)) => told(reloaded),
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "reading the certificate ended wrongly"),
            }
        }
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}
