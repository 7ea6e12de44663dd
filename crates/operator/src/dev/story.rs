//! The story that `dev` plays, told line by line: declare, converge, drift, repair.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::Method;
use jiff::Timestamp;
use model::env::WindowSpec;
use model::schedule::{WindowState, Windows};
use serde_json::{Value, json};
use simaws::Sim;
use simaws::testing::{json as call_json, query};
use strum::IntoEnumIterator as _;
use tokio::time::Instant;

use super::drift::{Drift, Expected};
use crate::http::Client;
use crate::say::say;

const EXAMPLE: &str = include_str!("example.yaml");
const PLACEHOLDER: &str = "LOAD_BALANCER_ARN";
const ENVIRONMENTS: &str = "/apis/eventchain.io/v1/environments";
const RESOURCES: &str = "/apis/eventchain.io/v1/managedresources?limit=500";

/// The whole environment is made within this time; the simulated RDS instance takes some seconds of it.
const CONVERGE: Duration = Duration::from_secs(100);
/// A drift is put right within this time: a sweep of 2 s, a pass, and the call.
const REPAIR: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

/// The story.
pub(super) struct Story {
    client: Client,
    sim: Sim,
    load_balancer: String,
}

/// What the example refers to and does not manage: a load balancer and a subnet group. Yields the load balancer's ARN.
pub(super) async fn seed(sim: &Sim) -> Result<String> {
    let subnets = ["subnet-0a1b2c3d4e5f60718", "subnet-0b1b2c3d4e5f60718"];
    let parameters = [("Name", "eventchain-alb"), ("Subnets.member.1", subnets[0]), ("Subnets.member.2", subnets[1])];
    let reply = query(sim, "elasticloadbalancing", "CreateLoadBalancer", &parameters).await;
    let arn = reply.xml().split("<LoadBalancerArn>").nth(1).and_then(|rest| rest.split('<').next());
    let arn = arn.with_context(|| format!("no load balancer: {}", reply.xml()))?.to_owned();
    let parameters = [
        ("DBSubnetGroupName", "eventchain-db-subnet-group"),
        ("DBSubnetGroupDescription", "EventChain database subnet group"),
        ("SubnetIds.SubnetIdentifier.1", subnets[0]),
        ("SubnetIds.SubnetIdentifier.2", subnets[1]),
    ];
    let reply = query(sim, "rds", "CreateDBSubnetGroup", &parameters).await;
    anyhow::ensure!(reply.status == 200, "no subnet group: {}", reply.xml());
    Ok(arn)
}

impl Story {
    pub(super) fn new(client: Client, sim: Sim, load_balancer: String) -> Self {
        Self { client, sim, load_balancer }
    }

    /// Plays it; an error when anything does not become what it should.
    pub(super) async fn play(&self) -> Result<()> {
        self.declare().await?;
        self.converge().await?;
        say("\nNow someone changes AWS behind the operator's back:");
        for drift in Drift::iter() {
            self.drift(drift).await?;
        }
        say("\nEverything is as declared, left alone for a reason, or waiting for its window.");
        Ok(())
    }

    async fn declare(&self) -> Result<()> {
        let mut document = EXAMPLE.replace(PLACEHOLDER, &self.load_balancer);
        // The story shows a step that waits for the window, so the window must not be open while it is told.
        if window_is_open("0 4 * * SUN") {
            document = document.replace("0 4 * * SUN", "0 4 * * WED");
        }
        say("\nDeclaring the example environment:  POST /apis/eventchain.io/v1/environments");
        let mut reply = self.client.send(Method::POST, ENVIRONMENTS, "application/yaml", document.clone()).await?;
        if reply.status == 409 {
            say("  it is in the database already; putting it as it stands in the example");
            reply =
                self.client.send(Method::PUT, &format!("{ENVIRONMENTS}/prod"), "application/yaml", document).await?;
        }
        reply.success().context("the example environment was refused")?;
        Ok(())
    }

    async fn converge(&self) -> Result<()> {
        let started = Instant::now();
        let mut told = String::new();
        let mut looks = tokio::time::interval(LOOK);
        while started.elapsed() < CONVERGE {
            looks.tick().await;
            self.give_secrets_a_value().await?;
            let environment = self.environment().await?;
            let resources = self.resources().await?;
            let synced =
                resources.iter().filter(|resource| is_true(&resource["status"]["conditions"], "Synced")).count();
            let conditions = &environment["status"]["conditions"];
            let line = format!(
                "Ready={} Synced={}  {synced} of {} objects as declared",
                condition(conditions, "Ready"),
                condition(conditions, "Synced"),
                resources.len()
            );
            if line != told {
                say(format!("  {:5.1} s  {line}", started.elapsed().as_secs_f64()));
                told = line;
            }
            if is_true(conditions, "Ready") && is_true(conditions, "Synced") {
                return Ok(());
            }
        }
        let environment = self.environment().await?;
        bail!("not Ready and Synced within {} s: {}", CONVERGE.as_secs(), environment["status"]["conditions"]);
    }

    /// The part of the person who keeps the secrets: the operator never gives one a value.
    async fn give_secrets_a_value(&self) -> Result<()> {
        let listed = call_json(&self.sim, "secretsmanager", "ListSecrets", json!({})).await;
        for secret in listed.body["SecretList"].as_array().into_iter().flatten() {
            let named = secret["Name"].as_str().unwrap_or_default();
            let empty = secret["SecretVersionsToStages"].as_object().is_none_or(serde_json::Map::is_empty);
            if named.starts_with("eventchain/") && empty {
                let body = json!({ "SecretId": named, "SecretString": "a value that someone gave" });
                call_json(&self.sim, "secretsmanager", "PutSecretValue", body).await;
                say(format!("           (someone gives the secret {named} its value)"));
            }
        }
        Ok(())
    }

    async fn drift(&self, drift: Drift) -> Result<()> {
        say(format!("\n* {}", drift.told()));
        let before = Timestamp::from_microsecond(crate::daemon::now().as_microsecond())?;
        drift.inject(&self.sim).await?;
        let started = Instant::now();
        let mut looks = tokio::time::interval(LOOK);
        while started.elapsed() < REPAIR {
            looks.tick().await;
            let told = match drift.expected() {
                Expected::Repaired => self.repaired(drift, before, started).await?,
                Expected::LeftAlone { reason } => self.left_alone(drift, reason).await?,
                Expected::Held => self.held(drift).await?,
            };
            if told {
                return Ok(());
            }
        }
        let (kind, identity) = drift.resource();
        let resource = self.resource(kind, identity).await?;
        bail!("within {} s nothing became of it; {kind}/{identity}: {}", REPAIR.as_secs(), resource["status"]);
    }

    /// Once AWS shows the declared value again, tells the event that the operator wrote about it.
    async fn repaired(&self, drift: Drift, since: Timestamp, started: Instant) -> Result<bool> {
        if !drift.is_repaired(&self.sim).await? {
            return Ok(false);
        }
        let (kind, identity) = drift.resource();
        let Some(event) = self.event(kind, identity, "Repaired", since).await? else { return Ok(false) };
        let details: Value = event["metadata"]["annotations"]["eventchain.io/details"]
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        say(format!(
            "  repaired in {:.1} s by {} [{}]: {}",
            started.elapsed().as_secs_f64(),
            text(&details["operation"]),
            text(&details["risk"]),
            text(&details["reason"])
        ));
        tell_changes(&details["changes"]);
        Ok(true)
    }

    async fn left_alone(&self, drift: Drift, reason: &str) -> Result<bool> {
        let (kind, identity) = drift.resource();
        let resource = self.resource(kind, identity).await?;
        let notes = resource["status"]["report"]["notes"].as_array().cloned().unwrap_or_default();
        let Some(note) = notes.iter().find(|note| note["reason"] == reason) else { return Ok(false) };
        anyhow::ensure!(drift.is_repaired(&self.sim).await?, "the count was not left alone");
        say(format!("  left alone: {}: {}", text(&note["reason"]), text(&note["message"])));
        Ok(true)
    }

    async fn held(&self, drift: Drift) -> Result<bool> {
        let (kind, identity) = drift.resource();
        let resource = self.resource(kind, identity).await?;
        let hold = &resource["status"]["report"]["hold"];
        if hold["until"].is_null() {
            return Ok(false);
        }
        say(format!("  waits until {}: {}: {}", text(&hold["until"]), text(&hold["reason"]), text(&hold["message"])));
        for step in resource["status"]["diff"].as_array().into_iter().flatten() {
            tell_changes(&step["changes"]);
        }
        Ok(true)
    }

    async fn environment(&self) -> Result<Value> {
        self.client.get(&format!("{ENVIRONMENTS}/prod")).await?.success()
    }

    async fn resources(&self) -> Result<Vec<Value>> {
        let list = self.client.get(RESOURCES).await?.success()?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    async fn resource(&self, kind: &str, identity: &str) -> Result<Value> {
        let all = self.resources().await?;
        let found = all.into_iter().find(|r| r["spec"]["kind"] == kind && r["spec"]["identity"] == identity);
        Ok(found.unwrap_or_default())
    }

    async fn event(&self, kind: &str, identity: &str, reason: &str, since: Timestamp) -> Result<Option<Value>> {
        let list = self.client.get("/api/v1/events?limit=500").await?.success()?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        Ok(items.into_iter().find(|event| {
            let last: Option<Timestamp> = event["lastTimestamp"].as_str().and_then(|text| text.parse().ok());
            event["reason"] == reason
                && event["involvedObject"]["kind"] == kind
                && event["involvedObject"]["name"] == identity
                // The wire's times are whole seconds.
                && last.is_some_and(|last| last.as_second() >= since.as_second())
        }))
    }
}

fn tell_changes(changes: &Value) {
    for change in changes.as_array().into_iter().flatten() {
        say(format!("    {}: {} -> {}", text(&change["field"]), change["from"], change["to"]));
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn condition(conditions: &Value, kind: &str) -> String {
    let found = conditions.as_array().into_iter().flatten().find(|condition| condition["type"] == kind);
    found.map_or_else(|| "Unknown".to_owned(), |condition| text(&condition["status"]))
}

fn is_true(conditions: &Value, kind: &str) -> bool {
    condition(conditions, kind) == "True"
}

fn window_is_open(cron: &str) -> bool {
    let spec = WindowSpec { cron: cron.to_owned(), duration: model::Span::from_secs(3600), timezone: None };
    let windows = Windows::parse(&[spec]).unwrap_or_default();
    matches!(windows.state(crate::daemon::now()), WindowState::Open { .. })
}
