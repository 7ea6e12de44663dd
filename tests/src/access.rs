//! Certificates and tokens for a daemon that knows who asks. Made for each test anew.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tempfile::TempDir;

use crate::daemon::Setup;

/// The certificate, which is its own authority, and users with a role each.
#[derive(Debug)]
pub struct Guarded {
    directory: TempDir,
    tokens: Vec<(String, String)>,
}

impl Guarded {
    /// Makes a certificate, and a token for each user as an operator makes them.
    ///
    /// # Errors
    /// When that cannot be made.
    pub async fn new(setup: &Setup, users: &[(&str, &str)]) -> Result<(Self, Setup)> {
        let directory = tempfile::tempdir()?;
        let (mut tokens, mut hashes, mut roles) = (Vec::new(), Vec::new(), Vec::new());
        for (user, role) in users {
            let said = setup.run(&["token"]).await?;
            let line = |name: &str| {
                let found = said.lines().find_map(|line| line.strip_prefix(name));
                found.map(|value| value.trim().to_owned()).with_context(|| format!("no {name} in {said}"))
            };
            tokens.push(((*user).to_owned(), line("token:")?));
            hashes.push(json!({ "user": user, "hash": line("hash:")? }));
            roles.push(json!({ "role": role, "users": [user] }));
        }
        let guarded = Self { directory, tokens };
        guarded.renew()?;
        let file = |name: &str| guarded.directory.path().join(name).display().to_string();
        let setup = setup
            .clone()
            .set("EVENTCHAIN_HTTP_TLS_CERT_FILE", &file("tls.crt"))
            .set("EVENTCHAIN_HTTP_TLS_KEY_FILE", &file("tls.key"))
            .set("EVENTCHAIN_AUTH_TOKENS", &json!(hashes).to_string())
            .set("EVENTCHAIN_AUTH_ROLES", &json!(roles).to_string());
        Ok((guarded, setup))
    }

    /// Replaces the certificate and its key by others.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn renew(&self) -> Result<()> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(["127.0.0.1", "localhost"].map(str::to_owned))?.self_signed(&key)?;
        std::fs::write(self.directory.path().join("tls.key"), key.serialize_pem())?;
        std::fs::write(self.authority(), certificate.pem())?;
        Ok(())
    }

    /// The file of the authority.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("tls.crt")
    }

    /// A directory for the test's own files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A user's token.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn token(&self, user: &str) -> Result<&str> {
        let found = self.tokens.iter().find(|(known, _)| known == user);
        found.map(|(_, token)| token.as_str()).with_context(|| format!("no user {user}"))
    }
}
