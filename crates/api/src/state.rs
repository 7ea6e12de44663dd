//! What the handlers share, handed in by the daemon's wiring. Nothing here is global.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use engine::Registry;
use http::{Method, StatusCode};
use jiff::Timestamp;
use store::Store;
use telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::access::sight::LabelCache;
use crate::audit::Refusals;
use crate::freshness::Observes;
use crate::watch::Feeds;

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// The text that Prometheus scrapes.
pub type TextSource = Arc<dyn Fn() -> String + Send + Sync>;
/// The watchdog: `Err` says what no longer moves. It must ask neither Postgres nor AWS.
pub type Liveness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
/// Told of every request that was answered; for metrics.
pub type RequestHook = Arc<dyn Fn(&RequestSeen<'_>) + Send + Sync>;

/// One answered request. No part of it is unbounded: `route` is the template, not the path.
#[derive(Debug, Clone, Copy)]
pub struct RequestSeen<'a> {
    /// `GET`, `POST`, …
    pub method: &'a Method,
    /// The route's template, such as `/apis/eventchain.io/v1/environments/{name}`; `other` where none matched.
    pub route: &'a str,
    /// The answer's status code.
    pub code: StatusCode,
    /// From the first byte of the request's head to the answer's head.
    pub elapsed: Duration,
}

/// What the handlers share.
#[derive(Clone)]
pub struct ApiState {
    /// The database.
    pub store: Store,
    /// The kinds that are served.
    pub registry: Arc<Registry>,
    /// This installation's id, as in the ownership tags.
    pub installation: String,
    /// The clock.
    pub clock: Clock,
    /// What `/metrics` answers.
    pub metrics_render: TextSource,
    /// What `/livez` asks.
    pub liveness: Liveness,
    /// Told of every answered request.
    pub on_request: RequestHook,
    /// Who may do what; everybody everything, unless something else is put here.
    pub access: Arc<Access>,
    /// Limits and times.
    pub config: ApiConfig,
    /// The streams of watches.
    pub(crate) watches: Feeds,
    /// What each environment needs observed.
    pub(crate) observes: Observes,
    /// The labels by which it is seen who may see what.
    pub(crate) labels: LabelCache,
    /// Refused requests that are being counted.
    pub(crate) refusals: Refusals,
}

/// Limits and times of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// Longest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Requests that are worked on at once, probes and metrics aside; more are refused with 429.
    pub max_requests: usize,
    /// The longest that `?wait=` may ask for.
    pub longest_wait: Duration,
    /// How long a plan that was asked for by itself is waited for.
    pub plan_patience: Duration,
    /// How long the plan that goes with a change is waited for.
    pub change_plan_patience: Duration,
    /// How long an approval counts when the approver does not say.
    pub approval_ttl: Duration,
    /// The daemon's version, shown by `/version`.
    pub version: String,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            // The example environment takes 8 KiB; etcd's limit, which Kubernetes users know, is 1.5 MiB.
            max_body_bytes: 1 << 20,
            body_timeout: Duration::from_secs(10),
            max_requests: 256,
            longest_wait: Duration::from_secs(300),
            plan_patience: Duration::from_secs(30),
            change_plan_patience: Duration::from_secs(5),
            approval_ttl: Duration::from_secs(24 * 3600),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl ApiState {
    /// A state with the defaults: the system's clock is not among them, nor is a watchdog.
    pub fn new(store: Store, registry: Arc<Registry>, installation: impl Into<String>, clock: Clock) -> Self {
        let stop = CancellationToken::new();
        Self {
            store,
            registry,
            installation: installation.into(),
            clock,
            metrics_render: Arc::new(String::new),
            liveness: Arc::new(|| Ok(())),
            on_request: Arc::new(|_| {}),
            access: Arc::new(Access::open(Vec::new(), Metrics::new().0.access)),
            config: ApiConfig::default(),
            watches: Feeds::new(stop.clone()),
            observes: Observes::default(),
            labels: LabelCache::default(),
            refusals: Refusals::new(stop),
        }
    }

    /// Ends all watches when it is cancelled: they would hold up a shutdown for as long as their clients please.
    pub fn stop_watches(&self) -> CancellationToken {
        self.watches.stop()
    }

    /// The time now, as the store keeps it: whole microseconds.
    pub(crate) fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApiState")
            .field("installation", &self.installation)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
