//! Notifications: Postgres' LISTEN as a stream of typed events that survives the database going away.
//!
//! A notification only says "look": whoever misses some (a lost connection, a slow reader) is told `Resync`, and looks
//! at everything. Nothing may depend on a notification alone.

use std::future::Future;
use std::time::Duration;

use serde::Deserialize;
use sqlx::postgres::{PgListener, PgNotification, PgPool, PgPoolOptions};
use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::pool::Store;

pub(crate) const CHANNEL_ENVIRONMENT: &str = "environment";
pub(crate) const CHANNEL_REQUEST: &str = "request";
pub(crate) const CHANNEL_ANSWER: &str = "answer";
pub(crate) const CHANNEL_LEASE: &str = "lease";
pub(crate) const CHANNEL_OPERATOR: &str = "operator";
pub(crate) const CHANNEL_OBJECTS: &str = "objects";

const CHANNELS: [&str; 6] =
    [CHANNEL_ENVIRONMENT, CHANNEL_REQUEST, CHANNEL_ANSWER, CHANNEL_LEASE, CHANNEL_OPERATOR, CHANNEL_OBJECTS];

/// A silent connection is tried out this often: behind a load balancer a dead one says nothing.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(20);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_LONGEST: Duration = Duration::from_secs(2);

/// Something happened; look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// Notifications may have been missed (also: listening has just begun). Look at everything.
    Resync,
    /// What users say about an environment changed: spec, metadata, pause, deletion, an approval, a change record.
    EnvironmentChanged {
        /// Its name.
        name: String,
        /// Its account (shard).
        account: String,
    },
    /// The owner of a shard is asked something.
    RequestAsked {
        /// The token.
        id: Uuid,
        /// The shard.
        shard: String,
        /// The environment.
        environment: String,
    },
    /// A request was answered.
    RequestAnswered {
        /// The token.
        id: Uuid,
    },
    /// A lease changed hands or was released.
    LeaseChanged {
        /// The shard.
        shard: String,
    },
    /// The installation's mode or caps changed.
    OperatorChanged,
    /// The object log has entries up to this resourceVersion.
    ObjectsChanged {
        /// The newest one.
        resource_version: i64,
    },
}

#[derive(Deserialize)]
struct EnvironmentPayload {
    name: String,
    account: String,
}

#[derive(Deserialize)]
struct RequestPayload {
    id: Uuid,
    shard: String,
    environment: String,
}

#[derive(Deserialize)]
struct AnswerPayload {
    id: Uuid,
}

#[derive(Deserialize)]
struct LeasePayload {
    shard: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectsPayload {
    resource_version: i64,
}

/// What cannot be read came from a newer release: then looking at everything is right.
fn parse(notification: &PgNotification) -> Notification {
    let payload = notification.payload();
    let parsed = match notification.channel() {
        CHANNEL_ENVIRONMENT => serde_json::from_str(payload)
            .map(|EnvironmentPayload { name, account }| Notification::EnvironmentChanged { name, account }),
        CHANNEL_REQUEST => serde_json::from_str(payload)
            .map(|RequestPayload { id, shard, environment }| Notification::RequestAsked { id, shard, environment }),
        CHANNEL_ANSWER => {
            serde_json::from_str(payload).map(|AnswerPayload { id }| Notification::RequestAnswered { id })
        }
        CHANNEL_LEASE => {
            serde_json::from_str(payload).map(|LeasePayload { shard }| Notification::LeaseChanged { shard })
        }
        CHANNEL_OPERATOR => Ok(Notification::OperatorChanged),
        CHANNEL_OBJECTS => serde_json::from_str(payload)
            .map(|ObjectsPayload { resource_version }| Notification::ObjectsChanged { resource_version }),
        _ => Ok(Notification::Resync),
    };
    parsed.unwrap_or(Notification::Resync)
}

/// A connection of its own that listens. Made by `Store::listen`.
pub struct Listener {
    /// Of one connection, so that reconnecting does not compete with the store's callers.
    pool: PgPool,
    /// The store's, for the login that is valid now.
    callers: PgPool,
    connected: Option<PgListener>,
    backoff: Duration,
}

impl Listener {
    /// The next notification. Never fails: it reconnects for as long as it takes, and then says `Resync`, as it does
    /// first of all. Cancel safe.
    pub async fn recv(&mut self) -> Notification {
        loop {
            let Some(listener) = &mut self.connected else {
                self.pool.set_connect_options(self.callers.connect_options().as_ref().clone());
                match Self::connect(&self.pool).await {
                    Ok(listener) => {
                        self.connected = Some(listener);
                        self.backoff = RECONNECT_FIRST;
                        return Notification::Resync;
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, retry_in = ?self.backoff, "cannot listen for notifications");
                        let pause = self.backoff;
                        self.backoff = (pause * 2).min(RECONNECT_LONGEST);
                        sleep(pause).await;
                        continue;
                    }
                }
            };
            match timeout(HEARTBEAT_INTERVAL, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => return parse(&notification),
                // The driver noticed a lost connection; or failed in another way. Begin anew either way, so that there
                // is one path for all of it.
                Ok(Ok(None) | Err(_)) => self.connected = None,
                Err(_) => {
                    let alive = timeout(HEARTBEAT_TIMEOUT, sqlx::query("SELECT 1").execute(listener)).await;
                    if !matches!(alive, Ok(Ok(_))) {
                        self.connected = None;
                    }
                }
            }
        }
    }

    async fn connect(pool: &PgPool) -> Result<PgListener> {
        let connect = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.ignore_pool_close_event(true);
            listener.eager_reconnect(false);
            listener.listen_all(CHANNELS).await?;
            Ok(listener)
        };
        timeout(HEARTBEAT_TIMEOUT, connect).await.unwrap_or_else(|_| Err(Error::timed_out()))
    }
}

impl Store {
    /// A listener with a connection of its own; nothing happens until `recv` is called.
    pub fn listen(&self) -> Listener {
        let options = self.pool().connect_options().as_ref().clone();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(HEARTBEAT_TIMEOUT)
            .connect_lazy_with(options);
        Listener { pool, callers: self.pool().clone(), connected: None, backoff: RECONNECT_FIRST }
    }

    /// A receiver of what `run_listener` hears. One that lags is to look at everything, as after `Resync`.
    pub fn subscribe(&self) -> broadcast::Receiver<Notification> {
        self.notifications().subscribe()
    }

    /// Listens on one connection for all subscribers of this store (and its clones) until `shutdown` completes.
    pub async fn run_listener(&self, shutdown: impl Future<Output = ()>) {
        let mut listener = self.listen();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                // Cancel safe: see `Listener::recv`.
                notification = listener.recv() => {
                    // Fails only when nobody subscribes, and then nobody misses it.
                    let _ = self.notifications().send(notification);
                }
            }
        }
    }
}
