//! The writer behind the audit trail: one replica chains what the others wrote, cuts off what is too old, and notes the
//! head in the log. It decides nothing about what is told.

use std::sync::Arc;
use std::time::Duration;

use store::{AUDIT_SHARD, Notification, Store};
use telemetry::ErrorChain;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::leased::{Held, Lessee, while_leased};
use crate::shared::Shared;

/// Entries are gathered for so long once one is heard of, so that a burst takes few transactions.
const GATHER: Duration = Duration::from_millis(50);
/// What no notification told of is found this soon.
const POLL: Duration = Duration::from_secs(2);
/// How often every replica looks how far the chain has come.
const GAUGE_PERIOD: Duration = Duration::from_secs(5);
/// How often old entries are looked for, and the head noted.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);

/// Chains, for as long as the lease is held; shows how far the chain has come, always.
pub(crate) async fn keep_trail(shared: Arc<Shared>, stop: CancellationToken) {
    let lessee = Lessee { shard: AUDIT_SHARD, holder: shared.config.holder.clone(), ttl: shared.config.lease_ttl };
    let chain = while_leased(shared.store.clone(), lessee, stop.clone(), |held| write(&shared, held));
    tokio::join!(chain, show(&shared, &stop));
}

async fn write(shared: &Shared, held: Held) {
    let store = &shared.store;
    let mut news = store.subscribe();
    let mut tidied: Option<Instant> = None;
    loop {
        let chained = store.chain_audit(&held.fence).await;
        match chained {
            Ok(chained) if chained.more => continue,
            Ok(_) => {}
            Err(store::Error::StaleEpoch { .. }) => return,
            // Another writer was there first, or the database is away: what waits, waits on.
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "the audit trail's entries could not be chained yet");
            }
        }
        if tidied.is_none_or(|at| at.elapsed() >= HOUSEKEEPING) {
            tidied = Some(Instant::now());
            housekeep(store, shared.config.audit_retention, &held).await;
        }
        // Every arm is cancel safe: what a lost notification would have told is found by the poll.
        tokio::select! {
            // What was accepted until now is chained before the lease is given back.
            () = held.stop.cancelled() => {
                let _ = store.chain_audit(&held.fence).await;
                return;
            }
            () = written(&mut news) => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Waits until somebody may have written something.
async fn written(news: &mut Receiver<Notification>) {
    loop {
        match news.recv().await {
            Ok(Notification::LeaseChanged { .. } | Notification::RequestAnswered { .. }) => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn housekeep(store: &Store, retention: Duration, held: &Held) {
    match store.prune_audit(retention, &held.fence).await {
        Ok(0) => {}
        Ok(pruned) => {
            tracing::info!(entries = pruned, "old entries of the audit trail were cut off behind a checkpoint");
        }
        Err(error) => tracing::warn!(error = %ErrorChain(&error), "old entries of the audit trail were not cut off"),
    }
    match store.audit_head().await {
        // Whoever keeps the log elsewhere can prove by it that the trail was not cut short or rewritten.
        Ok(Some(head)) => tracing::info!(audit.head = %head, "the audit trail's head"),
        Ok(None) => {}
        Err(error) => tracing::debug!(error = %ErrorChain(&error), "the audit trail's head cannot be read"),
    }
}

async fn show(shared: &Shared, stop: &CancellationToken) {
    loop {
        match shared.store.audit_state().await {
            Ok(state) => {
                let oldest = state.oldest_pending.unwrap_or_default();
                shared.metrics.audit.set_state(state.sequence, state.pending, oldest);
            }
            Err(error) => tracing::debug!(error = %ErrorChain(&error), "the audit trail's state cannot be read"),
        }
        // Both arms are cancel safe.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(GAUGE_PERIOD) => {}
        }
    }
}
