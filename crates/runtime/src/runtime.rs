//! Starting everything, and stopping it in order.

use std::sync::Arc;

use engine::Registry;
use kinds::Cloud;
use model::AwsAccountId;
use rand::Rng as _;
use store::Store;
use telemetry::Metrics;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::keep_trail;
use crate::clock::Clock;
use crate::config::Config;
use crate::janitor::tidy;
use crate::runner::run_passes;
use crate::shard::{Orders, keep};
use crate::shared::Shared;
use crate::tasks::{Heartbeat, spawn_named};
use crate::wake::listen;

/// What the runtime works with.
pub struct Deps {
    /// Settings.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// The pure halves of the kinds.
    pub registry: Arc<Registry>,
    /// The IO halves.
    pub cloud: Arc<dyn Cloud>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where it counts.
    pub metrics: Metrics,
}

/// The runtime. [`Runtime::start`] is all there is to it.
pub struct Runtime;

/// A running runtime. Dropping it stops the work, without waiting.
pub struct Handle {
    shared: Arc<Shared>,
    orders: Orders,
    heartbeat: Heartbeat,
    passes: Option<tokio::task::JoinHandle<()>>,
}

/// An account that this replica owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// Which.
    pub account: AwsAccountId,
    /// Under which epoch.
    pub epoch: i64,
    /// How many environments it has.
    pub environments: usize,
}

impl Runtime {
    /// Starts the runtime's tasks on the present tokio runtime. Needs neither Postgres nor AWS to be reachable yet.
    ///
    /// It also runs the store's listener (`Store::run_listener`): nobody else should.
    pub fn start(deps: Deps) -> Handle {
        let shared = Arc::new(Shared::new(deps, || rand::rng().random()));
        let orders = Orders {
            stop: CancellationToken::new(),
            release: CancellationToken::new(),
            poke: Arc::new(Notify::new()),
            tracker: TaskTracker::new(),
        };
        let heartbeat = Heartbeat::new();
        let tracker = &orders.tracker;
        let passes = run_passes(Arc::clone(&shared), orders.stop.clone(), heartbeat.clone());
        let passes = spawn_named(tracker, "passes", passes);
        let wake = listen(Arc::clone(&shared), orders.stop.clone(), Arc::clone(&orders.poke), tracker.clone());
        spawn_named(tracker, "wake", wake);
        spawn_named(tracker, "janitor", tidy(Arc::clone(&shared), orders.stop.clone()));
        spawn_named(tracker, "audit", keep_trail(Arc::clone(&shared), orders.release.clone()));
        for account in shared.config.accounts.clone() {
            shared.metrics.environments.set_lease(account.as_str(), false);
            spawn_named(tracker, "shard", keep(Arc::clone(&shared), account, orders.clone()));
        }
        Handle { shared, orders, heartbeat, passes: Some(passes) }
    }
}

impl Handle {
    /// The main loop's heartbeat: for `/livez`.
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    /// The accounts that this replica owns now.
    pub fn owned(&self) -> Vec<Owned> {
        let shards = self.shared.shards.all();
        shards
            .into_iter()
            .map(|shard| Owned {
                environments: self.shared.holdings.environments_of(&shard.account).len(),
                epoch: shard.fence.epoch,
                account: shard.account,
            })
            .collect()
    }

    /// Stops: no new pass and no new step begins, calls in flight end and are recorded, leases are given back. Takes at
    /// most `Config::shutdown`.
    pub async fn shutdown(mut self) {
        let deadline = tokio::time::Instant::now() + self.shared.config.shutdown;
        self.orders.stop.cancel();
        if let Some(passes) = self.passes.take()
            && tokio::time::timeout_at(deadline, passes).await.is_err()
        {
            tracing::error!("passes did not end in time");
        }
        self.orders.release.cancel();
        self.orders.tracker.close();
        if tokio::time::timeout_at(deadline, self.orders.tracker.wait()).await.is_err() {
            tracing::error!("not all tasks ended in time");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.orders.stop.cancel();
        self.orders.release.cancel();
    }
}
