//! People beside the daemons: they declare environments, write desired state through the API of any replica, respecting
//! conflicts; they give secrets their values; and they change AWS by hand. Each write is remembered with what was told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use super::checker::{Asked, Told, Write};
use super::schedule::{Drift, lasts};
use super::stage::{Account, SECRET_VALUE, Stage, now};
use crate::wire::{Answer, Http, element};

/// A person waits no longer for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const GROUP: &str = "/apis/eventchain.io/v1";

/// What people wrote.
#[derive(Debug, Default)]
pub struct Writes(Mutex<Vec<Write>>);

impl Writes {
    fn add(&self, write: Write) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(write);
    }

    /// All so far.
    pub fn all(&self) -> Vec<Write> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A person who writes.
pub struct Person {
    name: String,
    number: usize,
    rng: StdRng,
    stage: Arc<Stage>,
    writes: Arc<Writes>,
    http: Http,
    count: u32,
}

impl Person {
    /// The `number`th, whose doings follow from the seed.
    pub fn new(number: usize, seed: u64, stage: &Arc<Stage>, writes: &Arc<Writes>) -> Self {
        Self {
            name: format!("user-{number}"),
            number,
            rng: StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(number as u64)),
            stage: Arc::clone(stage),
            writes: Arc::clone(writes),
            http: Http::default(),
            count: 0,
        }
    }

    /// Declares an environment, trying again until it is there.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn declare(&mut self, account: &Account) -> Result<()> {
        loop {
            let asked = Asked::Create(account.document["spec"].clone());
            let body = account.document.to_string();
            let answer =
                self.write(&account.environment, asked, Method::POST, "environments", "application/json", body).await;
            match answer.map(|answer| (answer.status, answer.text)) {
                Some((201 | 409, _)) => return Ok(()),
                Some((400..500, text)) => anyhow::bail!("{}: {text}", account.environment),
                _ => lasts(Duration::from_millis(300)).await,
            }
        }
    }

    /// Writes now and then until told to stop.
    pub async fn go_on(mut self, pause: std::ops::Range<u64>, stop: CancellationToken) {
        loop {
            let pause = Duration::from_millis(self.rng.random_range(pause.clone()));
            // Cancel-safe: a write that has begun is not cancelled.
            tokio::select! {
                () = stop.cancelled() => return,
                () = lasts(pause) => {}
            }
            let account = self.rng.random_range(0..self.stage.accounts.len());
            let account = self.stage.accounts[account].clone();
            self.write_something(&account).await;
        }
    }

    async fn write_something(&mut self, account: &Account) {
        let environment = &account.environment;
        let path = format!("environments/{environment}");
        let merge = "application/merge-patch+json";
        let token = format!("{}.{}", self.name, self.count + 1);
        match self.rng.random_range(0..6) {
            // Reads, changes what was read, and writes on condition that nobody did meanwhile.
            0 | 1 => {
                let Some(read) = self.get(&path).await else { return };
                let service = *["order-service", "event-service"].choose(&mut self.rng).unwrap_or(&"order-service");
                let count = read["spec"]["services"][service]["desiredCount"].as_u64().unwrap_or(1);
                let next = if count >= 4 { 1 } else { count + 1 };
                let mut patch = json!({ "spec": { "services": { service: { "desiredCount": next } } } });
                let asked = Asked::Merge { patch: patch.clone(), on: generation(&read) };
                patch["metadata"]["resourceVersion"] = read["metadata"]["resourceVersion"].clone();
                self.write(environment, asked, Method::PATCH, &path, merge, patch.to_string()).await;
            }
            2 => {
                let Some(mut read) = self.get(&path).await else { return };
                let on = generation(&read);
                let window = ["01:00-02:00", "02:00-03:00", "03:00-04:00", "06:00-07:00"];
                let present = read["spec"]["database"]["backups"]["window"].clone();
                let other: Vec<&str> = window.into_iter().filter(|window| present != *window).collect();
                read["spec"]["database"]["backups"]["window"] =
                    (*other.choose(&mut self.rng).unwrap_or(&"03:00-04:00")).into();
                let asked = Asked::Replace { spec: read["spec"].clone(), on };
                self.write(environment, asked, Method::PUT, &path, "application/json", read.to_string()).await;
            }
            // A field that only this person writes, without a condition: what others write meanwhile must stay.
            3 => {
                let patch = json!({ "spec": { "services": { "event-service": {
                    "environment": { (format!("CHAOS_{}", self.number)): token } } } } });
                let asked = Asked::Posted(patch.clone());
                let body = json!({ "spec": { "environment": environment, "message": "chaos", "patch": patch } });
                self.write(environment, asked, Method::POST, "changes", "application/json", body.to_string()).await;
            }
            4 => {
                let name = account.document["spec"]["alarms"].as_object().and_then(|all| all.keys().next().cloned());
                let field = if self.number.is_multiple_of(2) {
                    json!({ "description": token })
                } else {
                    // Unique, so that no write changes nothing.
                    json!({ "threshold": 1_000 * (self.number + 1) + self.count as usize })
                };
                let patch = json!({ "spec": { "alarms": { (name.unwrap_or_default()): field } } });
                let asked = Asked::Merge { patch: patch.clone(), on: None };
                self.write(environment, asked, Method::PATCH, &path, merge, patch.to_string()).await;
            }
            // Server-side apply, as a field manager of one's own.
            _ => {
                let secret = secrets(account).into_iter().last().unwrap_or_default();
                let patch = json!({ "spec": { "secrets": { secret: { "description": token } } } });
                let asked = Asked::Merge { patch: patch.clone(), on: None };
                let mut body = patch;
                body["apiVersion"] = "eventchain.io/v1".into();
                body["kind"] = "Environment".into();
                body["metadata"] = json!({ "name": environment });
                let path = format!("{path}?fieldManager=chaos&force=true");
                let apply = "application/apply-patch+yaml";
                self.write(environment, asked, Method::PATCH, &path, apply, body.to_string()).await;
            }
        }
    }

    fn url(&mut self) -> Option<String> {
        let all: Vec<String> =
            self.stage.replicas.iter().filter_map(|replica| Some(replica.present()?.1.url().to_owned())).collect();
        all.choose(&mut self.rng).cloned()
    }

    async fn get(&mut self, path: &str) -> Option<Value> {
        let url = format!("{}{GROUP}/{path}", self.url()?);
        let answer = timeout(PATIENCE, self.http.send(Method::GET, &url, &[], String::new())).await.ok()?.ok()?;
        (answer.status == 200).then_some(answer.json)
    }

    async fn write(
        &mut self,
        environment: &str,
        asked: Asked,
        method: Method,
        path: &str,
        content_type: &str,
        body: String,
    ) -> Option<Answer> {
        let url = format!("{}{GROUP}/{path}", self.url()?);
        self.count += 1;
        // Each write has an author of its own: revisions and the audit trail name it.
        let author = format!("{}.{}", self.name, self.count);
        let headers = [("content-type", content_type), ("x-remote-user", author.as_str())];
        let sent_at = now();
        let answer = timeout(PATIENCE, self.http.send(method, &url, &headers, body)).await;
        let answered_at = now();
        let (told, answer) = match answer {
            Ok(Ok(answer)) => {
                let told = match answer.status {
                    200..300 => Told::Accepted { generation: answer.json["metadata"]["generation"].as_i64() },
                    400..500 => Told::Refused(answer.status, answer.text.chars().take(300).collect()),
                    _ => Told::Unknown(format!("{} {}", answer.status, answer.text)),
                };
                (told, Some(answer))
            }
            Ok(Err(error)) => (Told::Unknown(format!("{error:#}")), None),
            Err(_) => (Told::Unknown(format!("no answer within {PATIENCE:?}")), None),
        };
        let write = Write { author, environment: environment.to_owned(), sent_at, answered_at, asked, told };
        self.writes.add(write);
        answer
    }
}

fn generation(environment: &Value) -> Option<i64> {
    environment["metadata"]["generation"].as_i64()
}

fn secrets(account: &Account) -> Vec<String> {
    account.document["spec"]["secrets"].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default()
}

/// Gives every secret a value as soon as it is there.
pub async fn keep(stage: Arc<Stage>) {
    let mut ticks = interval(Duration::from_millis(250));
    let mut open: Vec<(Account, String)> =
        stage.accounts.iter().flat_map(|account| secrets(account).into_iter().map(|s| (account.clone(), s))).collect();
    while !open.is_empty() {
        ticks.tick().await;
        let mut left = Vec::new();
        for (account, secret) in open {
            if !give_value(&account, &secret).await {
                left.push((account, secret));
            }
        }
        open = left;
    }
}

/// Whether it has a value now. A fault may strike these calls too; the next look tries again.
async fn give_value(account: &Account, secret: &str) -> bool {
    let call = |operation: &'static str, body: Value| async move {
        timeout(Duration::from_secs(1), account.home.json("secretsmanager", operation, body)).await.ok()?.ok()
    };
    let Some(found) = call("DescribeSecret", json!({ "SecretId": secret })).await else { return false };
    if found["VersionIdsToStages"].as_object().is_some_and(|stages| !stages.is_empty()) {
        return true;
    }
    call("PutSecretValue", json!({ "SecretId": secret, "SecretString": SECRET_VALUE })).await;
    false
}

/// Someone changes AWS behind the daemons' back.
///
/// # Errors
/// When AWS refuses it: the thing may not be there yet, or a fault may strike.
pub async fn drift(account: &Account, drift: Drift) -> Result<()> {
    let spec = &account.document["spec"];
    let aws = &account.home;
    let cluster = spec["cluster"]["name"].clone();
    let name = |service: &str| spec["services"][service]["name"].as_str().unwrap_or_default().to_owned();
    let alarm = spec["alarms"].as_object().and_then(|all| all.keys().next().cloned()).unwrap_or_default();
    let database = spec["database"]["identifier"].as_str().unwrap_or_default();
    match drift {
        Drift::Count(count) => {
            let body = json!({ "cluster": cluster, "service": name("analytics-service"), "desiredCount": count });
            aws.json("ecs", "UpdateService", body).await.map(drop)
        }
        Drift::DeleteAlarm => aws.json("monitoring", "DeleteAlarms", json!({ "AlarmNames": [alarm] })).await.map(drop),
        Drift::DisableAlarm => {
            aws.json("monitoring", "DisableAlarmActions", json!({ "AlarmNames": [alarm] })).await.map(drop)
        }
        Drift::ShortLogs => {
            let body = json!({ "logGroupName": format!("/ecs/{}", name("order-service")), "retentionInDays": 7 });
            aws.json("logs", "PutRetentionPolicy", body).await.map(drop)
        }
        Drift::HealthCheck => {
            let group = spec["services"]["api-gateway"]["targetGroup"]["name"].as_str().unwrap_or_default();
            let elb = "elasticloadbalancing";
            let xml = aws.query(elb, "DescribeTargetGroups", &[("Names.member.1", group)]).await?;
            let arn = element(&xml, "TargetGroupArn").context("the target group is there")?;
            aws.query(elb, "ModifyTargetGroup", &[("TargetGroupArn", arn), ("HealthCheckPath", "/other")])
                .await
                .map(drop)
        }
        Drift::ShortBackups => {
            let parameters = [("DBInstanceIdentifier", database), ("BackupRetentionPeriod", "7")];
            aws.query("rds", "ModifyDBInstance", &parameters).await.map(drop)
        }
        Drift::Untag => {
            let arn = format!("arn:aws:rds:us-east-1:{}:db:{database}", account.id);
            let parameters = [("ResourceName", arn.as_str()), ("TagKeys.member.1", "Project")];
            aws.query("rds", "RemoveTagsFromResource", &parameters).await.map(drop)
        }
        Drift::DeleteScalingPolicy => {
            let ecs = json!({ "ServiceNamespace": "ecs" });
            let found = aws.json("application-autoscaling", "DescribeScalingPolicies", ecs).await?;
            let policy = &found["ScalingPolicies"][0];
            let body = json!({
                "ServiceNamespace": "ecs", "PolicyName": policy["PolicyName"], "ResourceId": policy["ResourceId"],
                "ScalableDimension": policy["ScalableDimension"]
            });
            aws.json("application-autoscaling", "DeleteScalingPolicy", body).await.map(drop)
        }
        Drift::DeleteService => {
            let body = json!({ "cluster": cluster, "service": name("analytics-service"), "force": true });
            aws.json("ecs", "DeleteService", body).await.map(drop)
        }
    }
}
