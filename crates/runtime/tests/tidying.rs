//! What is old is forgotten, each sort by itself.

use std::time::Duration;

use serde_json::json;

use crate::support::rig::spec;
use crate::support::{Rig, eventually};

async fn count(rig: &Rig, what: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {what}")))
        .fetch_one(&rig.db.pool)
        .await
        .unwrap()
}

async fn run(rig: &Rig, sql: &'static str) {
    sqlx::query(sql).execute(&rig.db.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_forgotten_keeps_nothing_else_from_being_forgotten() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    let mut config = rig.config();
    config.tidy_period = Duration::from_millis(50);
    let runtime = rig.start_with(config);
    rig.wait_for("prod", "Synced", "True InSync").await;
    // Of each sort in the janitor's order one cannot be deleted: the log's, then the requests', then the events'.
    run(&rig, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'kept by a test'; END $$")
        .await;
    for table in ["object_log", "requests", "events"] {
        let sql = format!("CREATE TRIGGER refuse BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&rig.db.pool).await.unwrap();
    }
    run(
        &rig,
        "INSERT INTO requests (id, kind, shard, environment, body, created_at, deadline)
         VALUES (gen_random_uuid(), 'Plan', 'nobody', 'gone', '{}', now() - interval '1 day', now() - interval '1 day')",
    )
    .await;
    run(&rig, "UPDATE events SET last_seen = last_seen - interval '1 year'").await;
    run(&rig, "UPDATE object_log SET logged_at = logged_at - interval '1 day'").await;
    assert!(count(&rig, "journal WHERE outcome = 'Applied'").await > 0, "the environment was made by calls");
    run(&rig, "UPDATE journal SET begun_at = begun_at - interval '2 years'").await;
    eventually("the journal is forgotten, the last of all", || async {
        (count(&rig, "journal").await == 0).then_some(())
    })
    .await;
    for table in ["object_log", "requests", "events"] {
        let kept = count(&rig, table).await;
        assert!(kept > 0, "{table} could be deleted: the test tests nothing");
        let sql = format!("DROP TRIGGER refuse ON {table}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&rig.db.pool).await.unwrap();
    }
    eventually("and the rest as soon as it can be", || async {
        let old = [
            count(&rig, "object_log WHERE logged_at < now() - interval '2 hours'").await,
            count(&rig, "requests").await,
            count(&rig, "events WHERE last_seen < now() - interval '60 days'").await,
        ];
        (old == [0, 0, 0]).then_some(())
    })
    .await;
    assert_eq!(rig.condition("prod", "Synced").await, "True InSync", "the environment itself stays");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mutation_of_which_nobody_knows_the_outcome_is_never_forgotten() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red"), ("two", "red")], json!({}))).await;
    let mut config = rig.config();
    config.tidy_period = Duration::from_millis(50);
    let runtime = rig.start_with(config);
    rig.wait_for("prod", "Synced", "True InSync").await;
    // Of an environment that is gone, so that no pass settles it.
    run(&rig, "UPDATE journal SET begun_at = begun_at - interval '2 years'").await;
    run(
        &rig,
        "INSERT INTO journal (environment_uid, environment, account, region, kind, identity, step, body, risk, generation,
                              epoch, token, begun_at)
         VALUES (gen_random_uuid(), 'gone', '1', 'r', 'Crate', 'x', 'CreateCrate', '{}', 'Safe', 1, 1, 't',
                 now() - interval '2 years')",
    )
    .await;
    eventually("what is settled is forgotten", || async {
        (count(&rig, "journal WHERE outcome IS NOT NULL").await == 0).then_some(())
    })
    .await;
    assert_eq!(count(&rig, "journal WHERE environment = 'gone'").await, 1);
    runtime.shutdown().await;
}
