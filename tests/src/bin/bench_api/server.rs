//! The API in a process of its own: the router, the listener and the store that the daemon has, on the same limits. No
//! owner works on any account, so that nothing but the API is measured.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::say::print;
use store::Store;
use testkit::fixtures::INSTALLATION;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, Command};

const LISTENS: &str = "listening on ";

/// Serves until standard input ends.
pub(crate) async fn serve(database: &str) -> Result<()> {
    let store = Store::connect_lazy(&store::Config::new(database), Arc::new(store::NoObserver))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let hearing = store.clone();
    tokio::spawn(async move { hearing.run_listener(std::future::pending()).await });
    let now = Arc::new(|| simaws::Clock::real().now());
    let state = api::ApiState::new(store, Arc::new(kinds::registry()), INSTALLATION, now);
    let watches = state.stop_watches();
    print(&format!("{LISTENS}{address}"));
    let ended = async move {
        let mut rest = Vec::new();
        let _ = tokio::io::stdin().read_to_end(&mut rest).await;
        watches.cancel();
    };
    let config = api::ServeConfig { drain: Duration::from_secs(2), ..api::ServeConfig::default() };
    api::serve(listener, api::router(state), config, ended).await.context("the listener")
}

/// The API, running. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    stdin: ChildStdin,
    /// `127.0.0.1:port`.
    pub(crate) address: String,
}

impl Server {
    /// Starts it: this program again.
    pub(crate) async fn start(database: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--database", database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the API cannot be started")?;
        let stdin = child.stdin.take().context("piped")?;
        let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await??.unwrap_or_default();
        let address = line.strip_prefix(LISTENS).context("the API says where it listens")?.to_owned();
        Ok(Self { child, stdin, address })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.id().context("the API runs")
    }

    /// Stops it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        drop(self.stdin);
        tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await.context("the API does not stop")??;
        Ok(())
    }
}
