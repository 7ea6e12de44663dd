//! The same daemon on two emulators written by other people, one document each (`tests/emulators/`): it converges, and a
//! second daemon, with the same database and with an empty one, makes no write call.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::daemon::Setup;
use e2e::programs;
use e2e::proxy::Proxy;
use e2e::say::say;
use e2e::wait::until;
use e2e::wire::{Http, aws_query, element, elements};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde_json::Value;

/// The emulators take their time, moto above all.
const LIMIT: Duration = Duration::from_secs(100);

/// One endpoint for each service, as a user gives them (SDKs and Tools Reference Guide, service-specific endpoints).
const ENDPOINTS: [&str; 9] = [
    "ECS",
    "RDS",
    "ELASTIC_LOAD_BALANCING_V2",
    "CLOUDWATCH",
    "CLOUDWATCH_LOGS",
    "SECRETS_MANAGER",
    "APPLICATION_AUTO_SCALING",
    "RESOURCE_GROUPS_TAGGING_API",
    "STS",
];

const EC2: &str = "2016-11-15";
const ELB: &str = "2015-12-01";
const RDS: &str = "2014-10-31";

/// An emulator.
struct Emulator {
    /// Its document under `tests/emulators/`.
    file: &'static str,
    /// Where it is.
    url: String,
    /// What resets it.
    reset: &'static str,
    /// The account that it says it is.
    account: &'static str,
    /// An access key of that account.
    key: &'static str,
}

/// Lays out what the document refers to, and puts it in.
async fn document(emulator: &Emulator) -> Result<Value> {
    let Emulator { file, url, key, .. } = emulator;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("emulators").join(file);
    let mut text = std::fs::read_to_string(path)?;
    let networks = aws_query(url, key, "us-east-1", "ec2", "DescribeVpcs", EC2, &[]).await?;
    let vpc = element(&networks, "vpcId").context("a default VPC")?.to_owned();
    let filter = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc.as_str())];
    let subnets = aws_query(url, key, "us-east-1", "ec2", "DescribeSubnets", EC2, &filter).await?;
    let subnets: Vec<String> = elements(&subnets, "subnetId").into_iter().map(str::to_owned).collect();
    let [first, second, ..] = subnets.as_slice() else { anyhow::bail!("two default subnets: {subnets:?}") };
    let groups = aws_query(url, key, "us-east-1", "ec2", "DescribeSecurityGroups", EC2, &filter).await?;
    let group = element(&groups, "groupId").context("a default security group")?.to_owned();
    let parameters = [("Name", "eventchain-alb"), ("Subnets.member.1", first), ("Subnets.member.2", second)];
    let balancer =
        aws_query(url, key, "us-east-1", "elasticloadbalancing", "CreateLoadBalancer", ELB, &parameters).await?;
    let balancer = element(&balancer, "LoadBalancerArn").context("a load balancer")?.to_owned();
    let parameters = [
        ("DBSubnetGroupName", "eventchain-db-subnet-group"),
        ("DBSubnetGroupDescription", "EventChain database subnet group"),
        ("SubnetIds.SubnetIdentifier.1", first),
        ("SubnetIds.SubnetIdentifier.2", second),
    ];
    aws_query(url, key, "us-east-1", "rds", "CreateDBSubnetGroup", RDS, &parameters).await?;
    for (word, value) in [
        ("SNAPSHOT_SCHEDULE", &schedule()),
        ("VPC_ID", &vpc),
        ("SUBNET_A", first),
        ("SUBNET_B", second),
        ("SECURITY_GROUP", &group),
        ("LOAD_BALANCER_ARN", &balancer),
    ] {
        text = text.replace(word, value);
    }
    serde_saphyr::from_str(&text).with_context(|| format!("{file} is YAML"))
}

/// One slot in the year: at the first full minute that leaves the database half a minute to be made before it.
fn schedule() -> String {
    let slot = simaws::Clock::real().now() + SignedDuration::from_secs(90);
    slot.to_zoned(TimeZone::UTC).strftime("\"%-M %-H %-d %-m *\"").to_string()
}

fn setup(database: &str, proxy: &Proxy, account: &str, key: &str) -> Result<Setup> {
    let mut setup = Setup::new(database, "http://127.0.0.1:1", &[account])?.set("AWS_ACCESS_KEY_ID", key);
    // Nothing may go anywhere but to the endpoints given service by service: port 1 answers nobody.
    for service in ENDPOINTS {
        setup = setup.set(&format!("AWS_ENDPOINT_URL_{service}"), proxy.url());
    }
    // moto answers slowly.
    Ok(setup.set("EVENTCHAIN_SWEEPS_HOT", "2s").set("EVENTCHAIN_SWEEPS_SLOW", "4s"))
}

/// The part of the person who keeps the secrets: the operator makes them and never gives one a value.
async fn give_a_value(url: &str, key: &str, secret: &str) -> Result<()> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0"
    );
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "secretsmanager.PutSecretValue"),
        ("authorization", authorization.as_str()),
        ("x-amz-date", "20260101T000000Z"),
    ];
    let body = serde_json::json!({ "SecretId": secret, "SecretString": "a value that someone gave" }).to_string();
    until("the secret, to give it a value", LIMIT, async || {
        let answer = Http::default().send(http::Method::POST, &format!("{url}/"), &headers, body.clone()).await;
        match answer {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Waits until these have been read three times since then: what the second look saw has been dealt with.
async fn looked_again(proxy: &Proxy, since: &BTreeMap<String, u64>, sweeps: &[String]) -> Result<()> {
    let number = |counts: &BTreeMap<String, u64>, name: &String| counts.get(name).copied().unwrap_or_default();
    until("three more looks at everything", LIMIT, async || {
        let counts = proxy.counts();
        let missing: Vec<&String> =
            sweeps.iter().filter(|name| number(&counts, name) < number(since, name) + 3).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {counts:?}")) }
    })
    .await
}

async fn converges_and_then_writes_no_more(emulator: &Emulator) -> Result<()> {
    let Emulator { file, url, account, key, .. } = emulator;
    Http::default().send(http::Method::POST, &format!("{url}{}", emulator.reset), &[], "").await?;
    let document = document(emulator).await?;
    let name = document["metadata"]["name"].as_str().context("a name")?.to_owned();
    let proxy = Proxy::start(url).await?;
    let database = testkit::postgres::test_database().await;

    let first = setup(&database.url, &proxy, account, key)?;
    let daemon = first.start("first").await?;
    daemon.api().create(&document).await?;
    give_a_value(url, key, "eventchain/database-url").await?;
    // Services whose tasks may have read the version of before are deployed anew: not by the daemon that comes next.
    // One or two secrets are cheaper to read one by one than in the list.
    looked_again(&proxy, &proxy.counts(), &["secretsmanager:DescribeSecret".to_owned()]).await?;
    let converged = daemon.api().converged(&name, LIMIT).await;
    if converged.is_err() {
        for failure in proxy.failures().iter().rev().take(10) {
            say(&format!("{} {} {}", failure.status, failure.name, failure.failure));
        }
    }
    converged?;
    let snapshots = document.pointer("/spec/database/snapshots").is_some();
    until("the snapshot, where one is declared", LIMIT, async || {
        let writes = proxy.writes();
        if writes.contains_key("rds:CreateDBSnapshot") || !snapshots { Ok(()) } else { Err(format!("{writes:?}")) }
    })
    .await?;
    daemon.api().converged(&name, LIMIT).await?;
    say(&format!("{file}: made by {:?}", proxy.writes()));
    ensure!(!proxy.writes().is_empty(), "the proxy saw nothing being made");
    daemon.stop(&[]).await?;

    // The services that were swept, whatever the operations are called in later versions.
    let sweeps: Vec<String> = proxy
        .counts()
        .into_iter()
        .filter(|(name, count)| *count >= 3 && e2e::proxy::is_read(name))
        .map(|(name, _)| name)
        .collect();
    let hot: Vec<String> =
        sweeps.into_iter().filter(|name| name.contains("DBInstances") || name.contains("Services")).collect();
    ensure!(!hot.is_empty(), "{:?}", proxy.counts());

    proxy.reset();
    let again = first.start("again").await?;
    looked_again(&proxy, &BTreeMap::new(), &hot).await?;
    again.api().converged(&name, LIMIT).await?;
    let writes = proxy.writes();
    again.stop(&[]).await?;
    ensure!(writes.is_empty(), "{file}: a second daemon on the same database wrote: {writes:?}");

    let empty = testkit::postgres::test_database().await;
    proxy.reset();
    let adopting = setup(&empty.url, &proxy, account, key)?.start("adopting").await?;
    adopting.api().create(&document).await?;
    adopting.api().converged(&name, LIMIT).await?;
    looked_again(&proxy, &BTreeMap::new(), &hot).await?;
    let writes = proxy.writes();
    adopting.stop(&[]).await?;
    ensure!(writes.is_empty(), "{file}: a daemon on an empty database wrote: {writes:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_for_ministack_converges_and_then_nothing_is_written() -> Result<()> {
    let Some(url) = programs::provided("ministack", "EVENTCHAIN_MINISTACK_URL")? else { return Ok(()) };
    converges_and_then_writes_no_more(&Emulator {
        file: "ministack.yaml",
        url,
        reset: "/_ministack/reset",
        account: "000000000000",
        key: "test",
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_for_moto_converges_and_then_nothing_is_written() -> Result<()> {
    let Some(url) = programs::provided("moto", "EVENTCHAIN_MOTO_URL")? else { return Ok(()) };
    converges_and_then_writes_no_more(&Emulator {
        file: "moto.yaml",
        url,
        reset: "/moto-api/reset",
        account: "123456789012",
        key: "123456789012",
    })
    .await
}
