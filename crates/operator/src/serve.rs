//! `operator serve`, `migrate`, `healthcheck`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use store::Store;
use telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, Config, LogFormat};
use crate::daemon::{Daemon, open_aws, open_store};
use crate::http::Client;
use crate::say::say;

/// How long `serve` waits between two looks for a database that does not answer.
const DATABASE_RETRY: Duration = Duration::from_secs(2);

/// The URL of the database.
pub fn database_url() -> Result<String> {
    std::env::var("DATABASE_URL").context("DATABASE_URL is not set: the operator keeps its state in Postgres")
}

/// The configuration, with the log set up by it.
pub fn load(file: Option<&Path>) -> Result<Config> {
    let config = config::load(file, std::env::vars())?;
    let format = match config.log.format {
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    telemetry::log::init(format, &config.log.filter)?;
    Ok(config)
}

/// Runs the daemon until SIGTERM or SIGINT.
pub async fn serve(file: Option<&Path>) -> Result<()> {
    let config = load(file)?;
    let url = database_url()?;
    // Before anything else, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (metrics, _registry) = Metrics::new();
    let store = open_store(&config, url, &metrics)?;
    tokio::select! {
        checked = schema(&store) => checked?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    let aws = open_aws(config.awskit(), &metrics);
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("http.listen: cannot listen on {}", config.http.listen))?;
    let daemon = Daemon::start(&config, store, aws, metrics, listener).await?;
    say(format!("listening on http://{}", daemon.address()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: the call under way is finished, leases are given back");
    daemon.stop().await;
    Ok(())
}

/// Waits for the database and checks its schema; `serve` never changes it.
async fn schema(store: &Store) -> Result<()> {
    let mut told = false;
    loop {
        match store.schema_status().await {
            Ok(status) if status.is_usable() => return Ok(()),
            Ok(status) => bail!("the database's schema does not fit ({status:?}): run `operator migrate`"),
            Err(error @ store::Error::Unavailable { .. }) => {
                if !told {
                    tracing::warn!(error = %telemetry::ErrorChain(&error), "the database does not answer yet; waiting for it");
                    told = true;
                }
                tokio::time::sleep(DATABASE_RETRY).await;
            }
            Err(error) => return Err(error).context("the database's schema cannot be read"),
        }
    }
}

/// Brings the schema up to date.
pub async fn migrate() -> Result<()> {
    let (metrics, _registry) = Metrics::new();
    let store = open_store(&Config::default(), database_url()?, &metrics)?;
    store.migrate().await.context("the migration failed")?;
    say("the schema is current");
    Ok(())
}

/// Asks a daemon on this machine whether it is alive.
pub async fn healthcheck(file: Option<&Path>) -> Result<()> {
    let config = config::load(file, std::env::vars())?;
    let client = Client::new(format!("http://{}", config.http.listen));
    let reply =
        tokio::time::timeout(Duration::from_secs(3), client.get("/livez")).await.context("no answer within 3 s")??;
    anyhow::ensure!(reply.status == 200, "HTTP {}: {}", reply.status, reply.text);
    Ok(())
}
