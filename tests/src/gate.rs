//! A TCP proxy in front of Postgres that can be shut: what a partition of the network looks like to a daemon. It reads
//! nothing of what passes.
//!
//! Shut, it takes what arrives and passes nothing on, in both directions; nobody is told. Opened, it delivers what it took,
//! late, or drops the connections, as one chooses.

use std::path::PathBuf;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    open: bool,
    /// Connections of an earlier one are dropped.
    generation: u64,
}

/// A running gate. Dropped, it stops, and its connections end.
#[derive(Debug)]
pub struct Gate {
    port: u16,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Gate {
    /// An open gate in front of a Unix socket, which need not be there yet.
    ///
    /// # Errors
    /// When loopback has no port.
    pub async fn start(upstream: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (state, _) = watch::channel(State { open: true, generation: 0 });
        let states = state.clone();
        let task = tokio::spawn(async move {
            // Connections end with the set, and the set with the gate.
            let mut connections = JoinSet::new();
            loop {
                // Cancel-safe: both are.
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { continue };
                        connections.spawn(pass(stream, upstream.clone(), states.subscribe()));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { port, state, task })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Nothing passes from now on.
    pub fn shut(&self) {
        self.state.send_modify(|state| state.open = false);
    }

    /// What was held is delivered now, and everything passes.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Everything passes, over new connections: what was held is lost.
    pub fn open_anew(&self) {
        self.state.send_modify(|state| *state = State { open: true, generation: state.generation + 1 });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(client: TcpStream, upstream: PathBuf, mut states: watch::Receiver<State>) {
    let born = states.borrow().generation;
    let _ = client.set_nodelay(true);
    let mut watched = states.clone();
    let passing = async {
        if states.wait_for(|state| state.open).await.is_err() {
            return;
        }
        let Ok(server) = UnixStream::connect(upstream).await else { return };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(pump(from_client, to_server, states.clone()), pump(from_server, to_client, states.clone()));
    };
    // Cancel-safe: what is dropped is a connection that ends.
    tokio::select! {
        () = passing => {}
        _ = watched.wait_for(|state| state.generation != born) => {}
    }
}

/// One direction, until its end.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut states: watch::Receiver<State>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        if states.wait_for(|state| state.open).await.is_err() {
            return;
        }
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            // The other side learns of it: half an end is an end for Postgres and for its clients.
            let _ = to.shutdown().await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut from, mut to) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        (directory, path)
    }

    async fn answer(stream: &mut TcpStream) -> [u8; 2] {
        let mut two = [0; 2];
        stream.read_exact(&mut two).await.unwrap();
        two
    }

    #[tokio::test]
    async fn what_was_held_is_delivered_late() {
        let (_directory, path) = echo().await;
        let gate = Gate::start(path).await.unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", gate.port())).await.unwrap();
        stream.write_all(b"ab").await.unwrap();
        assert_eq!(answer(&mut stream).await, *b"ab");
        gate.shut();
        stream.write_all(b"cd").await.unwrap();
        let mut none = [0; 1];
        let waited = tokio::time::timeout(std::time::Duration::from_millis(100), stream.read(&mut none)).await;
        assert!(waited.is_err(), "nothing passes");
        gate.open();
        assert_eq!(answer(&mut stream).await, *b"cd");
    }

    #[tokio::test]
    async fn opened_anew_old_connections_end_and_new_ones_pass() {
        let (_directory, path) = echo().await;
        let gate = Gate::start(path).await.unwrap();
        let mut old = TcpStream::connect(("127.0.0.1", gate.port())).await.unwrap();
        old.write_all(b"ab").await.unwrap();
        assert_eq!(answer(&mut old).await, *b"ab");
        gate.shut();
        old.write_all(b"cd").await.unwrap();
        gate.open_anew();
        let mut rest = Vec::new();
        // An end or a reset: either way nothing that was held.
        let _ = old.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        let mut new = TcpStream::connect(("127.0.0.1", gate.port())).await.unwrap();
        new.write_all(b"ef").await.unwrap();
        assert_eq!(answer(&mut new).await, *b"ef");
    }
}
