//! Notifications: stored events, told to receivers outside (webhooks, SNS topics). At least once, under one id each; in
//! order as long as the receiver takes them.
//!
//! Flow: one replica (the lease `notify`) follows the events (`follow`), asks of each which receivers want it (`select`,
//! pure), and queues deliveries in the transaction that moves its cursor. One sender for each receiver (`send`) takes
//! what is due, so that one which is down holds up no other, and no pass at all.
//!
//! Must not: hold SQL, name an AWS SDK (a `Publisher` is handed in), or change what is stored of environments.

mod backoff;
mod config;
mod follow;
mod message;
mod select;
mod send;
mod sign;
mod sns;
mod topics;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runtime::{Clock, Held, Lessee, while_leased};
use store::Store;
use telemetry::{ErrorChain, Metrics};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{Config, Receiver, Target, Timing, Webhook};
pub use select::Wants;
pub use send::{Failed, Failure};
pub use sign::{Secret, sign};
pub use sns::{Publisher, SnsMessage};
pub use topics::{Class, Severity, classes, topic};
pub use webhook::is_metadata_address;

use send::{Channel, Sender, give_up_old};

/// The lease under which one replica notifies for all.
const SHARD: &str = "notify";
/// How often the gauges of what waits are set.
const GAUGE_PERIOD: Duration = Duration::from_secs(5);
/// How often settled deliveries are forgotten, once they are a week old, and receivers that are no longer configured; and
/// how often the limits are held against a receiver that takes messages, but too slowly.
const TIDY_PERIOD: Duration = Duration::from_secs(300);
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What notifications work with.
pub struct Deps {
    /// Receivers and times.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// The clock, for the time stamps of messages.
    pub clock: Arc<dyn Clock>,
    /// Where it counts.
    pub metrics: Metrics,
    /// How SNS is reached.
    pub publisher: Arc<dyn Publisher>,
}

/// Running notifications.
pub struct Handle {
    stop: CancellationToken,
    tracker: TaskTracker,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    /// Wakes the sender of each receiver.
    pub(crate) wake: BTreeMap<String, Notify>,
    channels: BTreeMap<String, Channel>,
}

impl Shared {
    /// Names of the receivers.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.config.receivers.iter().map(|receiver| &*receiver.name).collect()
    }
}

/// Starts notifying on the present tokio runtime. Without receivers those of before are forgotten, so that one which comes
/// back later is not told of what happened meanwhile.
///
/// # Errors
/// When a webhook has an `https` URL and the platform has no root certificates.
pub fn start(deps: Deps) -> Result<Handle, std::io::Error> {
    let Deps { config, store, clock, metrics, publisher } = deps;
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let client = webhook::client(config.receivers.iter().any(Receiver::needs_tls))?;
    let channel = |receiver: &Receiver| match &receiver.target {
        Target::Webhook(hook) => Channel::Webhook { client: Box::new(client.clone()), hook: Box::new(hook.clone()) },
        Target::Sns { topic_arn } => Channel::Sns { publisher: Arc::clone(&publisher), topic_arn: topic_arn.clone() },
    };
    let named = |receiver: &Receiver| receiver.name.clone();
    let shared = Arc::new(Shared {
        wake: config.receivers.iter().map(|receiver| (named(receiver), Notify::new())).collect(),
        channels: config.receivers.iter().map(|receiver| (named(receiver), channel(receiver))).collect(),
        config,
        store,
        clock,
        metrics,
    });
    let lessee = Lessee { shard: SHARD, holder: shared.config.holder.clone(), ttl: shared.config.timing.lease_ttl };
    let store = shared.store.clone();
    if shared.config.receivers.is_empty() {
        tracker.spawn(nobody(shared, lessee, stop.clone()));
    } else {
        tracker.spawn(while_leased(store, lessee, stop.clone(), move |held| notify(Arc::clone(&shared), held)));
    }
    Ok(Handle { stop, tracker })
}

impl Handle {
    /// Stops: the attempts under way end, the lease is given back. What waits is kept.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// All that is done under the lease, until it is to end.
async fn notify(shared: Arc<Shared>, held: Held) {
    let senders = shared.config.receivers.iter().filter_map(|receiver| {
        let channel = shared.channels.get(&receiver.name)?;
        Some(Sender::new(&shared, receiver, channel, &held).run())
    });
    tokio::join!(
        futures::future::join_all(senders),
        follow::follow(&shared, &held),
        show(&shared, &held),
        tidy(&shared, &held),
    );
    for receiver in &shared.config.receivers {
        // Another replica tells from now on.
        shared.metrics.notifications.set_waiting(&receiver.name, 0, Duration::ZERO);
    }
}

async fn show(shared: &Shared, held: &Held) {
    loop {
        match shared.store.notification_receivers().await {
            Ok(known) => {
                for receiver in &shared.config.receivers {
                    let waits = known.iter().find(|one| one.name == receiver.name);
                    let (waiting, oldest) = waits.map_or((0, Duration::ZERO), |one| (one.waiting, one.oldest));
                    shared.metrics.notifications.set_waiting(&receiver.name, waiting, oldest);
                }
            }
            Err(error) => tracing::debug!(error = %ErrorChain(&error), "what waits to be delivered cannot be read"),
        }
        // Both arms are cancel safe.
        tokio::select! {
            () = held.stop.cancelled() => return,
            () = tokio::time::sleep(GAUGE_PERIOD) => {}
        }
    }
}

async fn tidy(shared: &Shared, held: &Held) {
    let (names, grace) = (shared.names(), shared.config.timing.forget_after);
    loop {
        match shared.store.forget_receivers(&names, grace, &held.fence).await {
            Ok(0) => {}
            Ok(dropped) => {
                tracing::warn!(dropped, "notifications for receivers that are no longer configured were dropped");
            }
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "receivers were not forgotten"),
        }
        for name in &names {
            if let Err(error) = give_up_old(shared, held, name, "it takes them too slowly").await {
                tracing::warn!(receiver = name, error = %ErrorChain(&error), "old notifications were not given up");
            }
        }
        if let Err(error) = shared.store.prune_notifications(KEPT, &held.fence).await {
            tracing::warn!(error = %ErrorChain(&error), "old notifications were not forgotten");
        }
        // Both arms are cancel safe.
        tokio::select! {
            () = held.stop.cancelled() => return,
            () = tokio::time::sleep(TIDY_PERIOD) => {}
        }
    }
}

/// Nobody is to be told: forgets whoever was told before, once. An installation without notifications takes no lease.
async fn nobody(shared: Arc<Shared>, lessee: Lessee, stop: CancellationToken) {
    let poll = shared.config.timing.poll;
    loop {
        match shared.store.notification_receivers().await {
            Ok(known) if known.is_empty() => return,
            Ok(_) => break,
            Err(error) => tracing::debug!(error = %ErrorChain(&error), "receivers of before cannot be read yet"),
        }
        // Both arms are cancel safe.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(poll) => {}
        }
    }
    let done = stop.child_token();
    let (store, ended) = (shared.store.clone(), done.clone());
    while_leased(store, lessee, done, move |held| {
        let (store, ended) = (shared.store.clone(), ended.clone());
        async move {
            match store.enrol_receivers(&[], &held.fence).await {
                Ok(_) => ended.cancel(),
                Err(error) => tracing::warn!(error = %ErrorChain(&error), "receivers were not forgotten"),
            }
        }
    })
    .await;
}
