//! TLS on a real socket: what is served, how it is replaced, and clients that do not speak it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::{Reloaded, ServeConfig, Tls, serve};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::Api;

/// A directory with a certificate and its key.
struct Files {
    directory: TempDir,
    certificate: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificate = Self::write(directory.path(), 2099);
        Self { directory, certificate }
    }

    fn write(directory: &Path, ends: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(ends, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.join("tls.crt"), certificate.pem()).unwrap();
        std::fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    fn replace(&mut self, ends: i32) {
        self.certificate = Self::write(self.directory.path(), ends);
    }

    fn load(&self) -> Tls {
        Tls::load(&self.directory.path().join("tls.crt"), &self.directory.path().join("tls.key")).unwrap()
    }

    fn put(&self, file: &str, text: &str) {
        std::fs::write(self.directory.path().join(file), text).unwrap();
    }
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(api: &Api, config: ServeConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = api.router.clone();
        let serving = tokio::spawn(async move {
            serve(listener, router, config, async { drop(stopped.await) }).await.unwrap();
        });
        Self { address, stop, serving }
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(30), self.serving).await.expect("it ends").unwrap();
    }

    /// A connection of a client that trusts this certificate alone.
    async fn connect(
        &self,
        trusted: &CertificateDer<'static>,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..read]);
    }
    String::from_utf8(answer).unwrap()
}

fn now() -> jiff::Timestamp {
    "2026-11-25T00:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn both_versions_of_http_are_served_over_tls() {
    let (api, files) = (Api::new().await, Files::new());
    let server = Server::start(&api, ServeConfig { tls: Some(files.load()), ..ServeConfig::default() }).await;
    let mut first = server.connect(&files.certificate, &["http/1.1"]).await.unwrap();
    assert_eq!(first.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
    let second = server.connect(&files.certificate, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(second.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    drop((first, second));
    server.end().await;
}

#[tokio::test]
async fn a_new_certificate_is_served_and_no_connection_is_lost() {
    let (api, mut files) = (Api::new().await, Files::new());
    let tls = files.load();
    let server = Server::start(&api, ServeConfig { tls: Some(tls.clone()), ..ServeConfig::default() }).await;
    let old = files.certificate.clone();
    let mut open = server.connect(&old, &["http/1.1"]).await.unwrap();
    assert!(tls.reload(now()).is_none(), "nothing changed");

    files.replace(2098);
    let Some(Reloaded::Served(expires_at)) = tls.reload(now()) else { panic!("it is new") };
    assert_eq!((expires_at, tls.expires_at()), (expires_at, expires_at));
    assert!(server.connect(&old, &["http/1.1"]).await.is_err(), "the old one is served no longer");
    let mut fresh = server.connect(&files.certificate, &["http/1.1"]).await.unwrap();
    ask(&mut fresh).await;
    ask(&mut open).await;
    drop((open, fresh));
    server.end().await;
}

#[tokio::test]
async fn a_new_file_that_is_no_good_leaves_the_old_certificate() {
    let (api, files) = (Api::new().await, Files::new());
    let tls = files.load();
    let server = Server::start(&api, ServeConfig { tls: Some(tls.clone()), ..ServeConfig::default() }).await;
    let before = tls.expires_at();
    let key = std::fs::read_to_string(files.directory.path().join("tls.key")).unwrap();
    let refused = |what: &str| match tls.reload(now()) {
        Some(Reloaded::Refused(error)) => error.to_string(),
        other => panic!("{what}: {other:?}"),
    };
    files.put("tls.crt", "no certificate");
    assert!(refused("garbage").contains("no certificate"));
    assert!(tls.reload(now()).is_none(), "it is told once");
    Files::write(files.directory.path(), 2097);
    files.put("tls.key", &key);
    assert!(refused("another key").contains("does not go with"));
    Files::write(files.directory.path(), 2020);
    assert!(refused("an old one").contains("ended at"));
    std::fs::remove_file(files.directory.path().join("tls.key")).unwrap();
    assert!(refused("no key").contains("cannot be read"));
    assert_eq!(tls.expires_at(), before);
    drop(server.connect(&files.certificate, &["http/1.1"]).await.unwrap());
    server.end().await;
}

#[tokio::test]
async fn a_change_of_the_files_is_noticed() {
    let mut files = Files::new();
    let tls = files.load();
    let stop = tokio_util::sync::CancellationToken::new();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let (_hint, hints) = tokio::sync::mpsc::channel(1);
    let times: (Duration, api::Clock) = (Duration::from_millis(10), Arc::new(now));
    let told = move |reloaded| drop(told.send(reloaded));
    let watching = tokio::spawn(tls.clone().keep_fresh(times, hints, stop.clone(), told));
    files.replace(2096);
    // The two files are written one after the other: the first may be seen without the second.
    loop {
        match heard.recv().await.expect("it goes on") {
            Reloaded::Served(_) => break,
            Reloaded::Refused(_) => {}
        }
    }
    stop.cancel();
    watching.await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up_and_holds_up_nothing() {
    let (api, files) = (Api::new().await, Files::new());
    let config =
        ServeConfig { tls: Some(files.load()), handshake_timeout: Duration::from_millis(50), ..ServeConfig::default() };
    let server = Server::start(&api, config).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap(), 0, "it is closed");
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "plain HTTP is not answered");
    server.end().await;

    let patient = ServeConfig { tls: Some(files.load()), ..ServeConfig::default() };
    let server = Server::start(&api, patient).await;
    let hanging = TcpStream::connect(server.address).await.unwrap();
    server.end().await;
    drop(hanging);
}
