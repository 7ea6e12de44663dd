//! An account is taken over while its environments change.

use serde_json::json;

use crate::support::rig::spec;
use crate::support::{Rig, eventually};

/// Lists of environments wait for this advisory lock, after they have settled what they will see.
const GATE: i64 = 4711;

/// Puts a view in the place of the table, which lets nothing but lists wait.
async fn gate(rig: &Rig) {
    for sql in [
        "ALTER TABLE environments RENAME TO environments_behind",
        "CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
         BEGIN
             IF current_query() LIKE '%LEFT JOIN LATERAL%' THEN
                 PERFORM pg_advisory_lock_shared(4711);
                 PERFORM pg_advisory_unlock_shared(4711);
             END IF;
             RETURN true;
         END $$",
        "CREATE VIEW environments AS SELECT * FROM environments_behind WHERE gate()",
    ] {
        sqlx::query(sql).execute(&rig.db.pool).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_declared_while_the_list_was_read_is_looked_after() {
    let rig = Rig::new().await;
    rig.declare("prod", spec(&[("one", "red")], json!({}))).await;
    gate(&rig).await;
    let mut closed = rig.db.pool.acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)").bind(GATE).execute(&mut *closed).await.unwrap();
    let runtime = rig.start();
    eventually("the list waits, its rows settled", || async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&rig.db.pool).await.unwrap();
        (waiting > 0).then_some(())
    })
    .await;
    rig.redeclare("prod", spec(&[("one", "red"), ("two", "blue")], json!({}))).await;
    eventually("a pass has made what is new", || async { rig.cloud.get("Crate", "two") }).await;
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(GATE).execute(&mut *closed).await.unwrap();
    drop(closed);
    rig.wait_for("prod", "Synced", "True InSync").await;
    // The list was told of the first generation alone. The second's object is swept all the same.
    eventually("the list was read", || async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&rig.db.pool).await.unwrap();
        (waiting == 0).then_some(())
    })
    .await;
    for colour in ["grey", "black"] {
        rig.cloud.tamper("two", |live| live.colour = colour.to_owned());
        eventually("it is put right", || async { (rig.cloud.get("Crate", "two")?.colour == "blue").then_some(()) })
            .await;
    }
    assert_eq!(rig.row("prod").await.status["resources"]["total"], 2);
    runtime.shutdown().await;
}
