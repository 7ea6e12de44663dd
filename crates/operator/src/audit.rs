//! `operator audit verify`: walks the audit trail's chain in the database. Changes nothing.

use std::path::Path;

use anyhow::{Context as _, Result};
use store::{Head, Store, Verifier};

use crate::say::say;
use crate::serve::{load, open_once};

/// Entries read at once.
const BATCH: u32 = 1000;

/// Walks the chain and says where it ends, or fails naming the first entry that does not hold.
pub async fn verify(file: Option<&Path>, expected: Option<Head>) -> Result<()> {
    let store = open_once(&load(file)?).await?;
    let (head, first) = walk(&store, expected).await?;
    let waiting = store.audit_state().await.context("the audit trail cannot be read")?.pending;
    if head.sequence == 0 {
        say(format!("OK: the audit trail is empty; {waiting} entries wait to be chained"));
    } else {
        say(format!("OK: entries {first} to {} hold; {waiting} wait to be chained\nhead {head}", head.sequence));
    }
    Ok(())
}

/// The chain's head, and the first entry that is still there.
pub async fn walk(store: &Store, expected: Option<Head>) -> Result<(Head, i64)> {
    let unreadable = "the audit trail cannot be read";
    let mut verifier = Verifier::new(store.audit_checkpoints().await.context(unreadable)?, expected);
    let (mut after, mut first) = (0, 0);
    loop {
        let links = store.audit_links(after, BATCH).await.context(unreadable)?;
        let Some(last) = links.last() else { break };
        if first == 0 {
            first = links.first().map_or(0, |link| link.sequence);
            anyhow::ensure!(
                expected.is_none_or(|head| head.sequence >= first),
                "entry {} was cut off long ago: only a head from {first} on can be compared",
                expected.map_or(0, |head| head.sequence)
            );
        }
        after = last.sequence;
        links.iter().try_for_each(|link| verifier.push(link)).context("BROKEN: the audit trail does not hold")?;
    }
    // Looked at after the last entry: what tells of a checkpoint may still wait.
    let waiting = store.audit_state().await.context(unreadable)?.pending > 0;
    let head = verifier.finish(waiting).context("BROKEN: the audit trail does not hold")?;
    Ok((head, first))
}
