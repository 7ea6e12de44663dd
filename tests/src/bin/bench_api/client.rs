//! One client: one connection that is kept, one request at a time on it.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Where environments are.
pub(crate) const ENVIRONMENTS: &str = "/apis/eventchain.io/v1/environments";

/// A connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    address: String,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the connection.
        tokio::spawn(connection);
        Ok(Self { sender, address: address.to_owned() })
    }

    /// Sends one request and answers its head, its body still to come.
    pub(crate) async fn begin(
        &mut self,
        method: Method,
        path: &str,
        (content_type, accept): (&str, &str),
        body: String,
    ) -> Result<http::Response<Incoming>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .header("content-type", content_type)
            .header("accept", accept)
            .header("user-agent", "bench/1")
            .body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Sends one request, which must succeed; answers its whole body.
    pub(crate) async fn send(&mut self, method: Method, path: &str, content_type: &str, body: String) -> Result<Bytes> {
        let what = format!("{method} {path}");
        let answer = self.begin(method, path, (content_type, "application/json"), body).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{what}: {status} {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}
