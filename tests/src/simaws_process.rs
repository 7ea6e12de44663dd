//! The simulated AWS as a process of its own, and its control plane.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::{Value, json};
use testkit::fixtures::{ACCOUNT, REGION};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::aws::Aws;
use crate::programs;
use crate::wire::Http;

/// A running simulated AWS. Dropped, it is killed.
#[derive(Debug)]
pub struct SimawsProcess {
    child: Child,
    url: String,
    http: Http,
}

impl SimawsProcess {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When it is not built or does not come up.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts it on a free port with more arguments.
    ///
    /// # Errors
    /// When it is not built or does not come up.
    pub async fn start_with(arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(programs::ours("simaws", "EVENTCHAIN_SIMAWS_BIN")?)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("simaws cannot be started")?;
        let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await??.unwrap_or_default();
        let url = line.strip_prefix("simaws listens on ").context("simaws says where it listens")?.to_owned();
        Ok(Self { child, url, http: Http::default() })
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops it.
    ///
    /// # Errors
    /// When it has ended before.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("stopping simaws")
    }

    /// A request to the control plane.
    async fn control(&self, method: Method, path: &str, body: String) -> Result<Value> {
        let answer = self.http.send(method, &format!("{}/_sim/{path}", self.url), &[], body).await?;
        ensure!(answer.status == 200, "/_sim/{path}: {} {}", answer.status, answer.text);
        Ok(answer.json)
    }

    /// `GET /_sim/calls`.
    ///
    /// # Errors
    /// When it fails.
    pub async fn calls(&self, query: &str) -> Result<Value> {
        self.control(Method::GET, &format!("calls{query}"), String::new()).await
    }

    /// Counts from zero.
    ///
    /// # Errors
    /// When it fails.
    pub async fn reset_calls(&self) -> Result<()> {
        self.control(Method::DELETE, "calls", String::new()).await.map(drop)
    }

    /// Moves the simulated clock.
    ///
    /// # Errors
    /// When it fails.
    pub async fn move_clock(&self, seconds: i64) -> Result<()> {
        self.control(Method::POST, "clock", json!({ "advanceSeconds": seconds }).to_string()).await.map(drop)
    }

    /// How long things take, in seconds.
    ///
    /// # Errors
    /// When it fails.
    pub async fn set_timings(&self, timings: &Value) -> Result<()> {
        self.control(Method::POST, "timings", timings.to_string()).await.map(drop)
    }

    /// Switches a fault on; answers its id.
    ///
    /// # Errors
    /// When it fails.
    pub async fn add_fault(&self, fault: &Value) -> Result<u64> {
        let answer = self.control(Method::POST, "faults", fault.to_string()).await?;
        answer["id"].as_u64().context("a fault has an id")
    }

    /// Switches a fault off, if it is on.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn remove_fault(&self, id: u64) -> Result<()> {
        let url = format!("{}/_sim/faults/{id}", self.url);
        self.http.send(Method::DELETE, &url, &[], String::new()).await.map(drop)
    }

    /// Switches all faults off.
    ///
    /// # Errors
    /// When it fails.
    pub async fn calm(&self) -> Result<()> {
        self.control(Method::DELETE, "faults", String::new()).await.map(drop)
    }

    /// A client of one account in one region.
    pub fn aws(&self, account: &str, region: &str) -> Aws {
        Aws::new(&self.url, account, region, self.http.clone())
    }

    /// One awsJson call.
    ///
    /// # Errors
    /// When it fails.
    pub async fn json(&self, service: &str, operation: &str, body: Value) -> Result<Value> {
        self.aws(ACCOUNT, REGION).json(service, operation, body).await
    }

    /// A load balancer; answers its ARN.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn create_load_balancer(&self, name: &str) -> Result<String> {
        self.aws(ACCOUNT, REGION).create_load_balancer(name).await
    }

    /// A DB subnet group.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn create_subnet_group(&self, name: &str) -> Result<()> {
        self.aws(ACCOUNT, REGION).create_subnet_group(name).await
    }
}
