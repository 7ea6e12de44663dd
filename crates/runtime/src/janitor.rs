//! Forgets what is old: events, approvals that count no longer and sweeps of what nothing declares after 30 days, the
//! journal and changes that ended after 400, the object log and requests after an hour.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use telemetry::ErrorChain;
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// Events, and what is of use to nobody.
const MONTH: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The journal, and changes that ended. As long as the audit trail is kept by default: its entries show the acts that
/// followed.
const TRAIL: SignedDuration = SignedDuration::from_hours(400 * 24);
/// Longer than any watch is away, and than anybody waits for an answer.
const LOG: Duration = Duration::from_secs(3600);

/// Tidies up now and then until stopped; only where an account is owned, so that one replica does it.
pub(crate) async fn tidy(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        // Both arms are cancel safe.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(shared.config.tidy_period) => {}
        }
        if shared.shards.all().is_empty() {
            continue;
        }
        once(&shared).await;
    }
}

/// Each by itself, so that one that fails stops no other; the log first, since it grows with every write.
async fn once(shared: &Shared) {
    let (store, now) = (&shared.store, shared.clock.now());
    let before = |age| now.saturating_sub(age).unwrap_or(now);
    said("object log", store.prune_log(LOG).await);
    said("requests", store.prune_requests(LOG).await);
    said("events", store.prune_events(before(MONTH)).await);
    said("approvals", store.prune_approvals(before(MONTH)).await);
    said("sweeps", store.prune_sweeps(before(MONTH)).await);
    said("changes", store.prune_changes(before(TRAIL)).await);
    said("journal", store.prune_journal(before(TRAIL)).await);
}

fn said(of: &str, forgotten: Result<u64, store::Error>) {
    if let Err(error) = forgotten {
        tracing::warn!(of, error = %ErrorChain(&error), "old rows were not forgotten");
    }
}
