//! The daemon: store, AWS clients, runtime and API, wired. `serve` and `dev` start it alike.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use api::{Access, Reloaded, Tls};
use awskit::{Aws, CallRecord};
use jiff::Timestamp;
use kinds::Cloud;
use runtime::{Clock, Handle, Runtime, StoreMetrics, SystemClock};
use store::Store;
use telemetry::{AccessMetrics, Metrics};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::Config;
use crate::sns::Sns;

/// How often the certificate's files are looked at.
const CERTIFICATE_PERIOD: Duration = Duration::from_secs(10);

/// A listener: how it is reached, and who may do what through it.
pub struct Door {
    /// The listener.
    pub listener: TcpListener,
    /// TLS; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// Who may do what.
    pub access: Access,
}

impl Door {
    /// As the configuration says.
    pub fn configured(config: &Config, metrics: &Metrics, listener: TcpListener) -> Result<Self> {
        let parts = config.access();
        let tls = config.http.tls.as_ref().map(|files| Tls::load(&files.cert_file, &files.key_file)).transpose();
        let tls = tls.context("http.tls")?;
        if let Some(tls) = &tls {
            if tls.expires_at() <= now() {
                tracing::warn!(expires_at = %tls.expires_at(), "the certificate has ended: clients will refuse it");
            }
            metrics.access.certificate_served(tls.expires_at());
        }
        let (proxies, counted) = (parts.trusted_proxies, metrics.access.clone());
        let access = match parts.checked {
            Some(checked) => Access::checked(checked, proxies, counted).context("auth.oidc")?,
            None => Access::open(proxies, counted),
        };
        if !access.is_checked() && !config.http.listen.ip().is_loopback() {
            tracing::warn!(listen = %config.http.listen, "anybody who reaches the API may do everything, as configured");
        }
        access.warm_up();
        Ok(Self { listener, tls, access })
    }

    /// For this machine alone: plain HTTP, and nobody is checked.
    pub fn local(metrics: &Metrics, listener: TcpListener) -> Self {
        Self { listener, tls: None, access: Access::open(Vec::new(), metrics.access.clone()) }
    }
}

/// A running daemon.
pub struct Daemon {
    runtime: Handle,
    apis: Vec<tokio::task::JoinHandle<std::io::Result<()>>>,
    certificates: Vec<tokio::sync::mpsc::Sender<()>>,
    gauges: tokio::task::JoinHandle<()>,
    notifications: notify::Handle,
    stop_api: CancellationToken,
    stop_watches: CancellationToken,
    address: SocketAddr,
}

/// Connects the AWS clients' calls to the metrics.
struct Calls(Metrics);

impl awskit::Observer for Calls {
    fn called(&self, record: &CallRecord<'_>) {
        self.0.aws.called(record.operation, record.outcome, record.duration, record.waited);
    }
}

/// How often the budgets' headroom is put into its gauge.
const GAUGE_PERIOD: Duration = Duration::from_secs(5);

/// How long an attempt to notify may go on once the daemon stops.
const STOP_NOTIFYING: Duration = Duration::from_secs(10);

/// The main loop comes round each second; after so long without it something holds it up for good.
const STUCK: Duration = Duration::from_secs(30);

/// The database, with its statements counted.
pub fn open_store(config: &Config, url: String, metrics: &Metrics) -> Result<Store> {
    let mut settings = store::Config::new(url);
    settings.max_connections = config.database.max_connections;
    Store::connect_lazy(&settings, Arc::new(StoreMetrics(metrics.clone()))).context("DATABASE_URL is no Postgres URL")
}

/// AWS clients whose calls are counted.
pub fn open_aws(config: awskit::Config, metrics: &Metrics) -> Aws {
    Aws::new(config, Some(Arc::new(Calls(metrics.clone()))))
}

/// Requests to the API may take so long once the daemon is to stop.
const OPEN_REQUESTS: Duration = Duration::from_secs(2);

impl Daemon {
    /// Starts runtime and API. The schema must be current.
    pub async fn start(config: &Config, store: Store, aws: Aws, metrics: Metrics, doors: Vec<Door>) -> Result<Self> {
        let first = doors.first().context("a daemon without a listener")?;
        let address = first.listener.local_addr().context("the API's address")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let registry = Arc::new(kinds::registry());
        let cloud: Arc<dyn Cloud> = Arc::new(kinds::providers(&aws));
        let holder = format!("{}-{}", config.installation, Uuid::new_v4());
        let notifications = notify::start(notify::Deps {
            config: config.notify(holder.clone(), |variable| std::env::var(variable).ok())?,
            store: store.clone(),
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
            publisher: Arc::new(Sns::new(aws.clone(), config.clone())),
        })
        .context("notifications cannot be sent: the platform has no root certificates")?;
        let runtime = Runtime::start(runtime::Deps {
            store: store.clone(),
            registry: Arc::clone(&registry),
            cloud,
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
            config: config.runtime(holder),
        });

        let heartbeat = runtime.heartbeat();
        let api_clock = Arc::clone(&clock);
        let mut state =
            api::ApiState::new(store, registry, config.installation.clone(), Arc::new(move || api_clock.now()));
        let (rendered, render_clock) = (metrics.clone(), Arc::clone(&clock));
        state.metrics_render = Arc::new(move || rendered.render(render_clock.now()));
        state.liveness = Arc::new(move || match heartbeat.age() {
            age if age < STUCK => Ok(()),
            age => Err(format!("the main loop has not come round for {} s", age.as_secs())),
        });
        state.config.max_body_bytes = config.http.max_body_bytes;
        let stop_watches = state.stop_watches();
        let stop_api = CancellationToken::new();
        let (mut apis, mut certificates) = (Vec::new(), Vec::new());
        for Door { listener, tls, access } in doors {
            let mut state = state.clone();
            state.access = Arc::new(access);
            if let Some(tls) = &tls {
                let (hint, hints) = tokio::sync::mpsc::channel(1);
                let told = certificate_told(metrics.access.clone());
                let times = (CERTIFICATE_PERIOD, Arc::clone(&state.clock));
                tokio::spawn(tls.clone().keep_fresh(times, hints, stop_api.clone(), told));
                certificates.push(hint);
            }
            let (router, stop) = (api::router(state), stop_api.clone());
            let config = api::ServeConfig { tls, ..api::ServeConfig::default() };
            apis.push(tokio::spawn(async move { api::serve(listener, router, config, stop.cancelled_owned()).await }));
        }
        let gauges = tokio::spawn(headroom(aws, metrics, stop_api.clone()));
        Ok(Self { runtime, apis, certificates, gauges, notifications, stop_api, stop_watches, address })
    }

    /// Address of the API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at the certificates' files now.
    pub fn reload_certificates(&self) {
        for hint in &self.certificates {
            // One that waits already is as good.
            let _ = hint.try_send(());
        }
    }

    /// Stops: no new work, the call under way is finished, leases are given back. Within 25 s.
    pub async fn stop(self) {
        self.stop_api.cancel();
        self.stop_watches.cancel();
        // Counted from here: a slow call to AWS, a notification on its way, and a client that holds its connection open take
        // their time together.
        let limit = tokio::time::Instant::now() + OPEN_REQUESTS;
        let notified = async {
            // An attempt that takes longer is sent again by whoever comes next.
            if tokio::time::timeout(STOP_NOTIFYING, self.notifications.shutdown()).await.is_err() {
                tracing::info!("a notification was still on its way");
            }
        };
        tokio::join!(self.runtime.shutdown(), notified);
        if tokio::time::timeout_at(limit, all_of(self.apis)).await.is_err() {
            tracing::info!("requests to the API were still open");
        }
        self.gauges.abort();
    }
}

async fn headroom(aws: Aws, metrics: Metrics, stop: CancellationToken) {
    let mut interval = tokio::time::interval(GAUGE_PERIOD);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            // Cancel safe: a tick that is dropped comes again.
            _ = interval.tick() => {}
        }
        for (account, region, bucket, part) in aws.budgets().headroom(tokio::time::Instant::now()) {
            metrics.aws.set_headroom(account.as_str(), region.as_str(), bucket, part);
        }
    }
}

/// Waits for all of them.
async fn all_of(tasks: Vec<tokio::task::JoinHandle<std::io::Result<()>>>) {
    for task in tasks {
        let _ = task.await;
    }
}

/// What becomes known of a certificate that changed.
fn certificate_told(metrics: AccessMetrics) -> impl Fn(Reloaded) + Send {
    move |reloaded| match reloaded {
        Reloaded::Served(expires_at) => {
            tracing::info!(%expires_at, "a new certificate is served");
            metrics.certificate_reloaded(true);
            metrics.certificate_served(expires_at);
        }
        Reloaded::Refused(error) => {
            let error = telemetry::ErrorChain(&error);
            tracing::warn!(%error, "the new certificate is not served; the old one still is");
            metrics.certificate_reloaded(false);
        }
    }
}

/// The instant now, for commands that run once.
pub fn now() -> Timestamp {
    SystemClock.now()
}
