//! `operator dev`: the main job in one process, on a simulated AWS: the example environment is declared over HTTP and
//! converges, then someone changes AWS behind the operator's back, and it is put right.
//!
//! The daemon is the same as `serve` runs. Only the endpoint of AWS differs, and the sweeps are more frequent, so that
//! there is less to wait for.

mod access;
mod drift;
mod story;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use awskit::{AccountConfig, StaticCredentials};
use model::{AwsAccountId, Span};
use simaws::{Clock, Sim};
use telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::daemon::{Daemon, Door, open_aws, open_store};
use crate::http::Client;
use crate::say::say;
use crate::serve::database_url;

/// The account of the simulated AWS.
const ACCOUNT: &str = "123456789012";

/// What `operator dev` was asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Play the story and end.
    pub demo: bool,
    /// Wanted port of the API.
    pub port: u16,
    /// Wanted port of the API over TLS.
    pub tls_port: u16,
    /// Wanted port of the simulated AWS.
    pub aws_port: u16,
    /// Filter of the log.
    pub log: String,
}

/// Runs the story, and then the daemon until it is told to stop.
pub async fn run(options: &Options) -> Result<ExitCode> {
    telemetry::log::init(telemetry::Format::Text, &options.log)?;
    let url = database_url()
        .context("`cargo xtask dev` starts a private Postgres and sets it; `operator dev` by itself needs one")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let sim = Sim::builder().account(ACCOUNT).clock(Clock::real()).build();
    let aws_server = sim.serve(listen(options.aws_port).await?).context("the simulated AWS cannot listen")?;
    let load_balancer = story::seed(&sim).await?;

    let config = Config {
        sweeps: crate::config::Sweeps { hot: Span::from_secs(2), slow: Span::from_secs(5) },
        ..Config::default()
    };
    let mut aws = config.awskit();
    let credentials =
        StaticCredentials { access_key_id: ACCOUNT.to_owned(), secret_access_key: "not-a-secret".to_owned() };
    let account = AwsAccountId::parse(ACCOUNT).map_err(anyhow::Error::msg)?;
    aws.accounts
        .insert(account.clone(), AccountConfig { static_credentials: Some(credentials), ..AccountConfig::default() });
    aws.endpoints.default = Some(aws_server.url());
    let mut config = config;
    config.aws.accounts.insert(account, crate::config::Account::default());

    let (metrics, _registry) = Metrics::new();
    let store = open_store(&config, url, &metrics)?;
    store.migrate().await.context("the database's schema cannot be brought up to date")?;
    let local = Door::local(&metrics, listen(options.port).await?);
    let (secured, door) = access::Secured::make(&metrics, listen(options.tls_port).await?)?;
    let daemon = Daemon::start(&config, store, open_aws(aws, &metrics), metrics, vec![local, door]).await?;
    let base = format!("http://{}", daemon.address());
    say(format!("operator       {base}"));
    say(format!("with TLS       export KUBECONFIG={}", secured.kubeconfig().display()));
    say(format!("simulated AWS  {}  (account {ACCOUNT}, us-east-1)", aws_server.url()));

    let story = story::Story::new(Client::new(&base)?, sim, load_balancer);
    let played = tokio::select! {
        played = story.play() => Some(played),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    let code = match &played {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            say(format!("\nnot as it should be: {error:#}"));
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    };
    if played.is_some() && !options.demo {
        say(go_on(&base, &aws_server.url(), &secured));
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    daemon.stop().await;
    aws_server.stop().await;
    Ok(code)
}

/// A listener on the wanted port of loopback, or on a free one when it is taken.
async fn listen(port: u16) -> Result<TcpListener> {
    match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            TcpListener::bind(("127.0.0.1", 0)).await.context("no port is free")
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on port {port}")),
    }
}

/// The commands to go on with.
fn go_on(base: &str, aws: &str, secured: &access::Secured) -> String {
    let kubectl = secured.said();
    let cli = std::env::var("EVENTCHAIN_AWS_CLI").unwrap_or_else(|_| "aws".to_owned());
    format!(
        "
The daemon stays up; Ctrl-C ends it and all it started. From another shell:

  export AWS_ENDPOINT_URL={aws} AWS_ACCESS_KEY_ID={ACCOUNT} AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=us-east-1
  {cli} ecs update-service --cluster eventchain-cluster --service eventchain-event-service --desired-count 7
  {cli} cloudwatch delete-alarms --alarm-names EventChain-High-CPU
  {cli} rds modify-db-instance --db-instance-identifier eventchain-prod-db --preferred-backup-window 10:00-11:00

  curl {base}/apis/eventchain.io/v1/environments/prod
  curl {base}/apis/eventchain.io/v1/managedresources
  curl {base}/api/v1/events
  curl {base}/metrics
  curl -X POST {base}/apis/eventchain.io/v1/changes -H 'Content-Type: application/json' -d '
    {{\"spec\":{{\"environment\":\"prod\",\"message\":\"scale up for the sale\",
             \"patch\":{{\"spec\":{{\"services\":{{\"event-service\":{{\"desiredCount\":4}}}}}}}}}}}}'

{kubectl}"
    )
}
