//! `operator serve`, `migrate`, `healthcheck`, `token`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use awskit::Aws;
use store::{OperatorMode, OperatorUpdate, Precondition, Store};
use telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, Config, LogFormat};
use crate::daemon::{Daemon, Door, open_aws, open_store};
use crate::http::Client;
use crate::login::Keeper;
use crate::say::say;

/// How long `serve` waits between two looks for a database that does not answer.
const DATABASE_RETRY: Duration = Duration::from_secs(2);

/// The URL of the database.
pub fn database_url() -> Result<String> {
    std::env::var("DATABASE_URL").context("DATABASE_URL is not set: the operator keeps its state in Postgres")
}

/// The configuration, with the log set up by it.
pub fn load(file: Option<&Path>) -> Result<Config> {
    load_with(file, std::env::vars())
}

fn load_with(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Config> {
    let config = config::load(file, variables)?;
    let format = match config.log.format {
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    telemetry::log::init(format, &config.log.filter)?;
    Ok(config)
}

/// Runs the daemon until SIGTERM or SIGINT.
pub async fn serve(file: Option<&Path>, insecure_no_auth: bool) -> Result<()> {
    // The option is the key, said on the command line.
    let said = insecure_no_auth.then(|| ("EVENTCHAIN_HTTP_INSECURE_NO_AUTH".to_owned(), "true".to_owned()));
    let config = load_with(file, std::env::vars().chain(said))?;
    let url = database_url()?;
    // Before anything else, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (metrics, _registry) = Metrics::new();
    let store = open_store(&config, url, &metrics)?;
    let aws = open_aws(config.awskit(), &metrics);
    let login = tokio::select! {
        ready = ready(&config, &aws, &store) => ready?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let login = login.map(|keeper| tokio::spawn(keeper.run()));
    api::raise_descriptor_limit(&api::ServeConfig::default());
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("http.listen: cannot listen on {}", config.http.listen))?;
    let door = Door::configured(&config, &metrics, listener)?;
    let scheme = if door.tls.is_some() { "https" } else { "http" };
    let daemon = Daemon::start(&config, store, aws, metrics, vec![door]).await?;
    say(format!("listening on {scheme}://{}", daemon.address()));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => daemon.reload_certificates(),
        }
    }
    tracing::info!("stopping: the call under way is finished, leases are given back");
    daemon.stop().await;
    if let Some(login) = login {
        login.abort();
    }
    Ok(())
}

/// The login, where AWS keeps it; then the database with a schema that fits.
async fn ready(config: &Config, aws: &Aws, store: &Store) -> Result<Option<Keeper>> {
    let keeper = keeper(config, aws, store).await?;
    schema(store).await?;
    Ok(keeper)
}

/// Gives the store its login, where AWS keeps it.
async fn keeper(config: &Config, aws: &Aws, store: &Store) -> Result<Option<Keeper>> {
    match &config.database.password_secret {
        Some(arn) => Keeper::start(aws.clone(), arn, store.clone()).await.map(Some),
        None => Ok(None),
    }
}

/// The database, for a command that ends.
pub async fn open_once(config: &Config) -> Result<Store> {
    let (metrics, _registry) = Metrics::new();
    let store = open_store(config, database_url()?, &metrics)?;
    keeper(config, &open_aws(config.awskit(), &metrics), &store).await?;
    Ok(store)
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
pub async fn migrate(file: Option<&Path>) -> Result<()> {
    let store = open_once(&load(file)?).await?;
    store.migrate().await.context("the migration failed")?;
    say("the schema is current");
    Ok(())
}

/// Sets what the whole installation may do. Replicas that run are told.
pub async fn mode(file: Option<&Path>, mode: OperatorMode) -> Result<()> {
    let store = open_once(&load(file)?).await?;
    let update = OperatorUpdate { mode: Some(mode), ..OperatorUpdate::default() };
    let operator = store.update_operator(Precondition::default(), &update).await.context("the mode cannot be set")?;
    say(format!("mode {}", operator.mode));
    Ok(())
}

/// Asks a daemon on this machine whether it is alive.
pub async fn healthcheck(file: Option<&Path>) -> Result<()> {
    let config = config::load(file, std::env::vars())?;
    let client = match &config.http.tls {
        None => Client::new(format!("http://{}", reachable(config.http.listen)))?,
        Some(_) => Client::unverified(format!("https://{}", reachable(config.http.listen)))?,
    };
    let reply =
        tokio::time::timeout(Duration::from_secs(3), client.get("/livez")).await.context("no answer within 3 s")??;
    anyhow::ensure!(reply.status == 200, "HTTP {}: {}", reply.status, reply.text);
    Ok(())
}

/// The address under which a listener is reached from its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => (Ipv4Addr::LOCALHOST, listen.port()).into(),
        IpAddr::V6(address) if address.is_unspecified() => (Ipv6Addr::LOCALHOST, listen.port()).into(),
        _ => listen,
    }
}

/// Makes a token, and says what the configuration is to hold of it.
pub fn token() {
    let (token, hash) = api::new_token(rand::random());
    say(format!("token: {token}\nhash:  {hash}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:8443"), "127.0.0.1:8443");
        assert_eq!(at("[::]:8443"), "[::1]:8443");
        assert_eq!(at("10.1.2.3:8443"), "10.1.2.3:8443");
    }
}
