//! Ownership of accounts: one lease each, taken when it is free, renewed, watched, and given back.
//!
//! What a shard's loss means: its passes start no other call, its sweeps stop, what was seen is forgotten. The epoch
//! keeps whatever is still on its way from being written.

use std::sync::Arc;
use std::time::Duration;

use model::AwsAccountId;
use store::{Acquired, EnvironmentFilter, Lease, PageRequest};
use telemetry::ErrorChain;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::holdings::EnvName;
use crate::observer::observe;
use crate::pass::Document;
use crate::queue::Priority;
use crate::shared::{Shard, Shared, lock};
use crate::tasks::spawn_named;

/// The tokens and the wake-up that a shard's task obeys.
#[derive(Clone)]
pub(crate) struct Orders {
    /// No new work.
    pub(crate) stop: CancellationToken,
    /// The passes have ended: give the leases back.
    pub(crate) release: CancellationToken,
    /// A lease may have become free, or an account come into use.
    pub(crate) poke: Arc<Notify>,
    pub(crate) tracker: TaskTracker,
}

/// Takes an account whenever it is in use and free, and keeps it, until told to release it.
pub(crate) async fn keep(shared: Arc<Shared>, account: AwsAccountId, orders: Orders) {
    loop {
        let patience = match take(&shared, &account).await {
            Taken::Held(lease) => {
                own(&shared, &account, lease, &orders).await;
                Duration::ZERO
            }
            Taken::HeldFor(remaining) => remaining.min(shared.config.lease_renew),
            Taken::NotNow => shared.config.lease_renew,
        };
        if orders.stop.is_cancelled() {
            return;
        }
        // A lost lease is tried for again at once, but never in a tight loop.
        let patience = patience.max(Duration::from_millis(100));
        // Every arm is cancel safe.
        tokio::select! {
            () = orders.stop.cancelled() => return,
            () = orders.poke.notified() => {}
            () = tokio::time::sleep(patience) => {}
        }
    }
}

enum Taken {
    Held(Lease),
    HeldFor(Duration),
    NotNow,
}

async fn take(shared: &Shared, account: &AwsAccountId) -> Taken {
    let result = async {
        let in_use = shared.store.account_in_use(account.as_str()).await?;
        shared.metrics.environments.set_in_use(account.as_str(), in_use);
        if !in_use {
            return Ok(Taken::NotNow);
        }
        let acquired = shared.store.acquire_lease(account.as_str(), &shared.config.holder, shared.config.lease_ttl);
        Ok(match acquired.await? {
            Acquired::Held(lease) => Taken::Held(lease),
            Acquired::HeldBy { remaining, .. } => Taken::HeldFor(remaining),
        })
    };
    result.await.unwrap_or_else(|error: store::Error| {
        tracing::warn!(%account, error = %ErrorChain(&error), "the account's lease cannot be tried for");
        Taken::NotNow
    })
}

/// Owns an account until its lease is lost or to be given back.
async fn own(shared: &Arc<Shared>, account: &AwsAccountId, lease: Lease, orders: &Orders) {
    let shard = Shard::new(account.clone(), lease.fence(), lease.deadline(), orders.stop.child_token());
    tracing::info!(%account, epoch = shard.fence.epoch, "the account is ours");
    shared.shards.insert(shard.clone());
    shared.metrics.environments.set_lease(account.as_str(), true);
    let observer = spawn_named(&orders.tracker, "observer", observe(Arc::clone(shared), shard.clone()));
    let lost = {
        let holding = hold(shared, &shard, orders);
        tokio::pin!(holding);
        // The lease is renewed while the environments are read. A lost one ends the reading, which keeps nothing.
        let lost = tokio::select! {
            lost = &mut holding => Some(lost),
            () = take_over_at_last(shared, &shard) => None,
        };
        match lost {
            Some(lost) => lost,
            None => holding.await,
        }
    };
    shard.stop.cancel();
    shared.shards.remove(account);
    shared.metrics.environments.set_lease(account.as_str(), false);
    // Its sweeps in flight are reads: they are dropped.
    if observer.await.is_err() {
        tracing::error!(%account, "the observer did not end well");
    }
    for name in shared.holdings.remove_account(account) {
        // Its requests are the next owner's; if that is us again, they are taken up anew.
        shared.forget(&name);
        shared.take_requests(&name);
    }
    if lost {
        tracing::warn!(%account, epoch = shard.fence.epoch, "the account's lease is lost");
    } else if let Err(error) = shared.store.release_lease(&shard.fence, &shared.config.holder).await {
        tracing::warn!(%account, error = %ErrorChain(&error), "the account's lease was not given back; it runs out");
    }
}

/// Renews until the lease is lost (answers true), or to be given back.
async fn hold(shared: &Shared, shard: &Shard, orders: &Orders) -> bool {
    let mut renew_at = Instant::now() + shared.config.lease_renew;
    loop {
        // Both arms are cancel safe.
        tokio::select! {
            () = orders.release.cancelled() => return false,
            () = tokio::time::sleep_until(renew_at) => {}
        }
        let deadline = shard.deadline();
        let renewal = shared.store.renew_lease(&shard.fence, &shared.config.holder, shared.config.lease_ttl);
        match tokio::time::timeout_at(deadline, renewal).await {
            Ok(Ok(lease)) => {
                shard.prolong(lease.deadline());
                renew_at = Instant::now() + shared.config.lease_renew;
            }
            Ok(Err(store::Error::StaleEpoch { .. })) | Err(_) => return true,
            Ok(Err(error)) => {
                tracing::warn!(account = %shard.account, error = %ErrorChain(&error), "the lease is not renewed");
                if Instant::now() >= deadline {
                    return true;
                }
                renew_at = Instant::now() + Duration::from_millis(500);
            }
        }
    }
}

/// Takes over as soon as the store lets us.
async fn take_over_at_last(shared: &Shared, shard: &Shard) {
    while let Err(error) = take_over(shared, shard).await {
        tracing::warn!(account = %shard.account, error = %ErrorChain(&error), "the account's environments cannot be read");
        tokio::time::sleep(shared.config.lease_renew).await;
    }
}

/// Reads all environments of an account, has their objects looked at, and passes each once that is done: the first
/// pass after a take-over does not say "unknown" of what is known in a second.
pub(crate) async fn take_over(shared: &Shared, shard: &Shard) -> Result<(), store::Error> {
    let filter = EnvironmentFilter { accounts: vec![shard.account.to_string()], ..EnvironmentFilter::default() };
    let before = shared.cache.ticket();
    let rows = shared.store.list_environments(&filter, &PageRequest::default()).await?.items;
    for row in rows {
        let name: EnvName = row.name.as_str().into();
        if shared.holdings.looks_after(&name) {
            // A pass has read it meanwhile, and perhaps a newer generation than this row's.
            shared.queue.add(name, Priority::Background);
            continue;
        }
        match Document::read(&shared.registry, &shared.config.installation, &row) {
            Ok(document) => {
                let document = Arc::new(document);
                let new = shared.holdings.set(&name, &shard.account, Arc::clone(&document.graph));
                lock(&shared.taken_over).insert(Arc::clone(&name), (row.uid, before, document));
                shared.wishes.soon(new);
                let groups = shared.holdings.groups_of_environment(&name);
                if groups.is_empty() {
                    shared.queue.add(name, Priority::Background);
                } else {
                    shared.wishes.fresh(&name, groups, before, Priority::Background, None);
                }
            }
            // The pass says so in the status.
            Err(_) => shared.queue.add(name, Priority::Background),
        }
    }
    Ok(())
}
