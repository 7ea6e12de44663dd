//! The daemon's HTTP API as a client sees it: JSON, with the few looks that tests need again and again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::Value;

use crate::wait::until;
use crate::wire::{Answer, Http};

/// Where the group is.
const GROUP: &str = "/apis/eventchain.io/v1";

/// A client of one daemon.
#[derive(Clone, Debug)]
pub struct Api {
    url: String,
    http: Http,
    token: Option<String>,
}

impl Api {
    /// The API at `http://127.0.0.1:port`.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), http: Http::default(), token: None }
    }

    /// The same, for somebody who has a token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(format!("Bearer {token}")), ..self.clone() }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Any request; `path` from the root.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, method: Method, path: &str, content_type: &str, body: String) -> Result<Answer> {
        let mut headers = vec![("content-type", content_type)];
        headers.extend(self.token.as_deref().map(|token| ("authorization", token)));
        self.http.send(method, &format!("{}{path}", self.url), &headers, body).await
    }

    /// GET from the root.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        let headers: Vec<_> = self.token.as_deref().map(|token| ("authorization", token)).into_iter().collect();
        self.http.send(Method::GET, &format!("{}{path}", self.url), &headers, String::new()).await
    }

    /// POST of JSON under the group.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, &format!("{GROUP}/{path}"), "application/json", body.to_string()).await
    }

    /// POST of JSON under the group, as somebody.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_as(&self, who: &str, path: &str, body: &Value) -> Result<Answer> {
        let headers = [("content-type", "application/json"), ("x-remote-user", who)];
        self.http.send(Method::POST, &format!("{}{GROUP}/{path}", self.url), &headers, body.to_string()).await
    }

    /// A Change.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn change(&self, name: &str) -> Result<Value> {
        let answer = self.get(&format!("{GROUP}/changes/{name}")).await?;
        ensure!(answer.status == 200, "get change {name}: {} {}", answer.status, answer.text);
        Ok(answer.json)
    }

    /// Waits until a Change has a phase; answers it.
    ///
    /// # Errors
    /// When it takes longer.
    pub async fn change_is(&self, name: &str, phase: &str, limit: Duration) -> Result<Value> {
        until(&format!("change {name} to be {phase}"), limit, async || {
            let change = self.change(name).await.map_err(|error| format!("{error:#}"))?;
            if change["status"]["phase"] == phase { Ok(change) } else { Err(change["status"].to_string()) }
        })
        .await
    }

    /// Merge patch under the group.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::PATCH, &format!("{GROUP}/{path}"), "application/merge-patch+json", body.to_string()).await
    }

    /// Creates an Environment from YAML, as the first curl line does, and answers it.
    ///
    /// # Errors
    /// When it is not accepted.
    pub async fn create(&self, document: &Value) -> Result<Value> {
        let yaml = serde_saphyr::to_string(document).context("a document is YAML")?;
        let answer = self.send(Method::POST, &format!("{GROUP}/environments"), "application/yaml", yaml).await?;
        ensure!(answer.status == 201, "create: {} {}", answer.status, answer.text);
        Ok(answer.json)
    }

    /// An Environment.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn environment(&self, name: &str) -> Result<Value> {
        let answer = self.get(&format!("{GROUP}/environments/{name}")).await?;
        ensure!(answer.status == 200, "get {name}: {} {}", answer.status, answer.text);
        Ok(answer.json)
    }

    /// The managed resources.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn resources(&self) -> Result<Vec<Value>> {
        let answer = self.get(&format!("{GROUP}/managedresources")).await?;
        ensure!(answer.status == 200, "managedresources: {} {}", answer.status, answer.text);
        Ok(answer.json["items"].as_array().cloned().unwrap_or_default())
    }

    /// One managed resource.
    ///
    /// # Errors
    /// When there is none.
    pub async fn resource(&self, kind: &str, identity: &str) -> Result<Value> {
        let all = self.resources().await?;
        let names = |value: &Value| value["kind"] == kind && value["identity"] == identity;
        let found = all.into_iter().find(|item| find(item, &names).is_some());
        found.with_context(|| format!("no managed resource {kind}/{identity}"))
    }

    /// The events.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn events(&self) -> Result<Vec<Value>> {
        let answer = self.get("/api/v1/events").await?;
        ensure!(answer.status == 200, "events: {} {}", answer.status, answer.text);
        Ok(answer.json["items"].as_array().cloned().unwrap_or_default())
    }

    /// A metric's value, summed over the lines whose labels contain `labels`.
    ///
    /// # Errors
    /// When `/metrics` cannot be read.
    pub async fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let answer = self.get("/metrics").await?;
        ensure!(answer.status == 200, "metrics: {} {}", answer.status, answer.text);
        let is_it = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels))
        };
        let values = answer.text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// Waits until an Environment is `Ready=True, Synced=True` for the generation that it has.
    ///
    /// # Errors
    /// When it takes longer.
    pub async fn converged(&self, name: &str, limit: Duration) -> Result<Value> {
        until(&format!("{name} to be Ready and Synced"), limit, async || {
            let environment = self.environment(name).await.map_err(|error| format!("{error:#}"))?;
            if is_converged(&environment) { Ok(environment) } else { Err(conditions(&environment)) }
        })
        .await
    }

    /// Waits until a condition of an Environment has a status.
    ///
    /// # Errors
    /// When it takes longer.
    pub async fn condition_is(&self, name: &str, kind: &str, status: &str, limit: Duration) -> Result<Value> {
        until(&format!("{name} to be {kind}={status}"), limit, async || {
            let environment = self.environment(name).await.map_err(|error| format!("{error:#}"))?;
            match condition(&environment, kind) {
                Some(found) if found["status"] == status => Ok(found.clone()),
                _ => Err(conditions(&environment)),
            }
        })
        .await
    }
}

/// Whether an Environment is Ready and Synced, and says so of its present generation.
pub fn is_converged(environment: &Value) -> bool {
    let generation = &environment["metadata"]["generation"];
    ["Ready", "Synced"].iter().all(|kind| {
        condition(environment, kind)
            .is_some_and(|found| found["status"] == "True" && found["observedGeneration"] == *generation)
    })
}

/// A condition of an object.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// All conditions of an object in a line.
pub fn conditions(object: &Value) -> String {
    let shown = |condition: &Value| {
        let text = |field: &str| condition[field].as_str().unwrap_or("?").to_owned();
        format!("{}={} ({}: {})", text("type"), text("status"), text("reason"), text("message"))
    };
    let all = object["status"]["conditions"].as_array();
    all.map_or_else(|| format!("no conditions: {object}"), |all| all.iter().map(shown).collect::<Vec<_>>().join(", "))
}

/// The first value inside `value`, itself included, that fits.
pub fn find<'a>(value: &'a Value, fits: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    if fits(value) {
        return Some(value);
    }
    match value {
        Value::Object(fields) => fields.values().find_map(|value| find(value, fits)),
        Value::Array(items) => items.iter().find_map(|value| find(value, fits)),
        _ => None,
    }
}
