//! Asking who one is and what one may: over TLS with tokens, since kubectl sends none without.

use std::path::Path;

use api::{ServeConfig, Tls, serve};
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;

use super::super::super::access::Guarded;
use super::super::super::support::{ENVIRONMENTS, small};
use super::super::server::Server;
use super::program::Kubectl;
use super::program::Version::New;

/// Who asks, what, and the answer: its exit code, and what is in it.
const ROWS: &[(&str, &str, i32, &[&str])] = &[
    ("eddy", "auth can-i create env", 0, &["yes"]),
    ("vera", "auth can-i create env", 1, &["no - it takes the role editor or admin"]),
    ("vera", "auth can-i watch managedresources", 0, &["yes"]),
    ("vera", "auth can-i get events", 0, &["yes"]),
    ("apu", "auth can-i create env/prod --subresource=approve", 0, &["yes"]),
    ("eddy", "auth can-i create env/prod --subresource=approve", 1, &["no - it takes the role approver or admin"]),
    ("eddy", "auth can-i delete env", 1, &["no - it takes the role admin"]),
    ("ada", "auth can-i '*' '*'", 0, &["yes"]),
    ("eddy", "auth can-i '*' '*'", 1, &["no"]),
    ("vera", "auth can-i get /openapi/v3", 0, &["yes"]),
    ("vera", "auth can-i get /secret", 1, &["no"]),
    ("nobody", "auth can-i list env", 1, &["no - it takes the role viewer or editor or approver or admin"]),
    ("vera", "auth can-i --list", 0, &["environments.eventchain.io", "[get list watch]", "/openapi*", "selfsubject"]),
    ("ada", "auth can-i --list", 0, &["*.*", "[*]"]),
    ("vera", "get env", 0, &["prod"]),
];

/// Makes a certificate that is its own authority; its file is `ca.crt`.
fn certificate(directory: &Path) -> Tls {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (directory.join("ca.crt"), directory.join("tls.key"));
    std::fs::write(&cert_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    Tls::load(&cert_file, &key_file).unwrap()
}

pub(super) async fn asks(kubectl: &Kubectl, _open: &Server) {
    let guarded = Guarded::new().await;
    guarded.send("ada", http::Method::POST, ENVIRONMENTS, small("prod")).await.expect(201);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let kubectl = kubectl.at(format!("https://{}", listener.local_addr().unwrap()));
    let config = ServeConfig { tls: Some(certificate(kubectl.directory())), ..ServeConfig::default() };
    let serving = tokio::spawn(serve(listener, guarded.api.router.clone(), config, std::future::pending()));

    let mut problems = Vec::new();
    let whoami: (&str, &str, i32, &[&str]) = ("vera", "auth whoami", 0, &["vera", "system:authenticated"]);
    for (user, words, exits, said) in ROWS.iter().chain((kubectl.version == New).then_some(&whoami)) {
        let token = guarded.token(user).replace("Bearer ", "");
        let asked = format!("{words} --certificate-authority ca.crt --token {token}");
        let outcome = kubectl.run(&asked, "").await;
        let missing: Vec<_> = said.iter().filter(|part| !outcome.out.contains(**part)).collect();
        if outcome.code != Some(*exits) || !missing.is_empty() {
            let (code, out, err) = (outcome.code, outcome.out, outcome.err);
            problems.push(format!("{user}: kubectl {words}: {code:?}, not said: {missing:?}\n{out}\n{err}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    let stranger = kubectl.run("get env --certificate-authority ca.crt --token evc_wrong", "").await;
    assert!(stranger.err.contains("must be logged in"), "{}", stranger.err);
    serving.abort();
}
