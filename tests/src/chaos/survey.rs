//! What an account holds, read by AWS's own calls, as one document: by kind and name, with the fields that specs declare.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::stage::Account;
use crate::aws::Aws;
use crate::wire::{element, elements};

/// Everything in the account that an environment could have made.
///
/// # Errors
/// When AWS does not answer.
pub async fn survey(account: &Account) -> Result<Value> {
    let aws = &account.home;
    let (services, definitions, clusters) = ecs(aws).await?;
    let groups = aws.json("logs", "DescribeLogGroups", json!({})).await?;
    let alarms = aws.json("monitoring", "DescribeAlarms", json!({ "AlarmTypes": ["MetricAlarm"] })).await?;
    let secrets = aws.json("secretsmanager", "ListSecrets", json!({ "MaxResults": 100 })).await?;
    let namespace = json!({ "ServiceNamespace": "ecs" });
    let targets = aws.json("application-autoscaling", "DescribeScalableTargets", namespace.clone()).await?;
    let policies = aws.json("application-autoscaling", "DescribeScalingPolicies", namespace).await?;
    Ok(json!({
        "clusters": clusters,
        "services": services,
        "definitions": definitions,
        "logGroups": by_name(&groups["logGroups"], "logGroupName"),
        "alarms": by_name(&alarms["MetricAlarms"], "AlarmName"),
        "secrets": by_name(&secrets["SecretList"], "Name"),
        "scalableTargets": by_name(&targets["ScalableTargets"], "ResourceId"),
        "scalingPolicies": by_name(&policies["ScalingPolicies"], "ResourceId"),
        "targetGroups": target_groups(aws).await?,
        "listeners": listeners(aws).await?,
        "databases": databases(aws).await?,
        "snapshots": aws.snapshots().await?,
        "copies": account.away.snapshots().await?,
    }))
}

fn by_name(list: &Value, name: &str) -> Value {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| Some((item[name].as_str()?.to_owned(), item.clone()))).collect::<Map<_, _>>().into()
}

/// Services by name with the content of the revision that they run; how many revisions each family has; clusters.
async fn ecs(aws: &Aws) -> Result<(Value, Value, Value)> {
    let clusters = aws.json("ecs", "ListClusters", json!({})).await?["clusterArns"].clone();
    let mut services = Map::new();
    for cluster in clusters.as_array().into_iter().flatten() {
        let list = aws.json("ecs", "ListServices", json!({ "cluster": cluster, "maxResults": 100 })).await?;
        for arn in list["serviceArns"].as_array().into_iter().flatten() {
            let found = aws.json("ecs", "DescribeServices", json!({ "cluster": cluster, "services": [arn] })).await?;
            let mut service = found["services"][0].clone();
            if service["status"] != "ACTIVE" {
                continue;
            }
            let body = json!({ "taskDefinition": service["taskDefinition"] });
            let definition = aws.json("ecs", "DescribeTaskDefinition", body).await?;
            service["runs"] = definition["taskDefinition"].clone();
            services.insert(service["serviceName"].as_str().unwrap_or_default().to_owned(), service);
        }
    }
    let list = aws.json("ecs", "ListTaskDefinitions", json!({ "maxResults": 100 })).await?;
    let mut families = Map::new();
    for arn in list["taskDefinitionArns"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let family = arn.rsplit('/').next().and_then(|name| name.split(':').next()).unwrap_or(arn);
        let count = families.get(family).and_then(Value::as_u64).unwrap_or_default();
        families.insert(family.to_owned(), (count + 1).into());
    }
    let names: Vec<&str> = clusters.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let names: Vec<&str> = names.iter().filter_map(|arn| arn.rsplit('/').next()).collect();
    Ok((services.into(), families.into(), json!(names)))
}

fn texts(xml: &str, names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), element(xml, name).into())).collect::<Map<_, _>>().into()
}

async fn target_groups(aws: &Aws) -> Result<Value> {
    let all = aws.query("elasticloadbalancing", "DescribeTargetGroups", &[]).await?;
    let mut groups = Map::new();
    for name in elements(&all, "TargetGroupName") {
        let one = aws.query("elasticloadbalancing", "DescribeTargetGroups", &[("Names.member.1", name)]).await?;
        groups.insert(name.to_owned(), texts(&one, &["HealthCheckPath", "Port", "Protocol"]));
    }
    Ok(groups.into())
}

/// Ports, one by one: what a repeated call would double.
async fn listeners(aws: &Aws) -> Result<Value> {
    let balancers = aws.query("elasticloadbalancing", "DescribeLoadBalancers", &[]).await?;
    let mut ports = Vec::new();
    for balancer in elements(&balancers, "LoadBalancerArn") {
        let xml = aws.query("elasticloadbalancing", "DescribeListeners", &[("LoadBalancerArn", balancer)]).await?;
        // The port of a redirect stands in an element of its own, before the listener's.
        let of_each = xml.split("<ListenerArn>").skip(1);
        ports.extend(of_each.filter_map(|one| elements(one, "Port").last().and_then(|port| port.parse::<u64>().ok())));
    }
    ports.sort_unstable();
    Ok(json!(ports))
}

async fn databases(aws: &Aws) -> Result<Value> {
    let xml = aws.query("rds", "DescribeDBInstances", &[]).await?;
    let fields = [
        "DBInstanceStatus",
        "InstanceCreateTime",
        "BackupRetentionPeriod",
        "PreferredBackupWindow",
        "MultiAZ",
        "AllocatedStorage",
        "DeletionProtection",
        "DBInstanceClass",
    ];
    let all = xml.split("<DBInstance>").skip(1).filter_map(|one| {
        let name = element(one, "DBInstanceIdentifier")?;
        let mut found = texts(one, &fields);
        let tags = one.split("<Tag>").skip(1).filter_map(|tag| {
            Some((element(tag, "Key")?.to_owned(), Value::from(element(tag, "Value").unwrap_or_default())))
        });
        found["tags"] = tags.collect::<Map<_, _>>().into();
        Some((name.to_owned(), found))
    });
    Ok(all.collect::<Map<_, _>>().into())
}
