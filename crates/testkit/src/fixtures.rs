//! Documents for tests: the example environment with every kind that is served.

use model::Environment;
use serde_json::{Value, json};

/// Account of the fixtures.
pub const ACCOUNT: &str = "123456789012";
/// Home region of the fixtures.
pub const REGION: &str = "us-east-1";
/// Region that snapshots are copied to.
pub const COPY_REGION: &str = "us-west-2";
/// Installation id of the fixtures.
pub const INSTALLATION: &str = "test";
/// A plain environment value that must be seen nowhere but in the spec.
pub const CANARY: &str = "canary-7f3d9b";

/// The environment `prod`, with every kind that is served. `load_balancer` is the ARN of one that exists.
pub fn document(load_balancer: &str) -> Value {
    named("prod", load_balancer)
}

/// The same environment under another name, with names of its own.
pub fn named(name: &str, load_balancer: &str) -> Value {
    let prefix = if name == "prod" { "eventchain".to_owned() } else { format!("eventchain-{name}") };
    let service = |short: &str| format!("{prefix}-{short}");
    let image = |short: &str| format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/eventchain-{short}:1.4.2");
    json!({
        "apiVersion": "eventchain.io/v1",
        "kind": "Environment",
        "metadata": { "name": name, "labels": { "team": "backend" } },
        "spec": {
            "aws": { "accountId": ACCOUNT, "region": REGION },
            "tags": { "Project": "EventChain", "Environment": name, "Team": "Backend" },
            "policy": {
                "disruptive": "Window",
                "windows": [{ "cron": "0 4 * * SUN", "duration": "1h" }]
            },
            "network": { "vpc": { "existing": "vpc-0a1b2c3d4e5f60718" } },
            "cluster": { "name": format!("{prefix}-cluster"), "containerInsights": true },
            "serviceDefaults": {
                "subnets": ["subnet-0a1b2c3d4e5f60718", "subnet-0b1b2c3d4e5f60718"],
                "securityGroups": ["sg-0a1b2c3d4e5f60718"],
                "assignPublicIp": true,
                "executionRole": format!("arn:aws:iam::{ACCOUNT}:role/ecsTaskExecutionRole"),
                "taskRole": format!("arn:aws:iam::{ACCOUNT}:role/ecsTaskRole"),
                "cpu": 512,
                "memoryMib": 1024,
                "logs": { "retentionDays": 30 }
            },
            "services": {
                "api-gateway": {
                    "name": service("api-gateway"),
                    "initialImage": image("api-gateway"),
                    "port": 3000,
                    "environment": { "NODE_ENV": "production", "CANARY": CANARY },
                    "secrets": { "DATABASE_URL": format!("{prefix}/database-url") },
                    "desiredCount": 2,
                    "autoscaling": {
                        "min": 2, "max": 10, "cpuTargetPercent": 70, "scaleOutCooldown": "300s", "scaleInCooldown": "300s"
                    },
                    "targetGroup": { "name": format!("{prefix}-api-tg"), "healthCheck": { "path": "/health" } }
                },
                "event-service": {
                    "name": service("event-service"), "image": image("event-service"), "desiredCount": 2
                },
                "order-service": {
                    "name": service("order-service"), "image": image("order-service"), "desiredCount": 2
                },
                "analytics-service": {
                    "name": service("analytics-service"), "image": image("analytics-service"), "desiredCount": 1
                }
            },
            "loadBalancer": {
                "existing": load_balancer,
                "listeners": [
                    { "port": 80, "redirectTo": 443 },
                    {
                        "port": 443,
                        "certificate": format!("arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0a1b2c3d-0000-4000-8000-000000000001"),
                        "forwardTo": "api-gateway"
                    }
                ]
            },
            "database": {
                "identifier": format!("{prefix}-prod-db"),
                "engine": "postgres",
                "engineVersion": "13.7",
                "instanceClass": "db.t3.medium",
                "databaseName": "eventchain",
                "storageGib": 100,
                "storageType": "gp2",
                "encrypted": true,
                "multiAz": true,
                "publiclyAccessible": false,
                "deletionProtection": true,
                "autoMinorVersionUpgrade": true,
                "subnetGroup": { "existing": "eventchain-db-subnet-group" },
                "securityGroups": ["sg-0a1b2c3d4e5f60719"],
                "masterUsername": "eventchain_admin",
                "masterPassword": { "managedByAws": true },
                "backups": { "retentionDays": 30, "window": "03:00-04:00" },
                "maintenanceWindow": "sun:04:00-sun:05:00",
                "snapshots": {
                    "schedule": "0 2 * * *",
                    "keep": 14,
                    "copyTo": [{ "region": COPY_REGION, "kmsKeyId": "alias/aws/rds", "keep": 7 }],
                    "maxAge": "26h"
                }
            },
            "secrets": {
                (format!("{prefix}/database-url")): {
                    "description": "EventChain database connection string", "value": "External"
                },
                (format!("{prefix}/stripe-api-key")): {
                    "description": "Stripe API key for payment processing", "value": "External"
                }
            },
            "alarms": {
                (if name == "prod" { "EventChain-High-CPU".to_owned() } else { format!("EventChain-{name}-High-CPU") }): {
                    "description": "Alert when CPU exceeds 80%",
                    "namespace": "AWS/ECS",
                    "metric": "CPUUtilization",
                    "dimensions": { "ClusterName": format!("{prefix}-cluster"), "ServiceName": service("api-gateway") },
                    "statistic": "Average",
                    "period": "300s",
                    "evaluationPeriods": 2,
                    "comparison": "GreaterThanThreshold",
                    "threshold": 80.0,
                    "notify": [format!("arn:aws:sns:{REGION}:{ACCOUNT}:eventchain-alerts")]
                }
            }
        }
    })
}

/// Reads a document that must be free of problems.
pub fn environment(document: Value) -> Environment {
    let (environment, problems) = model::parse::parse::<Environment>(document);
    assert!(problems.is_empty(), "the document has problems:\n{problems}");
    environment.expect("a document without problems was read")
}

/// Applies a merge patch (RFC 7386) to a document.
pub fn patched(mut document: Value, patch: &Value) -> Value {
    merge(&mut document, patch);
    document
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Value::Object(fields) = target {
        for (field, value) in patch {
            if value.is_null() {
                fields.remove(field);
            } else {
                merge(fields.entry(field.clone()).or_insert(Value::Null), value);
            }
        }
    }
}
