//! RDS through the `aws` CLI: lists, pending values and copies across regions as its parsers read them.
use std::time::Duration;

use serde_json::json;
use simaws::{Clock, Sim};

use crate::cli::Cli;

fn still() -> Sim {
    Sim::builder().clock(Clock::manual("2026-03-01T12:00:00Z".parse().expect("a valid time"))).build()
}

const INSTANCE: [&str; 21] = [
    "rds",
    "create-db-instance",
    "--db-instance-identifier",
    "eventchain-prod-db",
    "--db-instance-class",
    "db.t3.medium",
    "--engine",
    "postgres",
    "--engine-version",
    "13.7",
    "--master-username",
    "eventchain_admin",
    "--manage-master-user-password",
    "--allocated-storage",
    "100",
    "--storage-encrypted",
    "--multi-az",
    "--backup-retention-period",
    "7",
    "--tags",
    "Key=Project,Value=EventChain",
];

#[tokio::test]
async fn the_cli_creates_modifies_and_snapshots_an_instance_and_copies_the_snapshot() {
    let sim = still();
    let Some(cli) = Cli::start(&sim).await else { return };
    let made = cli.ok(&INSTANCE).await;
    assert_eq!(made["DBInstance"]["DBInstanceStatus"], "creating");
    sim.clock().advance(Duration::from_secs(60));
    let id = ["--db-instance-identifier", "eventchain-prod-db"];
    let class = ["rds", "modify-db-instance", id[0], id[1], "--db-instance-class", "db.t3.large"];
    let pending = &cli.ok(&class).await["DBInstance"]["PendingModifiedValues"];
    assert_eq!(*pending, json!({ "DBInstanceClass": "db.t3.large" }));
    let list = ["rds", "describe-db-instances", "--filters", "Name=db-instance-id,Values=eventchain-prod-db,none"];
    let instances = &cli.ok(&list).await["DBInstances"];
    assert_eq!(instances.as_array().map(Vec::len), Some(1));
    let instance = &instances[0];
    assert_eq!(instance["TagList"], json!([{ "Key": "Project", "Value": "EventChain" }]));
    assert_eq!(instance["Endpoint"]["Port"], 5432);
    assert_eq!(instance["MasterUserSecret"]["SecretStatus"], "active");
    let name = ["--db-snapshot-identifier", "eventchain-prod-snapshot-20260301"];
    let snapshot = cli.ok(&["rds", "create-db-snapshot", name[0], name[1], id[0], id[1]]).await;
    let arn = snapshot["DBSnapshot"]["DBSnapshotArn"].as_str().expect("an ARN").to_owned();
    sim.clock().advance(Duration::from_secs(60));
    let there = ["--region", "us-west-2"];
    let copy = [
        "rds",
        "copy-db-snapshot",
        "--source-db-snapshot-identifier",
        &arn,
        "--target-db-snapshot-identifier",
        name[1],
        "--kms-key-id",
        "alias/aws/rds",
        "--source-region",
        "us-east-1",
        there[0],
        there[1],
    ];
    assert_eq!(cli.ok(&copy).await["DBSnapshot"]["SourceRegion"], "us-east-1");
    sim.clock().advance(Duration::from_secs(60));
    let list = ["rds", "describe-db-snapshots", "--snapshot-type", "manual", there[0], there[1]];
    let copies = &cli.ok(&list).await["DBSnapshots"];
    assert_eq!((copies[0]["Status"].as_str(), copies[0]["PercentProgress"].as_i64()), (Some("available"), Some(100)));
    let gone = cli.run(&["rds", "describe-db-instances", id[0], "none"]).await.expect_err("there is none");
    assert!(gone.contains("DBInstanceNotFound"), "{gone}");
}
