//! One owner at a time.

use std::time::Duration;

use serde_json::json;

use crate::support::rig::{ACCOUNT, spec};
use crate::support::{Fault, Rig, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_works_and_the_other_takes_over_when_it_leaves() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let first = rig.start();
    eventually("the first owns it", || async { first.owned().pop() }).await;
    let second = rig.start();
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert!(second.owned().is_empty());
    first.shutdown().await;
    let owned = eventually("the second owns it", || async { second.owned().pop() }).await;
    assert_eq!(owned.epoch, 2);
    rig.cloud.tamper("one", |live| live.colour = "blue".to_owned());
    eventually("it works", || async { (rig.cloud.get("Crate", "one").unwrap().colour == "red").then_some(()) }).await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_owner_is_replaced_when_its_lease_has_run_out() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mortal = rig.start_mortal();
    rig.wait_for("prod", "Synced", "True InSync").await;
    mortal.kill();
    let second = rig.start();
    eventually("the second owns it", || async { second.owned().pop() }).await;
    assert_eq!(rig.condition("prod", "Synced").await, "True InSync", "a take-over does not unsay what is known");
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_whose_epoch_is_stale_starts_no_other_call_and_writes_nothing() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], json!({}))).await;
    rig.cloud.fail_next(Fault::Hang);
    let mut config = rig.config();
    config.call_timeout = Duration::from_secs(3);
    // It does not renew within the test: it learns of its loss by the epoch.
    config.lease_renew = Duration::from_secs(3);
    let stale = rig.start_with(config);
    rig.cloud.hanging.notified().await;
    // Somebody else takes the shard while the call is on its way.
    sqlx::query("UPDATE leases SET epoch = epoch + 1, holder = 'somebody else', expires_at = now() + interval '60 s'")
        .execute(&rig.db.pool)
        .await
        .unwrap();
    let version = rig.store.resource_version().await.unwrap();
    eventually("it has noticed", || async { stale.owned().is_empty().then_some(()) }).await;
    assert_eq!(rig.cloud.writes(), ["CreateCrate one"], "the call it had checked, and no other");
    assert_eq!(rig.store.resource_version().await.unwrap(), version);
    stale.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_comes_into_use_is_taken() {
    let rig = Rig::new().await;
    let runtime = rig.start();
    assert!(runtime.owned().is_empty());
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    rig.wait_for("prod", "Synced", "True InSync").await;
    assert_eq!(runtime.owned()[0].account.as_str(), ACCOUNT);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_ends_the_call_in_flight_starts_no_other_and_gives_the_lease_back() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], json!({}))).await;
    rig.cloud.fail_next(Fault::Hang);
    let mut config = rig.config();
    config.call_timeout = Duration::from_millis(700);
    let runtime = rig.start_with(config);
    rig.cloud.hanging.notified().await;
    tokio::time::timeout(Duration::from_secs(5), runtime.shutdown()).await.expect("it ends in time");
    assert_eq!(rig.cloud.writes(), ["CreateCrate one"]);
    let lease = rig.store.lease_of(ACCOUNT).await.unwrap().unwrap();
    assert!(lease.remaining.is_zero(), "{lease:?}");
    assert_eq!(rig.store.list_journal(&store::JournalFilter::default(), 9).await.unwrap()[0].effective, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_heart_beats() {
    let rig = Rig::new().await;
    let runtime = rig.start();
    let heartbeat = runtime.heartbeat();
    eventually("a beat", || async { (heartbeat.age() < Duration::from_millis(900)).then_some(()) }).await;
    runtime.shutdown().await;
}
