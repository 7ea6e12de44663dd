//! The simulated AWS as a process of its own, and its control plane.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::programs;
use e2e::wire::{Http, aws_query, element};
use http::Method;
use serde_json::Value;
use testkit::fixtures::{ACCOUNT, REGION};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A running simulated AWS. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct SimawsProcess {
    child: Child,
    url: String,
    http: Http,
}

impl SimawsProcess {
    /// Starts it on a free port.
    pub(crate) async fn start() -> Result<Self> {
        let mut child = Command::new(programs::ours("simaws", "EVENTCHAIN_SIMAWS_BIN")?)
            .args(["--listen", "127.0.0.1:0"])
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
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("stopping simaws")
    }

    /// `GET /_sim/calls`.
    pub(crate) async fn calls(&self, query: &str) -> Result<Value> {
        let answer = self.http.send(Method::GET, &format!("{}/_sim/calls{query}", self.url), &[], "").await?;
        ensure!(answer.status == 200, "/_sim/calls: {} {}", answer.status, answer.text);
        Ok(answer.json)
    }

    /// Moves the simulated clock.
    pub(crate) async fn move_clock(&self, seconds: i64) -> Result<()> {
        let body = format!("{{\"advanceSeconds\": {seconds}}}");
        let answer = self.http.send(Method::POST, &format!("{}/_sim/clock", self.url), &[], body).await?;
        ensure!(answer.status == 200, "/_sim/clock: {} {}", answer.status, answer.text);
        Ok(())
    }

    /// Counts from zero.
    pub(crate) async fn reset_calls(&self) -> Result<()> {
        let answer = self.http.send(Method::DELETE, &format!("{}/_sim/calls", self.url), &[], "").await?;
        ensure!(answer.status == 200, "/_sim/calls: {} {}", answer.status, answer.text);
        Ok(())
    }

    /// One awsJson call to CloudWatch or Secrets Manager.
    pub(crate) async fn json(&self, service: &str, operation: &str, body: Value) -> Result<Value> {
        let prefix = if service == "monitoring" { "GraniteServiceVersion20100801" } else { service };
        let target = format!("{prefix}.{operation}");
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", target.as_str()),
            ("authorization", authorization.as_str()),
        ];
        let answer = self.http.send(Method::POST, &format!("{}/", self.url), &headers, body.to_string()).await?;
        ensure!(answer.status == 200, "{operation}: {} {}", answer.status, answer.text);
        Ok(answer.json)
    }

    /// A load balancer; answers its ARN.
    pub(crate) async fn create_load_balancer(&self, name: &str) -> Result<String> {
        let parameters = [
            ("Name", name),
            ("Subnets.member.1", "subnet-0a1b2c3d4e5f60718"),
            ("Subnets.member.2", "subnet-0b1b2c3d4e5f60718"),
        ];
        let (service, version) = ("elasticloadbalancing", "2015-12-01");
        let xml = aws_query(&self.url, ACCOUNT, service, "CreateLoadBalancer", version, &parameters).await?;
        Ok(element(&xml, "LoadBalancerArn").context("a load balancer has an ARN")?.to_owned())
    }

    /// A DB subnet group.
    pub(crate) async fn create_subnet_group(&self, name: &str) -> Result<()> {
        let parameters = [
            ("DBSubnetGroupName", name),
            ("DBSubnetGroupDescription", "EventChain database subnet group"),
            ("SubnetIds.SubnetIdentifier.1", "subnet-0a1b2c3d4e5f60718"),
            ("SubnetIds.SubnetIdentifier.2", "subnet-0b1b2c3d4e5f60718"),
        ];
        aws_query(&self.url, ACCOUNT, "rds", "CreateDBSubnetGroup", "2014-10-31", &parameters).await.map(drop)
    }
}
