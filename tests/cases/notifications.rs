//! What happens is told to whoever is to be told: by a webhook, to the receiver that the documentation shows and to one that
//! counts, and by SNS.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::api::{Api, condition};
use e2e::hand;
use e2e::hook::Hook;
use e2e::programs::on_path;
use e2e::wait::until;
use e2e::world::{CONVERGES, World};
use serde_json::{Value, json};
use simaws::testing::query;
use simaws::{Effect, Fault};
use testkit::fixtures::patched;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const EVENTS: &str = "eventchain-event-service";
const ORDERS: &str = "eventchain-order-service";
/// The receiver is left alone for up to five seconds after its first failure, and ten after the second.
const TOLD: Duration = Duration::from_secs(60);

/// The receiver of the documentation: another program, that checks signatures by another library.
struct Receiver {
    child: Child,
    port: u16,
    genuine: Lines<BufReader<ChildStdout>>,
}

impl Receiver {
    async fn start(python: &std::path::Path, port: u16) -> Result<Self> {
        let page = include_str!("../../docs/notifications.md");
        let program =
            page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).context("an example")?;
        let mut child = Command::new(python)
            .args(["-c", program])
            .envs([("WEBHOOK_SECRET", SECRET), ("PORT", &port.to_string())])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let genuine = BufReader::new(child.stdout.take().context("piped")?).lines();
        let mut said = BufReader::new(child.stderr.take().context("piped")?).lines();
        let first = timeout(TOLD, said.next_line()).await.context("it does not begin")??.unwrap_or_default();
        let port = first.strip_prefix("listening on port ").with_context(|| first.clone())?.parse()?;
        // It says one line for each request: somebody must read them.
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        Ok(Self { child, port, genuine })
    }

    /// The next message about an object that it found to be genuine. Snapshots fall due meanwhile, and are told too.
    async fn next_about(&mut self, identity: &str) -> Result<Value> {
        let looking = async {
            loop {
                let line = self.genuine.next_line().await?.context("the receiver has ended")?;
                let message: Value = serde_json::from_str(&line)?;
                if message["data"]["regarding"]["name"].as_str().is_some_and(|name| name.contains(identity)) {
                    return anyhow::Ok(message);
                }
            }
        };
        timeout(TOLD, looking).await.with_context(|| format!("nothing is told about {identity}"))?
    }
}

async fn fares(api: &Api, receiver: &str) -> Result<Value, String> {
    let shown = api.get("/apis/eventchain.io/v1/operators/default").await.map_err(|error| format!("{error:#}"))?;
    let all = shown.json["status"]["notifications"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|one| one["receiver"] == receiver).ok_or(shown.text)
}

/// What was published about an object.
async fn published(world: &World, identity: &str) -> Result<Vec<Value>, String> {
    let all = all_published(world).await.map_err(|error| format!("{error:#}"))?;
    let about = |one: &Value| one["message"].as_str().is_some_and(|text| text.contains(identity));
    Ok(all.into_iter().filter(about).collect())
}

async fn all_published(world: &World) -> Result<Vec<Value>> {
    let request = http::Request::post("/_sim/sns/published")
        .header("authorization", simaws::testing::Caller::default().authorization("sns"))
        .body(bytes::Bytes::new())?;
    let answer = world.sim.handle(request).await.context("it answers")?;
    let shown: Value = serde_json::from_slice(answer.body())?;
    Ok(shown["published"].as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_and_its_repair_are_told_signed_and_a_receiver_that_was_down_is_told_later() -> Result<()> {
    let Some(python) = on_path("python3")? else { return Ok(()) };
    let world = World::new().await?;
    let made = query(&world.sim, "sns", "CreateTopic", &[("Name", "ops")]).await;
    ensure!(made.status == 200, "{}", made.xml());
    let mut receiver = Receiver::start(&python, 0).await?;
    let receivers = json!([
        { "name": "hook", "events": ["drift", "repaired"], "environments": { "matchLabels": { "tier": "gold" } },
          "webhook": { "url": format!("http://127.0.0.1:{}/eventchain", receiver.port), "secretEnv": "WEBHOOK_SECRET" } },
        { "name": "topic", "events": ["repaired"],
          "sns": { "topicArn": format!("arn:aws:sns:us-east-1:{}:ops", testkit::fixtures::ACCOUNT) } },
    ]);
    let setup =
        world.setup()?.set("EVENTCHAIN_NOTIFICATIONS_RECEIVERS", &receivers.to_string()).set("WEBHOOK_SECRET", SECRET);
    let daemon = setup.start("operator").await?;
    let api = daemon.api();
    let labels = json!({ "metadata": { "labels": { "tier": "gold" } } });
    api.create(&patched(world.document(), &labels)).await?;
    api.converged("prod", CONVERGES).await?;

    hand::set_count(&world.sim, EVENTS, 7).await?;
    let drift = receiver.next_about(EVENTS).await?;
    ensure!(drift["type"] == "drift.DriftDetected" && drift["data"]["severity"] == "warning", "{drift}");
    let regarding = &drift["data"]["regarding"];
    let environment = &drift["data"]["environment"];
    ensure!(environment["name"] == "prod" && environment["labels"]["tier"] == "gold", "{drift}");
    let repaired = receiver.next_about(EVENTS).await?;
    ensure!(repaired["type"] == "repaired.Repaired" && &repaired["data"]["regarding"] == regarding, "{repaired}");
    let topic = until("it on the topic", TOLD, async || {
        published(&world, EVENTS).await?.pop().ok_or_else(|| "nothing".to_owned())
    })
    .await?;
    ensure!(topic["subject"] == "[info] Repaired: prod" && topic["attributes"]["class"] == "repaired", "{topic}");
    let told: Value = serde_json::from_str(topic["message"].as_str().context("a text")?)?;
    ensure!(told["data"]["event"] == repaired["data"]["event"], "the same message: {told}");

    // It goes away: everything else goes on, and what happens waits for it.
    let port = receiver.port;
    receiver.child.kill().await?;
    hand::set_count(&world.sim, ORDERS, 9).await?;
    let failing = until("the receiver to be seen failing", TOLD, async || {
        let hook = fares(api, "hook").await?;
        if hook["state"] == "Failing" { Ok(hook) } else { Err(hook.to_string()) }
    })
    .await?;
    ensure!(failing["lastError"].as_str().is_some_and(|why| why.starts_with("cannot connect")), "{failing}");
    until("the repair on the topic", CONVERGES, async || {
        published(&world, ORDERS).await?.pop().ok_or_else(|| "nothing".to_owned())
    })
    .await?;
    let mut receiver = Receiver::start(&python, port).await?;
    for kind in ["drift.DriftDetected", "repaired.Repaired"] {
        let came = receiver.next_about(ORDERS).await?;
        ensure!(came["type"] == kind, "{came}");
    }
    until("the receiver to be seen healthy", TOLD, async || {
        let hook = fares(api, "hook").await?;
        if hook["state"] == "Healthy" && hook["waiting"] == 0 { Ok(()) } else { Err(hook.to_string()) }
    })
    .await?;
    let given_up = api.metric("eventchain_notification_attempts_total", r#"outcome="given_up""#).await?;
    ensure!(given_up.abs() < f64::EPSILON, "nothing is given up: {given_up}");
    let logged = daemon.log().join("\n");
    ensure!(!logged.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "the secret is in the log");
    daemon.stop(&[]).await
}

/// Waits until an object agrees with its declaration.
async fn agrees(api: &Api, kind: &str, identity: &str) -> Result<()> {
    until(&format!("{kind}/{identity} to agree"), CONVERGES, async || {
        let shown = api.resource(kind, identity).await.map_err(|error| format!("{error:#}"))?;
        let synced = condition(&shown, "Synced").is_some_and(|found| found["status"] == "True");
        if synced { Ok(()) } else { Err(shown["status"].to_string()) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_its_repair_a_hold_a_stall_and_an_overdue_backup_are_told_signed_and_once_each() -> Result<()> {
    let world = World::new().await?;
    let hook = Hook::listen(SECRET).await?;
    let receivers = json!([{ "name": "hook", "webhook": { "url": hook.url, "secretEnv": "WEBHOOK_SECRET" } }]);
    let setup =
        world.setup()?.set("EVENTCHAIN_NOTIFICATIONS_RECEIVERS", &receivers.to_string()).set("WEBHOOK_SECRET", SECRET);
    // No snapshot can be taken, and the database is older than the newest may be.
    let message = "User is not authorized to perform: rds:CreateDBSnapshot".to_owned();
    let denied = Effect::Error { code: "AccessDenied".to_owned(), status: 403, message };
    world.sim.faults().add(Fault::new(denied).on("rds", "CreateDBSnapshot"));
    let daemon = setup.start("operator").await?;
    let api = daemon.api();
    let impatient = json!({ "spec": { "database": { "snapshots": { "maxAge": "24h" } } } });
    api.create(&patched(world.document(), &impatient)).await?;
    agrees(api, "EcsService", &format!("{}/{EVENTS}", hand::CLUSTER)).await?;
    agrees(api, "RdsInstance", hand::DATABASE).await?;

    hand::set_count(&world.sim, EVENTS, 7).await?;
    hand::modify_database(&world.sim, &[("MultiAZ", "false"), ("ApplyImmediately", "true")]).await?;
    let service = format!("EcsService/{}/{EVENTS}", hand::CLUSTER);
    let (database, snapshots) = (format!("RdsInstance/{}", hand::DATABASE), format!("RdsSnapshot/{}", hand::DATABASE));
    let wanted = [
        ("drift.DriftDetected", &*service, "warning"),
        ("repaired.Repaired", &service, "info"),
        ("drift.DriftDetected", &database, "warning"),
        ("blocked.Blocked", &database, "warning"),
        ("stalled.StepFailed", &snapshots, "critical"),
        ("backup.BackupTooOld", "Environment/prod", "critical"),
    ];
    for (kind, about, severity) in wanted {
        let came = hook.told(kind, about, TOLD).await?;
        ensure!(came.json["data"]["severity"] == severity, "{}", came.json);
        ensure!(came.json["data"]["environment"]["name"] == "prod", "{}", came.json);
    }
    // All of it still holds: whoever told it again would do so now.
    world.swept(3).await?;
    until("nothing to wait", TOLD, async || {
        let fares = fares(api, "hook").await?;
        if fares["waiting"] == 0 { Ok(()) } else { Err(fares.to_string()) }
    })
    .await?;
    let came = hook.came();
    ensure!(came.iter().all(|one| one.genuine), "a signature is not of its message: {came:?}");
    let events: BTreeSet<&str> = came.iter().filter_map(|one| one.json["data"]["event"].as_str()).collect();
    let ids: BTreeSet<&str> = came.iter().map(|one| one.id.as_str()).collect();
    ensure!(events.len() == came.len() && ids.len() == came.len(), "something was told twice: {came:#?}");
    for (kind, about, _) in wanted {
        let times = came.iter().filter(|one| one.kind() == kind && one.about() == about).count();
        ensure!(times == 1, "{kind} about {about}: {times} times in {came:#?}");
    }
    daemon.stop(&[]).await
}
