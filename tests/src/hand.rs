//! Someone else's hand: changes made in the simulated AWS behind the daemon's back, and looks at what it shows, each by
//! the AWS call that a person would make.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use simaws::Sim;
use simaws::testing::{Caller, Reply, json as json_call, query};

use crate::wire::element;

/// The database of the environment `prod`.
pub const DATABASE: &str = "eventchain-prod-db";
/// The cluster of the environment `prod`.
pub const CLUSTER: &str = "eventchain-cluster";

fn done(reply: Reply, what: &str) -> Result<Reply> {
    ensure!(reply.status == 200, "{what}: {} {}", reply.status, reply.body);
    Ok(reply)
}

/// `ecs:UpdateService` of the count.
pub async fn set_count(sim: &Sim, service: &str, count: u32) -> Result<()> {
    let body = json!({ "cluster": CLUSTER, "service": service, "desiredCount": count });
    done(json_call(sim, "ecs", "UpdateService", body).await, "UpdateService").map(drop)
}

/// The service's desired count.
pub async fn count(sim: &Sim, service: &str) -> Result<i64> {
    let body = json!({ "cluster": CLUSTER, "services": [service] });
    let reply = done(json_call(sim, "ecs", "DescribeServices", body).await, "DescribeServices")?;
    reply.body["services"][0]["desiredCount"].as_i64().context("the service is there")
}

/// `cloudwatch:DeleteAlarms`.
pub async fn delete_alarm(sim: &Sim, name: &str) -> Result<()> {
    done(json_call(sim, "monitoring", "DeleteAlarms", json!({ "AlarmNames": [name] })).await, "DeleteAlarms").map(drop)
}

/// `cloudwatch:DisableAlarmActions`.
pub async fn disable_alarm(sim: &Sim, name: &str) -> Result<()> {
    let body = json!({ "AlarmNames": [name] });
    done(json_call(sim, "monitoring", "DisableAlarmActions", body).await, "DisableAlarmActions").map(drop)
}

/// An alarm; null when there is none.
pub async fn alarm(sim: &Sim, name: &str) -> Value {
    let reply = json_call(sim, "monitoring", "DescribeAlarms", json!({ "AlarmNames": [name] })).await;
    reply.body["MetricAlarms"][0].clone()
}

/// `rds:ModifyDBInstance`.
pub async fn modify_database(sim: &Sim, parameters: &[(&str, &str)]) -> Result<()> {
    let mut all = vec![("DBInstanceIdentifier", DATABASE)];
    all.extend_from_slice(parameters);
    done(query(sim, "rds", "ModifyDBInstance", &all).await, "ModifyDBInstance").map(drop)
}

/// What `rds:DescribeDBInstances` says of the database.
pub async fn database(sim: &Sim) -> String {
    query(sim, "rds", "DescribeDBInstances", &[("DBInstanceIdentifier", DATABASE)]).await.xml().to_owned()
}

/// `rds:AddTagsToResource` of one tag of the database.
pub async fn tag_database(sim: &Sim, key: &str, value: &str) -> Result<()> {
    let arn = format!("arn:aws:rds:us-east-1:{}:db:{DATABASE}", testkit::fixtures::ACCOUNT);
    let parameters = [("ResourceName", arn.as_str()), ("Tags.Tag.1.Key", key), ("Tags.Tag.1.Value", value)];
    done(query(sim, "rds", "AddTagsToResource", &parameters).await, "AddTagsToResource").map(drop)
}

/// `elasticloadbalancing:ModifyTargetGroup` of the health check's path.
pub async fn set_health_check(sim: &Sim, group: &str, path: &str) -> Result<()> {
    let xml = target_group(sim, group).await;
    let arn = element(&xml, "TargetGroupArn").context("the target group is there")?;
    let parameters = [("TargetGroupArn", arn), ("HealthCheckPath", path)];
    done(query(sim, "elasticloadbalancing", "ModifyTargetGroup", &parameters).await, "ModifyTargetGroup").map(drop)
}

/// What `elasticloadbalancing:DescribeTargetGroups` says of one.
pub async fn target_group(sim: &Sim, group: &str) -> String {
    let names = [("Names.member.1", group)];
    query(sim, "elasticloadbalancing", "DescribeTargetGroups", &names).await.xml().to_owned()
}

/// `logs:PutRetentionPolicy`.
pub async fn keep_logs(sim: &Sim, group: &str, days: u32) -> Result<()> {
    let body = json!({ "logGroupName": group, "retentionInDays": days });
    done(json_call(sim, "logs", "PutRetentionPolicy", body).await, "PutRetentionPolicy").map(drop)
}

/// How long a group's logs are kept.
pub async fn log_days(sim: &Sim, group: &str) -> Value {
    let reply = json_call(sim, "logs", "DescribeLogGroups", json!({ "logGroupNamePrefix": group })).await;
    reply.body["logGroups"][0]["retentionInDays"].clone()
}

/// Manual snapshots of the database in a region.
pub async fn snapshots(sim: &Sim, region: &str) -> Result<String> {
    let caller = Caller { region: region.to_owned(), ..Caller::default() };
    let reply = caller.query(sim, "rds", "DescribeDBSnapshots", &[("SnapshotType", "manual")]).await?;
    done(reply, "DescribeDBSnapshots").map(|reply| reply.xml().to_owned())
}
