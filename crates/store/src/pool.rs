//! The `Store` handle: pool, time-outs, transactions with retry, and the health ping. No statement of the domain.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Postgres, Transaction};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::audit::Origin;
use crate::error::{Error, Result};
use crate::listen::Notification;
use crate::operation::{NoObserver, Operation, QueryObserver, QueryOutcome};

/// A transaction is run at most this often when Postgres rolls it back for contention. With one counter row locked
/// first, deadlocks are not expected; five tries ride out a burst without hiding a bug for long.
const TRANSACTION_ATTEMPTS: u32 = 5;

/// A connection that lay idle for longer is tried out before it is used: the server may have gone meanwhile, and it takes
/// longer than this to come back. One that was just used is not, since that would double the round trips of a busy store.
const TRIED_OUT_AFTER: Duration = Duration::from_millis(20);

/// Enough for every subscriber to be slow for a while; a lagging one is told so and looks at everything again.
const NOTIFICATION_BUFFER: usize = 1024;

/// How to reach Postgres, and how long anything may take.
#[derive(Clone)]
pub struct Config {
    /// `postgres://…`; may hold a password, and is therefore left out of `Debug`.
    pub url: String,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// Connections of the pool (the listener has one more of its own).
    pub max_connections: u32,
    /// Waiting for a connection, making one included.
    pub connect_timeout: Duration,
    /// One statement, on the server.
    pub statement_timeout: Duration,
    /// Waiting for a lock, on the server.
    pub lock_timeout: Duration,
}

impl Config {
    /// Defaults: 10 connections, 5 s to connect, 10 s per statement, 5 s per lock.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            application_name: "eventchain-operator".to_owned(),
            max_connections: 10,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
        }
    }

    /// Between two statements of a transaction lie milliseconds.
    fn idle_in_transaction(&self) -> Duration {
        self.lock_timeout.mul_f64(0.8)
    }

    fn connect_options(&self) -> Result<PgConnectOptions> {
        let options = PgConnectOptions::from_str(&self.url)?.application_name(&self.application_name).options([
            ("statement_timeout", format!("{}ms", self.statement_timeout.as_millis())),
            ("lock_timeout", format!("{}ms", self.lock_timeout.as_millis())),
            // A client that vanished in mid-transaction must not hold the counter row: those who wait for it get it before
            // they give up.
            ("idle_in_transaction_session_timeout", format!("{}ms", self.idle_in_transaction().as_millis())),
        ]);
        Ok(options)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Config")
            .field("application_name", &self.application_name)
            .field("max_connections", &self.max_connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .finish_non_exhaustive()
    }
}

/// Handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    shared: Arc<Shared>,
    origin: Option<Arc<Origin>>,
}

struct Shared {
    observer: Arc<dyn QueryObserver>,
    notifications: broadcast::Sender<Notification>,
    call_timeout: Duration,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("connections", &self.pool.size()).finish_non_exhaustive()
    }
}

impl Store {
    /// A store that connects when first used, so that the daemon starts while the database is away.
    ///
    /// # Errors
    /// Only when the URL cannot be parsed.
    pub fn connect_lazy(config: &Config, observer: Arc<dyn QueryObserver>) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.connect_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(async move {
                    if used.idle_for > TRIED_OUT_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(config.connect_options()?);
        // The server's own limits come first; this one is for a server that no longer answers at all.
        let call_timeout = config.connect_timeout + config.statement_timeout + Duration::from_secs(5);
        Ok(Self::assemble(pool, observer, call_timeout))
    }

    /// As `connect_lazy`, and fails at once when the database cannot be reached.
    pub async fn connect(config: &Config, observer: Arc<dyn QueryObserver>) -> Result<Self> {
        let store = Self::connect_lazy(config, observer)?;
        store.ping().await?;
        Ok(store)
    }

    /// A store over a pool made elsewhere (tests).
    pub fn from_pool(pool: PgPool) -> Self {
        Self::assemble(pool, Arc::new(NoObserver), Duration::from_secs(30))
    }

    /// As `from_pool`, observed.
    pub fn from_pool_observed(pool: PgPool, observer: Arc<dyn QueryObserver>) -> Self {
        Self::assemble(pool, observer, Duration::from_secs(30))
    }

    fn assemble(pool: PgPool, observer: Arc<dyn QueryObserver>, call_timeout: Duration) -> Self {
        let (notifications, _) = broadcast::channel(NOTIFICATION_BUFFER);
        Self { pool, shared: Arc::new(Shared { observer, notifications, call_timeout }), origin: None }
    }

    /// User and password for connections made from now on; those that are open stay. For passwords that are rotated.
    pub fn set_login(&self, user: &str, password: &str) {
        let options = self.pool.connect_options().as_ref().clone().username(user).password(password);
        self.pool.set_connect_options(options);
    }

    /// One round trip to the database.
    pub async fn ping(&self) -> Result<()> {
        self.timed(Operation::Ping, async {
            sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&self.pool).await?;
            Ok(())
        })
        .await
    }

    /// Closes every connection; calls made later fail as unavailable.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The pool itself, for tests and health figures (size, idle). No SQL outside this crate.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn with_origin(&self, origin: Option<Arc<Origin>>) -> Self {
        Self { origin, ..self.clone() }
    }

    /// Who writes through this handle, if anybody was named.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    pub(crate) fn notifications(&self) -> &broadcast::Sender<Notification> {
        &self.shared.notifications
    }

    /// Runs one call: bounds it, times it, and tells the observer.
    pub(crate) async fn timed<T>(&self, operation: Operation, call: impl Future<Output = Result<T>>) -> Result<T> {
        // A call cut off here leaves its connection in an unknown protocol state; the pool drops or repairs it.
        let bounded = async {
            tokio::time::timeout(self.shared.call_timeout, call).await.unwrap_or_else(|_| Err(Error::timed_out()))
        };
        self.observed(operation, bounded).await
    }

    /// Runs one call of any length, times it, and tells the observer.
    pub(crate) async fn observed<T>(&self, operation: Operation, call: impl Future<Output = Result<T>>) -> Result<T> {
        let started = Instant::now();
        let result = call.await;
        let outcome = match &result {
            Ok(_) => QueryOutcome::Ok,
            Err(Error::Unavailable { .. }) => QueryOutcome::Unavailable,
            Err(Error::Violates { .. } | Error::Migrate(_) | Error::Corrupt { .. } | Error::Other(_)) => {
                QueryOutcome::Failed
            }
            Err(_) => QueryOutcome::Refused,
        };
        self.shared.observer.observe(operation, outcome, started.elapsed());
        result
    }

    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>> {
        Ok(self.pool.begin().await?)
    }

    /// Ends one attempt at a transaction: commits what succeeded, and answers `None` when it is to be run again.
    pub(crate) async fn settle<T>(
        &self,
        transaction: Transaction<'static, Postgres>,
        result: Result<T>,
        attempt: &mut u32,
    ) -> Option<Result<T>> {
        let result = match result {
            Ok(value) => transaction.commit().await.map_err(Error::from).map(|()| value),
            Err(error) => {
                // The error that matters is the first one; a failed rollback only means the connection is gone.
                let _ = transaction.rollback().await;
                Err(error)
            }
        };
        *attempt += 1;
        match result {
            Err(error) if error.is_contention() && *attempt < TRANSACTION_ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(5 << *attempt)).await;
                None
            }
            result => Some(result),
        }
    }
}

/// Does `once`, which answers how many rows it took, until it takes fewer than a batch. Answers how many that were in all.
pub(crate) async fn in_batches<F: Future<Output = Result<u64>>>(batch: i64, once: impl Fn() -> F) -> Result<u64> {
    let mut all = 0;
    loop {
        let taken = once().await?;
        all += taken;
        if taken < batch.unsigned_abs() {
            return Ok(all);
        }
    }
}

/// Runs `$body` (a future that borrows the connection `$tx`) in a transaction, again on contention.
macro_rules! attempt {
    ($store:expr, |$tx:ident| $body:expr) => {{
        let mut attempt = 0;
        loop {
            let mut transaction = $store.begin().await?;
            let result = {
                let $tx: &mut sqlx::PgConnection = &mut transaction;
                $body.await
            };
            if let Some(done) = $store.settle(transaction, result, &mut attempt).await {
                break done;
            }
        }
    }};
}
pub(crate) use attempt;

/// The same, timed as `$operation`.
macro_rules! transact {
    ($store:expr, $operation:expr, |$tx:ident| $body:expr) => {
        $store.timed($operation, async { crate::pool::attempt!($store, |$tx| $body) }).await
    };
}
pub(crate) use transact;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_lock_outlives_a_client_that_vanished_with_it() {
        let options = Config::new("postgres://nobody@localhost/none").connect_options().unwrap();
        let options = options.get_options().unwrap();
        let milliseconds = |name: &str| -> u64 {
            let value = options.split(&format!("{name}=")).nth(1).unwrap();
            value.split("ms").next().unwrap().parse().unwrap()
        };
        let (vanished, waits) = (milliseconds("idle_in_transaction_session_timeout"), milliseconds("lock_timeout"));
        assert!(vanished < waits, "{vanished} ms of silence are allowed, {waits} ms are waited");
    }
}
