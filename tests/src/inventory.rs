//! What stands in the simulated AWS after a run, and what the daemon called: the evidence that nothing was made twice and
//! nothing was deleted.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::{Value, json};
use simaws::Sim;
use simaws::testing::{json as json_call, query};
use testkit::fixtures::{COPY_REGION, REGION};

use crate::hand;
use crate::wire::elements;

/// Every object in the account, as `Kind/name`. Revisions, listeners and snapshots are there one by one, since those are
/// what a repeated call would double.
pub async fn inventory(sim: &Sim) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    let mut add = |kind: &str, names: Vec<String>| {
        for name in names {
            all.insert(format!("{kind}/{name}"));
        }
    };
    let last = |arns: &Value, separator: char| -> Vec<String> {
        let arns = arns.as_array().cloned().unwrap_or_default();
        arns.iter().filter_map(|arn| Some(arn.as_str()?.rsplit(separator).next()?.to_owned())).collect()
    };
    let named = |list: &Value, field: &str| -> Vec<String> {
        let list = list.as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|item| Some(item[field].as_str()?.to_owned())).collect()
    };

    let clusters = last(&json_call(sim, "ecs", "ListClusters", json!({})).await.body["clusterArns"], '/');
    for cluster in &clusters {
        let body = json!({ "cluster": cluster, "maxResults": 100 });
        add("EcsService", last(&json_call(sim, "ecs", "ListServices", body).await.body["serviceArns"], '/'));
    }
    add("EcsCluster", clusters);
    let body = json!({ "maxResults": 100 });
    let definitions = json_call(sim, "ecs", "ListTaskDefinitions", body).await.body;
    add("EcsTaskDefinition", last(&definitions["taskDefinitionArns"], '/'));
    let groups = json_call(sim, "logs", "DescribeLogGroups", json!({})).await.body;
    add("LogGroup", named(&groups["logGroups"], "logGroupName"));
    let alarms = json_call(sim, "monitoring", "DescribeAlarms", json!({ "AlarmTypes": ["MetricAlarm"] })).await.body;
    // Target tracking makes alarms of its own, which are AWS's.
    let ours = |name: &String| !name.starts_with("TargetTracking-");
    add("Alarm", named(&alarms["MetricAlarms"], "AlarmName").into_iter().filter(ours).collect());
    let secrets = json_call(sim, "secretsmanager", "ListSecrets", json!({ "MaxResults": 100 })).await.body;
    // RDS keeps the master password in a secret of its own.
    let ours = |name: &String| !name.starts_with("rds!");
    add("Secret", named(&secrets["SecretList"], "Name").into_iter().filter(ours).collect());
    let ecs = json!({ "ServiceNamespace": "ecs" });
    let targets = json_call(sim, "application-autoscaling", "DescribeScalableTargets", ecs.clone()).await.body;
    add("ScalableTarget", named(&targets["ScalableTargets"], "ResourceId"));
    let policies = json_call(sim, "application-autoscaling", "DescribeScalingPolicies", ecs).await.body;
    add("ScalingPolicy", named(&policies["ScalingPolicies"], "PolicyName"));
    let groups = query(sim, "elasticloadbalancing", "DescribeTargetGroups", &[]).await;
    add("TargetGroup", owned(&elements(groups.xml(), "TargetGroupName")));
    let balancers = query(sim, "elasticloadbalancing", "DescribeLoadBalancers", &[]).await;
    for balancer in elements(balancers.xml(), "LoadBalancerArn") {
        let listeners = query(sim, "elasticloadbalancing", "DescribeListeners", &[("LoadBalancerArn", balancer)]).await;
        // The ports of listeners only: a redirect's stands in an element of its own.
        let xml = listeners.xml().split("<ListenerArn>").skip(1);
        let ports = xml.filter_map(|one| elements(one, "Port").into_iter().next_back().map(str::to_owned));
        let balancer = balancer.rsplit('/').nth(1).unwrap_or(balancer);
        add("Listener", ports.map(|port| format!("{balancer}:{port}")).collect());
    }
    let databases = query(sim, "rds", "DescribeDBInstances", &[]).await;
    add("RdsInstance", owned(&elements(databases.xml(), "DBInstanceIdentifier")));
    for region in [REGION, COPY_REGION] {
        let snapshots = hand::snapshots(sim, region).await?;
        let ids = elements(&snapshots, "DBSnapshotIdentifier");
        add("RdsSnapshot", ids.into_iter().map(|id| format!("{region}:{id}")).collect());
    }
    Ok(all)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// How many objects of each kind there are.
pub fn by_kind(inventory: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for object in inventory {
        let kind = object.split('/').next().unwrap_or_default();
        *counts.entry(kind.to_owned()).or_default() += 1;
    }
    counts
}

/// What the fixture `prod`, with one snapshot due, makes of an empty account.
pub fn of_the_fixture() -> BTreeMap<String, usize> {
    [
        ("EcsCluster", 1),
        ("EcsService", 4),
        ("EcsTaskDefinition", 4),
        ("LogGroup", 4),
        ("Alarm", 1),
        ("Secret", 2),
        ("ScalableTarget", 1),
        ("ScalingPolicy", 1),
        ("TargetGroup", 1),
        ("Listener", 2),
        ("RdsInstance", 1),
        // The snapshot and its copy.
        ("RdsSnapshot", 2),
    ]
    .into_iter()
    .map(|(kind, count)| (kind.to_owned(), count))
    .collect()
}

/// Calls that take something away, the daemon's or anyone's.
pub fn removals(sim: &Sim) -> Vec<String> {
    sim.with_calls(|calls| {
        let counted = calls.by_operation();
        let removes = |name: &str| {
            let operation = name.split(':').nth(1).unwrap_or(name);
            ["Delete", "Deregister", "Stop"].iter().any(|verb| operation.starts_with(verb))
        };
        counted.into_iter().filter(|(name, _)| removes(name)).map(|(name, count)| format!("{name} × {count}")).collect()
    })
}

/// Mutating calls so far, by operation.
pub fn mutations(sim: &Sim) -> BTreeMap<String, u64> {
    sim.with_calls(|calls| {
        let mut counts = BTreeMap::new();
        for call in calls.log().filter(|call| call.mutating) {
            *counts.entry(format!("{}:{}", call.service, call.operation)).or_default() += 1;
        }
        counts
    })
}
