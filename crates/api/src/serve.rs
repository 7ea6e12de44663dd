//! The listener: bounded time for heads, bounded connections, and an end that lets requests finish.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Limits of the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// How long a request's head may take to arrive.
    pub header_timeout: Duration,
    /// Connections at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// How long requests may go on once shutting down has begun.
    pub drain: Duration,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self { header_timeout: Duration::from_secs(10), max_connections: 1024, drain: Duration::from_secs(10) }
    }
}

/// Serves until `shutdown` completes, and then lets the requests under way finish, for `drain` at most.
///
/// # Errors
/// None of a single connection; the listener's own address only.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: ServeConfig,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(config.header_timeout);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(config.max_connections));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    tracing::info!(address = %listener.local_addr()?, "the API listens");
    loop {
        // Cancel safe: a connection is either accepted whole or stays in the queue; a permit is given back.
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Some((stream, place)) = accepted else { continue };
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            // A connection that breaks is the client's affair.
            if let Err(error) = connection.await {
                tracing::trace!(error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(config.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off: they took too long to finish");
    }
    connections.shutdown().await;
    Ok(())
}

/// One connection, when there is a place for it. `None` when accepting failed: the loop goes on.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are small; without this each would wait for the client's acknowledgement.
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Out of file descriptors, most likely: not to be tried in a tight loop.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
