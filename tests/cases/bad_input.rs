//! Bad input: 422 with every problem's path at once, and nothing stored.

use anyhow::{Result, ensure};
use e2e::world::World;
use serde_json::{Value, json};
use testkit::fixtures::{named, patched};

/// What is wrong, the patch that makes it so, and the paths that must be named.
fn cases() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let long = "a".repeat(300);
    vec![
        ("unknown field", json!({ "spec": { "database": { "multiAZ": true } } }), vec!["spec.database.multiAZ"]),
        (
            "wrong unit",
            json!({ "spec": { "services": { "api-gateway": { "autoscaling": { "scaleInCooldown": "5 parsecs" } } } } }),
            vec!["spec.services.api-gateway.autoscaling.scaleInCooldown"],
        ),
        (
            "overlapping windows",
            json!({ "spec": { "database": { "backups": { "window": "04:30-05:30" } } } }),
            vec!["spec.database"],
        ),
        (
            "plaintext password",
            json!({ "spec": { "database": { "masterPassword": "hunter2" } } }),
            vec!["spec.database.masterPassword"],
        ),
        (
            "an encrypted instance copied without a key of the target region",
            json!({ "spec": { "database": { "snapshots": { "copyTo": [{ "region": "us-west-2", "keep": 7 }] } } } }),
            vec!["spec.database.snapshots.copyTo[0].kmsKeyId"],
        ),
        (
            "image beside a pipeline",
            json!({ "spec": { "pipeline": { "deploy": { "service": "event-service" } } } }),
            vec!["spec.services.event-service.image"],
        ),
        (
            "a name that AWS would refuse",
            json!({ "spec": { "cluster": { "name": long }, "database": { "identifier": "-9-" } } }),
            vec!["spec.cluster.name", "spec.database.identifier"],
        ),
        (
            "many rules at once",
            json!({ "spec": {
                "services": { "order-service": { "cpu": 333 }, "event-service": { "image": "no image at all" } },
                "alarms": { "EventChain-bad-High-CPU": { "period": "7s", "evaluationPeriods": 0 } },
                "database": { "storageGib": 1, "backups": { "window": "25:00-26:00" } }
            } }),
            vec!["spec.services.order-service", "spec.alarms.EventChain-bad-High-CPU", "spec.database.storageGib"],
        ),
        (
            "many of the wrong type at once",
            json!({ "spec": {
                "aws": { "accountId": "12" },
                "services": { "event-service": { "desiredCount": -1 }, "order-service": { "cpu": "much" } }
            } }),
            vec!["spec.aws.accountId", "spec.services.event-service.desiredCount", "spec.services.order-service.cpu"],
        ),
    ]
}

fn causes(status: &Value) -> Vec<String> {
    let all = status["details"]["causes"].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|cause| Some(cause["field"].as_str()?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_problem_is_named_with_its_path_and_nothing_is_stored() -> Result<()> {
    let world = World::new().await?;
    let daemon = world.setup()?.start("operator").await?;
    let api = daemon.api();
    for (what, patch, paths) in cases() {
        let document = patched(named("bad", &world.load_balancer), &patch);
        let answer = api.post("environments", &document).await?;
        ensure!(answer.status == 422, "{what}: {} {}", answer.status, answer.text);
        ensure!(answer.json["kind"] == "Status" && answer.json["code"] == 422, "{what}: {}", answer.text);
        let causes = causes(&answer.json);
        for path in paths {
            ensure!(causes.iter().any(|cause| cause.starts_with(path)), "{what}: {path} is not in {causes:?}");
        }
        ensure!(!answer.text.contains("hunter2"), "{what}: the refused value is repeated: {}", answer.text);
    }
    let all = api.get("/apis/eventchain.io/v1/environments").await?;
    ensure!(all.json["items"].as_array().is_some_and(Vec::is_empty), "{}", all.text);
    let stored: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM environments), (SELECT count(*) FROM claims), (SELECT count(*) FROM revisions)",
    )
    .fetch_one(&world.database.pool)
    .await?;
    ensure!(stored == (0, 0, 0), "{stored:?}");
    ensure!(world.sim.with_calls(simaws::Calls::mutating) == 0, "AWS was written to");
    daemon.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_update_may_not_do_is_refused_and_the_old_spec_stays() -> Result<()> {
    let world = World::new().await?;
    let daemon = world.setup()?.start("operator").await?;
    let api = daemon.api();
    api.create(&world.document()).await?;

    let smaller = json!({ "spec": { "database": { "storageGib": 50 } } });
    let answer = api.patch("environments/prod", &smaller).await?;
    ensure!(answer.status == 422, "storage shrink: {} {}", answer.status, answer.text);
    ensure!(causes(&answer.json).iter().any(|cause| cause == "spec.database.storageGib"), "{}", answer.text);
    let change = json!({ "spec": { "environment": "prod", "message": "shrink", "patch": smaller } });
    let answer = api.post("changes", &change).await?;
    ensure!(answer.status == 422, "storage shrink by a change: {} {}", answer.status, answer.text);

    // Another environment claims the cluster of the first.
    let thief = patched(
        named("thief", &world.load_balancer),
        &json!({ "spec": { "cluster": { "name": "eventchain-cluster" } } }),
    );
    let answer = api.post("environments", &thief).await?;
    ensure!(answer.status == 422, "a second claim: {} {}", answer.status, answer.text);
    ensure!(answer.text.contains("prod"), "it names the holder: {}", answer.text);

    let stale = patched(world.document(), &json!({ "metadata": { "resourceVersion": "1" } }));
    let path = "/apis/eventchain.io/v1/environments/prod";
    let answer = api.send(http::Method::PUT, path, "application/json", stale.to_string()).await?;
    ensure!(answer.status == 409, "a stale resourceVersion: {} {}", answer.status, answer.text);

    let answer =
        api.send(http::Method::POST, "/apis/eventchain.io/v1/environments", "application/json", "{".into()).await?;
    ensure!(answer.status == 400, "what cannot be decoded: {} {}", answer.status, answer.text);
    let form = "application/x-www-form-urlencoded";
    let answer = api.send(http::Method::POST, "/apis/eventchain.io/v1/environments", form, "a=b".into()).await?;
    ensure!(answer.status == 415 && answer.text.contains("application/"), "{} {}", answer.status, answer.text);

    let environment = api.environment("prod").await?;
    ensure!(environment["metadata"]["generation"] == 1, "{environment}");
    ensure!(environment["spec"]["database"]["storageGib"] == 100, "{environment}");
    daemon.stop(&[]).await
}
