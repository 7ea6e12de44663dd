//! Plain environment values stand in the spec that somebody wrote, and nowhere else: not in the journal, not in events,
//! statuses, plans, the audit trail, and not in the log.

use anyhow::{Result, ensure};
use e2e::wait::until;
use e2e::world::{CONVERGES, World};
use serde_json::json;
use testkit::fixtures::patched;

const FIRST: &str = "first-private-71c9";
const SECOND: &str = "second-private-93ab";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environment_values_stand_in_the_spec_alone() -> Result<()> {
    let world = World::new().await?;
    let setup = world.setup()?.set("RUST_LOG", "debug").set("EVENTCHAIN_LOG_FILTER", "debug").quiet();
    setup.run(&["migrate"]).await?;
    let daemon = setup.start("operator").await?;
    let api = daemon.api();
    let with =
        |value: &str| json!({ "spec": { "services": { "event-service": { "environment": { "TOKEN": value } } } } });
    api.create(&patched(world.document(), &with(FIRST))).await?;
    api.converged("prod", CONVERGES).await?;
    let plan = api.post("environments/prod/plan", &json!({ "patch": with(SECOND) })).await?;
    ensure!(plan.status == 200 && plan.text.contains("RegisterTaskDefinition"), "{}", plan.text);
    let change = json!({ "spec": { "environment": "prod", "message": "another value", "patch": with(SECOND) } });
    let posted = api.post("changes", &change).await?;
    ensure!(posted.status == 201, "{}", posted.text);
    let shown = [&posted.json["status"], &plan.json];
    api.converged("prod", CONVERGES).await?;
    // AWS has it: what follows looks for something that was there to be told.
    until("the new value to be registered", CONVERGES, async || {
        let body = json!({ "taskDefinition": "eventchain-event-service" });
        let live = simaws::testing::json(&world.sim, "ecs", "DescribeTaskDefinition", body).await;
        if live.body.to_string().contains(SECOND) { Ok(()) } else { Err(live.body.to_string()) }
    })
    .await?;
    for value in [FIRST, SECOND] {
        ensure!(shown.iter().all(|shown| !shown.to_string().contains(value)), "{value} in a plan: {shown:?}");
        let spec: i64 = sqlx::query_scalar("SELECT count(*) FROM revisions WHERE spec::text LIKE '%' || $1 || '%'")
            .bind(value)
            .fetch_one(&world.database.pool)
            .await?;
        ensure!(spec > 0, "{value} is not even in the spec: this test looks for nothing");
        for (table, text) in [
            ("journal", "t::text"),
            ("events", "t::text"),
            ("managed_resources", "t::text"),
            ("approvals", "t::text"),
            ("audit_log", "t::text"),
            ("audit_pending", "t::text"),
            ("requests", "t.answer::text"),
            ("revisions", "t.diff::text"),
            ("changes", "t.plan::text || t.outcome::text"),
            ("environments", "t.status::text"),
            ("object_log", "CASE WHEN kind IN ('Event', 'ManagedResource', 'AuditEntry') THEN t::text END"),
        ] {
            let sql = format!("SELECT {text} FROM {table} t WHERE {text} LIKE '%' || $1 || '%' LIMIT 1");
            let found: Option<String> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(value).fetch_optional(&world.database.pool).await?;
            ensure!(found.is_none(), "{value} stands in {table}: {found:?}");
        }
        ensure!(!daemon.log().iter().any(|line| line.contains(value)), "{value} is in the log");
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM journal WHERE step = 'RegisterTaskDefinition'")
        .fetch_one(&world.database.pool)
        .await?;
    ensure!(rows > 1, "revisions were registered, and journalled");
    daemon.stop(&[]).await
}
