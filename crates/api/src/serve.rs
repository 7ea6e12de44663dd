//! The listener: bounded time for heads and for TLS, bounded connections, and an end that lets requests finish.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::access::Peer;
use crate::tls::Tls;

/// Limits of the listener.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// TLS; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a request's head may take to arrive.
    pub header_timeout: Duration,
    /// Connections at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// How long requests may go on once shutting down has begun.
    pub drain: Duration,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            tls: None,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            // Each watch over HTTP/1.1 is one, and there must be room for everybody else beside all watches.
            max_connections: 12_000,
            drain: Duration::from_secs(10),
        }
    }
}

/// Descriptors that a process needs besides those of its clients: the database, AWS, files.
const OTHER_DESCRIPTORS: u64 = 256;

/// Lets this process open as many files as the system allows it: a connection is one, and the usual soft limit of 1024 is
/// there for programs that still use select(2). Says so where that is too few for all connections.
pub fn raise_descriptor_limit(config: &ServeConfig) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let wanted = config.max_connections as u64 + OTHER_DESCRIPTORS;
    // None is no limit.
    if let Some(allowed) = getrlimit(Resource::Nofile).current.filter(|allowed| *allowed < wanted) {
        tracing::warn!(allowed, wanted, "the limit of open files (nofile) is below what all connections need");
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
    let stopping = CancellationToken::new();
    let mut shutdown = std::pin::pin!(shutdown);
    tracing::info!(address = %listener.local_addr()?, tls = config.tls.is_some(), "the API listens");
    loop {
        // Cancel safe: a connection is either accepted whole or stays in the queue; a permit is given back.
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Some((stream, peer, place)) = accepted else { continue };
        let (router, builder, watcher) = (router.clone(), builder.clone(), graceful.watcher());
        let (tls, patience, stopping) = (config.tls.clone(), config.handshake_timeout, stopping.clone());
        connections.spawn(async move {
            match tls {
                None => converse(stream, peer, (router, builder, watcher)).await,
                Some(tls) => {
                    let shaken = tokio::time::timeout(patience, tls.acceptor().accept(stream));
                    // A client that says nothing, or nothing sensible, is let go, and does not hold up the end.
                    match stopping.run_until_cancelled_owned(shaken).await {
                        Some(Ok(Ok(stream))) => converse(stream, peer, (router, builder, watcher)).await,
                        Some(Ok(Err(error))) => tracing::debug!(%error, client = %peer, "a TLS handshake failed"),
                        Some(Err(_)) => tracing::debug!(client = %peer, "a TLS handshake took too long"),
                        None => {}
                    }
                }
            }
            drop(place);
        });
    }
    drop(listener);
    stopping.cancel();
    if tokio::time::timeout(config.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off: they took too long to finish");
    }
    connections.shutdown().await;
    Ok(())
}

/// Serves one connection to its end.
async fn converse<S>(stream: S, peer: IpAddr, (router, builder, watcher): (Router, Builder<TokioExecutor>, Watcher))
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        // A router is always ready.
        router.clone().call(request)
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    // A connection that breaks is the client's affair.
    if let Err(error) = watcher.watch(connection).await {
        tracing::trace!(error, "a connection ended");
    }
}

/// One connection, when there is a place for it. `None` when accepting failed: the loop goes on.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small; without this each would wait for the client's acknowledgement.
            let _ = stream.set_nodelay(true);
            Some((stream, peer.ip(), place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Out of file descriptors, most likely: not to be tried in a tight loop.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
