//! The loopback HTTP/1.1 server. Must not know what it serves but for [`Sim::handle`].
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::{Dropped, Sim};

/// How long answers that are on their way are waited for.
const GRACE: Duration = Duration::from_secs(2);

/// A running server. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more connections, and returns when the requests being answered have been, or after two seconds.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // The task ends by itself; a panic in it has been reported by the runtime.
            let _ = task.await;
        }
    }
}

impl Sim {
    /// Serves this simulation on `listener` until the handle stops it.
    pub fn serve(&self, listener: TcpListener) -> std::io::Result<Server> {
        let address = listener.local_addr()?;
        let (stop, mut stopped) = watch::channel(false);
        let sim = self.clone();
        let task = tokio::spawn(async move {
            let graceful = GracefulShutdown::new();
            let mut connections = JoinSet::new();
            loop {
                // Cancel-safe: all three are.
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    Some(_) = connections.join_next() => continue,
                    _ = stopped.changed() => break,
                };
                let Ok((stream, _)) = accepted else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let sim = sim.clone();
                let service = hyper::service::service_fn(move |request| answer(sim.clone(), request));
                let server = hyper::server::conn::http1::Builder::new();
                let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
                // An error here is a client that went away, or a fault that drops the connection.
                connections.spawn(async move { connection.await.map_err(|e| tracing::trace!(error = %e, "closed")) });
            }
            drop(listener);
            // What a fault makes hang would hang for an hour.
            let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
            connections.shutdown().await;
        });
        Ok(Server { address, stop, task: Some(task) })
    }
}

async fn answer(sim: Sim, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    let response = sim.handle(Request::from_parts(head, body.to_bytes())).await?;
    Ok(response.map(Full::new))
}
