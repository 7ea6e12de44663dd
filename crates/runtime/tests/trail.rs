//! The writer behind the audit trail, and work that one replica does for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use runtime::{Lessee, while_leased};
use serde_json::json;
use store::AUDIT_SHARD;
use tokio_util::sync::CancellationToken;

use crate::support::rig::spec;
use crate::support::{Rig, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_replicas_chains_and_the_other_goes_on_when_it_leaves() {
    let rig = Rig::new().await;
    let (first, second) = (rig.start(), rig.start());
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let chained = |sequence: i64| {
        let store = rig.store.clone();
        move || {
            let store = store.clone();
            async move {
                let state = store.audit_state().await.unwrap();
                (state.sequence == sequence && state.pending == 0).then_some(())
            }
        }
    };
    eventually("the first entry is chained", chained(1)).await;
    first.shutdown().await;
    rig.declare("stage", spec(&[("two", "red")], json!({}))).await;
    eventually("so is the second", chained(2)).await;
    second.shutdown().await;
    let lease = rig.store.lease_of(AUDIT_SHARD).await.unwrap().unwrap();
    assert!(lease.remaining.is_zero(), "it was given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leased_work_is_told_when_its_lease_is_lost_and_somebody_goes_on() {
    let rig = Rig::new().await;
    let (at_once, runs) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let stop = CancellationToken::new();
    let workers: Vec<_> = ["one", "two", "three"]
        .into_iter()
        .map(|holder| {
            let lessee = Lessee { shard: "work", holder: holder.to_owned(), ttl: Duration::from_secs(2) };
            let (at_once, runs) = (Arc::clone(&at_once), Arc::clone(&runs));
            let work = move |held: runtime::Held| {
                let (at_once, runs) = (Arc::clone(&at_once), Arc::clone(&runs));
                async move {
                    at_once.fetch_add(1, Ordering::SeqCst);
                    runs.fetch_add(1, Ordering::SeqCst);
                    held.stop.cancelled().await;
                    at_once.fetch_sub(1, Ordering::SeqCst);
                }
            };
            tokio::spawn(while_leased(rig.store.clone(), lessee, stop.clone(), work))
        })
        .collect();
    let ran = |times: i64| {
        let runs = Arc::clone(&runs);
        move || {
            let runs = Arc::clone(&runs);
            async move { (runs.load(Ordering::SeqCst) >= times).then_some(()) }
        }
    };
    eventually("somebody works", ran(1)).await;
    // The holder does not renew: its next renewal is refused by the epoch, and it stops; then somebody works again.
    sqlx::query("UPDATE leases SET epoch = epoch + 1, expires_at = clock_timestamp() WHERE shard = 'work'")
        .execute(&rig.db.pool)
        .await
        .unwrap();
    eventually("somebody works again", ran(2)).await;
    stop.cancel();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(at_once.load(Ordering::SeqCst), 0);
    assert!(rig.store.lease_of("work").await.unwrap().unwrap().remaining.is_zero());
}
