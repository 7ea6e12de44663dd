//! A client of an AWS endpoint that looks at no signature: one account, one region, calls as a person would make them.

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::Value;

use crate::wire::{Http, aws_query, element, elements};

/// A client of one account in one region.
#[derive(Clone, Debug)]
pub struct Aws {
    url: String,
    account: String,
    region: String,
    http: Http,
}

impl Aws {
    /// Of the endpoint `url`.
    pub fn new(url: &str, account: &str, region: &str, http: Http) -> Self {
        Self { url: url.to_owned(), account: account.to_owned(), region: region.to_owned(), http }
    }

    /// The account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// One awsJson call.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn json(&self, service: &str, operation: &str, body: Value) -> Result<Value> {
        let prefix = match service {
            "monitoring" => "GraniteServiceVersion20100801",
            "ecs" => "AmazonEC2ContainerServiceV20141113",
            "logs" => "Logs_20140328",
            "application-autoscaling" => "AnyScaleFrontendService",
            other => other,
        };
        let target = format!("{prefix}.{operation}");
        let (account, region) = (&self.account, &self.region);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={account}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
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

    /// One awsQuery call to RDS or Elastic Load Balancing; answers XML.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn query(&self, service: &str, operation: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let version = if service == "rds" { "2014-10-31" } else { "2015-12-01" };
        aws_query(&self.url, &self.account, &self.region, service, operation, version, parameters).await
    }

    /// A load balancer; answers its ARN.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn create_load_balancer(&self, name: &str) -> Result<String> {
        let parameters = [
            ("Name", name),
            ("Subnets.member.1", "subnet-0a1b2c3d4e5f60718"),
            ("Subnets.member.2", "subnet-0b1b2c3d4e5f60718"),
        ];
        let xml = self.query("elasticloadbalancing", "CreateLoadBalancer", &parameters).await?;
        Ok(element(&xml, "LoadBalancerArn").context("a load balancer has an ARN")?.to_owned())
    }

    /// A DB subnet group.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn create_subnet_group(&self, name: &str) -> Result<()> {
        let parameters = [
            ("DBSubnetGroupName", name),
            ("DBSubnetGroupDescription", "EventChain database subnet group"),
            ("SubnetIds.SubnetIdentifier.1", "subnet-0a1b2c3d4e5f60718"),
            ("SubnetIds.SubnetIdentifier.2", "subnet-0b1b2c3d4e5f60718"),
        ];
        self.query("rds", "CreateDBSubnetGroup", &parameters).await.map(drop)
    }

    /// The identifiers of the manual snapshots.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn snapshots(&self) -> Result<Vec<String>> {
        let xml = self.query("rds", "DescribeDBSnapshots", &[("SnapshotType", "manual")]).await?;
        Ok(elements(&xml, "DBSnapshotIdentifier").into_iter().map(str::to_owned).collect())
    }
}
