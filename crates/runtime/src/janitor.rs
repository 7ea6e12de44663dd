//! Forgets what is old: events after 30 days, the journal after 90, the object log and requests after an hour.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use telemetry::ErrorChain;
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

const EVERY: Duration = Duration::from_secs(600);
const EVENTS: SignedDuration = SignedDuration::from_hours(30 * 24);
const JOURNAL: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Longer than any watch is away, and than anybody waits for an answer.
const LOG: Duration = Duration::from_secs(3600);

/// Tidies up now and then until stopped; only where an account is owned, so that one replica does it.
pub(crate) async fn tidy(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        // Both arms are cancel safe.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if shared.shards.all().is_empty() {
            continue;
        }
        if let Err(error) = once(&shared).await {
            tracing::warn!(error = %ErrorChain(&error), "old rows were not forgotten");
        }
    }
}

async fn once(shared: &Shared) -> Result<(), store::Error> {
    let now = shared.clock.now();
    let before = |age| now.saturating_sub(age).unwrap_or(now);
    shared.store.prune_events(before(EVENTS)).await?;
    shared.store.prune_journal(before(JOURNAL)).await?;
    shared.store.prune_requests(LOG).await?;
    shared.store.prune_log(LOG).await?;
    Ok(())
}
