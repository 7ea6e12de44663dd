//! How a pass ends, well or badly: nothing that it did, was asked or is to come back to is lost.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use store::{JournalFilter, JournalRow, MutationOutcome, NewRequest, RequestKind};
use uuid::Uuid;

use crate::support::rig::{ACCOUNT, spec};
use crate::support::{Fault, Rig, eventually};

const LONG: Duration = Duration::from_secs(3600);

async fn journal(rig: &Rig) -> Vec<JournalRow> {
    let mut rows = rig.store.list_journal(&JournalFilter::default(), 100).await.unwrap();
    rows.reverse();
    rows
}

/// Asks for a reconcile, and does not wait.
async fn ask(rig: &Rig) -> Uuid {
    let request = NewRequest {
        kind: RequestKind::Reconcile,
        shard: ACCOUNT.to_owned(),
        environment: "prod".to_owned(),
        body: json!({}),
        ttl: Duration::from_secs(20),
    };
    rig.store.ask(&request).await.unwrap()
}

async fn answer(rig: &Rig, id: Uuid) -> Value {
    rig.store.wait_for_answer(id, Duration::from_secs(20)).await.unwrap().expect("an answer in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_off_that_ends_before_its_pass_is_not_forgotten() {
    let rig = Rig::new().await;
    rig.cloud.fail_next(Fault::NoEffect);
    rig.cloud.fail_next(Fault::Slow);
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], json!({}))).await;
    let mut config = rig.config();
    config.hot_period = LONG;
    let runtime = rig.start_with(config);
    rig.cloud.hanging.notified().await;
    rig.clock.advance(SignedDuration::from_secs(1));
    rig.cloud.go_on();
    rig.wait_for("prod", "Synced", "True InSync").await;
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_and_a_journal_row_that_were_forgotten_meanwhile_do_not_end_the_work_on_an_environment() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mut config = rig.config();
    config.hot_period = LONG;
    let runtime = rig.start_with(config);
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.fail_next(Fault::Slow);
    rig.redeclare("prod", spec(&[("one", "blue")], json!({}))).await;
    rig.cloud.hanging.notified().await;
    let sweeps = rig.cloud.sweeps();
    let id = ask(&rig).await;
    eventually("it is in hand", || async { (rig.cloud.sweeps() > sweeps).then_some(()) }).await;
    sqlx::query("DELETE FROM journal").execute(&rig.db.pool).await.unwrap();
    sqlx::query("DELETE FROM requests WHERE id = $1").bind(id).execute(&rig.db.pool).await.unwrap();
    rig.cloud.go_on();
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.tamper("one", |live| live.colour = "grey".to_owned());
    let asked = rig.ask(RequestKind::Reconcile, "prod", json!({})).await;
    assert_eq!(asked["handled"], true);
    assert_eq!(rig.cloud.get("Crate", "one").unwrap().colour, "blue", "it is still looked after");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_hand_when_the_lease_was_lost_is_taken_up_again_when_it_is_back() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mut config = rig.config();
    config.hot_period = LONG;
    let runtime = rig.start_with(config);
    rig.wait_for("prod", "Synced", "True InSync").await;
    rig.cloud.fail_next(Fault::Slow);
    rig.redeclare("prod", spec(&[("one", "blue")], json!({}))).await;
    rig.cloud.hanging.notified().await;
    let sweeps = rig.cloud.sweeps();
    let id = ask(&rig).await;
    eventually("it is in hand", || async { (rig.cloud.sweeps() > sweeps).then_some(()) }).await;
    sqlx::query("UPDATE leases SET epoch = epoch + 1, holder = 'another', expires_at = now() + interval '1 s'")
        .execute(&rig.db.pool)
        .await
        .unwrap();
    eventually("the lease is lost", || async { runtime.owned().is_empty().then_some(()) }).await;
    rig.cloud.go_on();
    assert_eq!(answer(&rig, id).await["handled"], true);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_while_a_pass_begins_loses_no_request() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mut config = rig.config();
    config.hot_period = LONG;
    let runtime = rig.start_with(config);
    rig.wait_for("prod", "Synced", "True InSync").await;
    sqlx::query("ALTER TABLE managed_resources RENAME TO put_away").execute(&rig.db.pool).await.unwrap();
    let passes = rig.passes();
    let id = ask(&rig).await;
    eventually("a pass has failed", || async { (rig.passes() > passes).then_some(()) }).await;
    sqlx::query("ALTER TABLE put_away RENAME TO managed_resources").execute(&rig.db.pool).await.unwrap();
    assert_eq!(answer(&rig, id).await["handled"], true);
    runtime.shutdown().await;
}

/// A lease that is not renewed, and calls that may take two of its six seconds.
fn short_lease(rig: &Rig) -> runtime::Config {
    let mut config = rig.config();
    config.lease_ttl = Duration::from_secs(6);
    config.lease_renew = LONG;
    config.call_timeout = Duration::from_secs(2);
    config
}

/// Keeps the journal from being written until the lease is too short for a call.
async fn hold_journal(rig: &Rig, then: impl FnOnce()) {
    let mut lock = rig.db.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE journal IN SHARE ROW EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    then();
    eventually("a write of the journal waits", || async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'journal'::regclass";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&rig.db.pool).await.unwrap();
        (waiting > 0).then_some(())
    })
    .await;
    eventually("the lease is short", || async {
        let lease = rig.store.lease_of(ACCOUNT).await.unwrap().unwrap();
        (lease.remaining < Duration::from_secs(2)).then_some(())
    })
    .await;
    lock.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_intent_took_so_long_that_it_might_outlive_the_lease_is_not_made() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mut runtime = None;
    hold_journal(&rig, || runtime = Some(rig.start_with(short_lease(&rig)))).await;
    let row = eventually("the intent is settled", || async {
        journal(&rig).await.into_iter().next().filter(|row| row.outcome.is_some())
    })
    .await;
    assert_eq!(row.outcome, Some(MutationOutcome::NotApplied));
    assert!(rig.cloud.writes().is_empty());
    runtime.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_that_runs_out_of_lease_records_what_it_did() {
    let rig = Rig::new().await;
    rig.cloud.fail_next(Fault::Slow);
    rig.declare("prod", spec(&[("one", "red"), ("two", "blue")], json!({}))).await;
    let runtime = rig.start_with(short_lease(&rig));
    rig.cloud.hanging.notified().await;
    hold_journal(&rig, || rig.cloud.go_on()).await;
    eventually("the event of what was done", || async { rig.events("Created").await.pop() }).await;
    assert_eq!(rig.cloud.writes(), ["CreateCrate one"]);
    assert!(rig.resource("prod", "Crate", "one").await.is_some());
    runtime.shutdown().await;
}
