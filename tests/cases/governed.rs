//! Governed changes, whole: approved by a second person and applied in a window; and a bad rollout that takes itself back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::api::{Api, condition};
use e2e::hand;
use e2e::wait::until;
use e2e::wire::element;
use e2e::world::{CONVERGES, World};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::fixtures::patched;

/// The window opens within two minutes.
const OPENS: Duration = Duration::from_secs(150);

fn name(change: &Value) -> Result<&str> {
    change["metadata"]["name"].as_str().context("a change has a name")
}

/// A window that opens at a full minute, 40 to 100 seconds from now.
fn next_window(world: &World) -> Result<(Value, Timestamp)> {
    let from = world.now().checked_add(SignedDuration::from_secs(40))?.to_zoned(jiff::tz::TimeZone::UTC);
    let opens = from.timestamp().checked_add(SignedDuration::from_secs(60 - i64::from(from.second())))?;
    let at = opens.to_zoned(jiff::tz::TimeZone::UTC);
    let cron = format!("{} {} {} {} *", at.minute(), at.hour(), at.day(), at.month());
    let opens = Timestamp::from_second(opens.as_second())?;
    Ok((json!([{ "cron": cron, "duration": "2h" }]), opens))
}

async fn reasons(api: &Api) -> Result<Vec<String>> {
    let events = api.events().await?;
    Ok(events.iter().filter_map(|event| Some(event["reason"].as_str()?.to_owned())).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destructive_change_is_refused_to_its_author_and_applied_in_its_window_after_a_second_person_approved()
-> Result<()> {
    let world = World::new().await?;
    let setup = world.setup()?;
    setup.run(&["migrate"]).await?;
    let daemon = setup.start("operator").await?;
    let api = daemon.api();
    let rules = json!({ "spec": { "policy": { "changes": { "secondPerson": true } } } });
    api.create(&patched(world.document(), &rules)).await?;
    api.converged("prod", CONVERGES).await?;
    let (windows, opens) = next_window(&world)?;
    let answer = api.patch("environments/prod", &json!({ "spec": { "policy": { "windows": windows } } })).await?;
    ensure!(answer.status == 200, "{}", answer.text);

    let body = json!({ "spec": { "environment": "prod", "message": "the database may go", "patch":
        { "spec": { "database": { "deletionProtection": false } } } } });
    let posted = api.post_as("alice", "changes", &body).await?;
    ensure!(posted.status == 201, "{} {}", posted.status, posted.text);
    let change = name(&posted.json)?;
    let status = &posted.json["status"];
    ensure!(status["phase"] == "PendingApproval" && status["risk"] == "Destructive", "{status}");
    ensure!(posted.json["spec"]["apply"] == "InWindow", "{}", posted.text);
    let before = api.environment("prod").await?;
    ensure!(before["spec"]["database"]["deletionProtection"] == true, "nothing is written: {before}");

    let path = format!("changes/{change}/approve");
    let refused = api.post_as("alice", &path, &json!({})).await?;
    ensure!(refused.status == 403 && refused.text.contains("secondPerson"), "{} {}", refused.status, refused.text);
    let approved = api.post_as("bob", &path, &json!({ "message": "seen" })).await?;
    ensure!(approved.status == 201, "{} {}", approved.status, approved.text);
    ensure!(approved.json["status"]["phase"] == "Applying", "{}", approved.text);

    // Until the window opens it waits, and says until when.
    if world.now() < opens {
        let waiting = until("the change to say until when it waits", CONVERGES, async || {
            let shown = api.change(change).await.map_err(|error| format!("{error:#}"))?;
            let waiting = shown["status"]["waiting"].clone();
            let seen = waiting["reason"] == "OutsideWindow" || world.now() >= opens;
            if seen { Ok(waiting) } else { Err(shown["status"].to_string()) }
        })
        .await?;
        if waiting["reason"] == "OutsideWindow" {
            let until: Timestamp = waiting["until"].as_str().context("until when")?.parse()?;
            ensure!(until == opens, "{waiting}, not {opens}");
        }
    }
    let done = api.change_is(change, "Converged", OPENS).await?;
    ensure!(element(&hand::database(&world.sim).await, "DeletionProtection") == Some("false"), "AWS has it");
    let acted: Timestamp = sqlx::query_scalar::<_, String>(
        "SELECT to_char(max(begun_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM journal
         WHERE risk = 'Destructive'",
    )
    .fetch_one(&world.database.pool)
    .await?
    .parse()?;
    ensure!(acted >= opens, "it was carried out at {acted}, before the window opened at {opens}");
    ensure!(done["status"]["approvals"][0]["by"] == "bob", "{done}");
    let told = reasons(api).await?;
    for reason in ["ApprovalNeeded", "ChangeApproved", "ChangeApplied", "ChangeConverged"] {
        ensure!(told.iter().any(|one| one == reason), "no {reason} in {told:?}");
    }
    daemon.stop(&[]).await
}

/// Posts a change of an image that cannot run.
async fn post_bad_image(api: &Api) -> Result<Value> {
    let body = json!({ "spec": { "environment": "prod", "message": "release 1.5.0", "patch": { "spec": {
        "services": { "event-service": { "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/eventchain-event-service:broken" } }
    } } } });
    let posted = api.post_as("alice", "changes", &body).await?;
    ensure!(posted.status == 201, "{} {}", posted.status, posted.text);
    ensure!(posted.json["status"]["phase"] == "Applying", "a rolling deploy is Safe: {}", posted.text);
    Ok(posted.json)
}

/// The change was taken back once, and the environment tells the story.
async fn tells_the_story(api: &Api, change: &str) -> Result<()> {
    let ended = api.change_is(change, "RolledBack", CONVERGES).await?;
    let outcome = &ended["status"]["outcome"];
    ensure!(outcome["rolledBackTo"] == 1 && outcome["asRevision"] == 3, "{outcome}");
    ensure!(outcome["evidence"].to_string().contains("eventchain-event-service"), "{outcome}");
    api.change_is(&format!("{change}-back"), "Converged", CONVERGES).await?;
    let environment = api.converged("prod", CONVERGES).await?;
    let image = environment["spec"]["services"]["event-service"]["image"].as_str().unwrap_or_default();
    ensure!(image.ends_with(":1.4.2"), "{image}");
    ensure!(environment["metadata"]["generation"] == 3, "{environment}");
    let back = condition(&environment, "RolledBack").context("it has the condition")?;
    ensure!(back["status"] == "True", "{back}");
    let message = back["message"].as_str().unwrap_or_default();
    for word in [change, "by alice", "to revision 1", "EcsService"] {
        ensure!(message.contains(word), "{word} is missing in: {message}");
    }
    let events = api.events().await?;
    let tells = |event: &&Value| {
        event["reason"] == "ChangeRolledBack" && event["involvedObject"]["name"] == "prod" && event["type"] == "Warning"
    };
    ensure!(events.iter().filter(tells).count() == 1, "{events:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_rollout_takes_itself_back_and_the_environment_tells_the_story() -> Result<()> {
    let world = World::new().await?;
    let daemon = world.setup()?.start("operator").await?;
    let api = daemon.api();
    world.converged(api).await?;
    let change = post_bad_image(api).await?;
    tells_the_story(api, name(&change)?).await?;
    daemon.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_during_a_bad_rollout_takes_it_back_once() -> Result<()> {
    let world = World::new().await?;
    let setup = world.setup()?.set("EVENTCHAIN_LEASES_TTL", "3s").set("EVENTCHAIN_AWS_CALL_TIMEOUT", "2s");
    let daemon = setup.start("operator").await?;
    world.converged(daemon.api()).await?;
    let updates = || world.sim.with_calls(|calls| calls.count("ecs", "UpdateService"));
    let before = updates();
    let change = post_bad_image(daemon.api()).await?;
    until("the rollout to begin", CONVERGES, async || {
        if updates() > before { Ok(()) } else { Err("no UpdateService".to_owned()) }
    })
    .await?;
    daemon.kill9().await?;
    let daemon = setup.start("operator").await?;
    tells_the_story(daemon.api(), name(&change)?).await?;
    daemon.stop(&[]).await
}
