//! How `dev` is reached besides plain HTTP on loopback: TLS with a certificate of an authority made for this run, some users
//! with their tokens, and a kubeconfig that has all of it. `kubectl` sends no token without TLS.
//!
//! Everything is in a directory for this user alone that goes at the end of the run; nothing of it opens anything else.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use telemetry::Metrics;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::config::{Auth, Config, Http, RoleBinding, TlsFiles, Token};
use crate::daemon::Door;

/// The users to try roles with, and their roles. Two may approve, so that one can approve what the other changed.
const USERS: &[(&str, &[&str])] = &[
    ("victor", &["viewer"]),
    ("alice", &["editor"]),
    ("bob", &["editor", "approver"]),
    ("carol", &["editor", "approver"]),
    ("root", &["admin"]),
];
/// Who the kubeconfig is, unless told otherwise.
const DEFAULT_USER: &str = "root";

/// How `dev` is reached over TLS.
pub(super) struct Secured {
    directory: TempDir,
    address: String,
    kubeconfig: PathBuf,
}

impl Secured {
    /// Makes certificates, tokens and the kubeconfig.
    pub(super) fn make(metrics: &Metrics, listener: TcpListener) -> Result<(Self, Door)> {
        let address = format!("https://{}", listener.local_addr()?);
        let directory = tempfile::Builder::new().prefix("eventchain-dev-").tempdir().context("no directory")?;
        let (files, authority) = certificate(directory.path()).context("no certificate can be made")?;
        let tokens: Vec<(&str, String, api::TokenHash)> = USERS
            .iter()
            .map(|(user, _)| {
                let (token, hash) = api::new_token(rand::random());
                (*user, token, hash)
            })
            .collect();
        let kubeconfig = directory.path().join("kubeconfig");
        let shown = serde_json::to_string_pretty(&contexts(&address, &authority, &tokens))?;
        write_private(&kubeconfig, &shown)?;
        let config = Config {
            http: Http { tls: Some(files), ..Http::default() },
            auth: Auth { tokens: tokens.iter().map(configured).collect(), roles: roles(), ..Auth::default() },
            ..Config::default()
        };
        let door = Door::configured(&config, metrics, listener)?;
        Ok((Self { directory, address, kubeconfig }, door))
    }

    /// The lines that say how to use it.
    pub(super) fn said(&self) -> String {
        let (kubeconfig, address) = (self.kubeconfig.display(), &self.address);
        let directory = self.directory.path().display();
        let people: Vec<String> = USERS.iter().map(|(user, roles)| format!("{user} ({})", roles.join(", "))).collect();
        format!(
            "  export KUBECONFIG={kubeconfig}      # TLS and tokens at {address}, the authority in {directory}/ca.crt
  kubectl get env -w                      # you are {DEFAULT_USER}; the others are contexts: kubectl --context alice …
  kubectl --context alice auth can-i --list
  # users: {}",
            people.join(", ")
        )
    }

    /// Where the kubeconfig is.
    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

fn configured((user, _, hash): &(&str, String, api::TokenHash)) -> Token {
    Token { user: (*user).to_owned(), groups: vec!["dev".to_owned()], hash: hash.to_string(), expires: None }
}

fn roles() -> Vec<RoleBinding> {
    let bind = |user: &str, role: &str| RoleBinding {
        role: role.to_owned(),
        users: [user.to_owned()].into(),
        groups: [].into(),
        selector: None,
    };
    USERS.iter().flat_map(|(user, roles)| roles.iter().map(move |role| bind(user, role))).collect()
}

/// A certificate for this machine, of an authority whose key is forgotten at once.
fn certificate(directory: &Path) -> Result<(TlsFiles, String)> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "eventchain-operator dev");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "eventchain-operator");
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;

    let files = TlsFiles { cert_file: directory.join("tls.crt"), key_file: directory.join("tls.key") };
    write_private(&files.cert_file, &certificate.pem())?;
    write_private(&files.key_file, &key.serialize_pem())?;
    let authority = authority.pem();
    write_private(&directory.join("ca.crt"), &authority)?;
    Ok((files, authority))
}

/// A kubeconfig with a context for each user.
fn contexts(address: &str, authority: &str, tokens: &[(&str, String, api::TokenHash)]) -> Value {
    let users: Vec<Value> =
        tokens.iter().map(|(user, token, _)| json!({ "name": user, "user": { "token": token } })).collect();
    let contexts: Vec<Value> = tokens
        .iter()
        .map(|(user, _, _)| json!({ "name": user, "context": { "cluster": "dev", "user": user } }))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "dev",
            "cluster": { "server": address, "certificate-authority-data": BASE64_STANDARD.encode(authority) },
        }],
        "users": users,
        "contexts": contexts,
        "current-context": DEFAULT_USER,
    })
}

/// For this user alone.
fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
