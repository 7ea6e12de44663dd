//! Work that one replica does for the whole installation: it is done while a lease of its own is held.
//!
//! Guarantees: the work begins only under a lease, under an epoch that each of its writes checks, and is told to stop
//! when the lease is lost or the process ends. The lease is given back once it has stopped, so that a successor need not
//! wait for it to run out.

use std::future::Future;
use std::time::Duration;

use store::{Acquired, Fence, Lease, Store};
use telemetry::ErrorChain;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Who tries for the lease of what.
#[derive(Debug, Clone)]
pub struct Lessee {
    /// The lease's name.
    pub shard: &'static str,
    /// This process.
    pub holder: String,
    /// How long the lease lives without being renewed.
    pub ttl: Duration,
}

/// What the work is given each time the lease is taken.
#[derive(Debug, Clone)]
pub struct Held {
    /// Proof for each write.
    pub fence: Fence,
    /// Cancelled when the lease is lost, or the process ends: stop soon.
    pub stop: CancellationToken,
}

/// Does the work whenever the lease can be had, until told to stop.
pub async fn while_leased<W, F>(store: Store, lessee: Lessee, stop: CancellationToken, work: W)
where
    W: Fn(Held) -> F,
    F: Future<Output = ()>,
{
    let renew = lessee.ttl / 4;
    loop {
        let patience = match store.acquire_lease(lessee.shard, &lessee.holder, lessee.ttl).await {
            Ok(Acquired::Held(lease)) => {
                own(&store, &lessee, lease, &stop, &work).await;
                Duration::from_millis(100)
            }
            Ok(Acquired::HeldBy { remaining, .. }) => remaining.clamp(Duration::from_millis(100), renew),
            Err(error) => {
                tracing::warn!(lease = lessee.shard, error = %ErrorChain(&error), "the lease cannot be tried for");
                renew
            }
        };
        // Both arms are cancel safe.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(patience) => {}
        }
    }
}

async fn own<W, F>(store: &Store, lessee: &Lessee, lease: Lease, stop: &CancellationToken, work: &W)
where
    W: Fn(Held) -> F,
    F: Future<Output = ()>,
{
    let held = Held { fence: lease.fence(), stop: stop.child_token() };
    tracing::debug!(lease = lessee.shard, epoch = held.fence.epoch, "the lease is ours");
    let ended = held.stop.clone();
    let renewing = async {
        hold(store, lessee, &held.fence, lease.deadline(), &ended).await;
        ended.cancel();
    };
    let working = async {
        work(held.clone()).await;
        ended.cancel();
    };
    tokio::join!(renewing, working);
    // A lease that is lost already is not ours to give back; the store knows.
    if let Err(error) = store.release_lease(&held.fence, &lessee.holder).await {
        tracing::warn!(lease = lessee.shard, error = %ErrorChain(&error), "the lease was not given back; it runs out");
    }
}

/// Renews until told to stop, or the lease is lost.
async fn hold(store: &Store, lessee: &Lessee, fence: &Fence, mut deadline: Instant, stop: &CancellationToken) {
    let mut patience = lessee.ttl / 4;
    loop {
        // Both arms are cancel safe.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(patience) => {}
        }
        match tokio::time::timeout_at(deadline, store.renew_lease(fence, &lessee.holder, lessee.ttl)).await {
            Ok(Ok(lease)) => {
                deadline = lease.deadline();
                patience = lessee.ttl / 4;
            }
            Ok(Err(store::Error::StaleEpoch { .. })) | Err(_) => {
                tracing::warn!(lease = lessee.shard, epoch = fence.epoch, "the lease is lost");
                return;
            }
            Ok(Err(error)) => {
                tracing::warn!(lease = lessee.shard, error = %ErrorChain(&error), "the lease is not renewed");
                patience = Duration::from_millis(500);
            }
        }
    }
}
