//! One case for each rule: a change of a good document, and the path that must be named.

use serde_json::{Value, json};

use super::{validate, validate_update};
use crate::Environment;
use crate::parse::parse;

fn good() -> Value {
    json!({
        "metadata": { "name": "prod" },
        "spec": {
            "aws": { "accountId": "123456789012", "region": "us-east-1" },
            "network": { "vpc": { "existing": "vpc-0a1b2c3d" } },
            "cluster": {},
            "serviceDefaults": {
                "subnets": ["subnet-0a1b2c3d"], "securityGroups": ["sg-0a1b2c3d"],
                "executionRole": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole", "cpu": 512, "memoryMib": 1024
            },
            "services": {
                "api-gateway": {
                    "initialImage": "x/api:1", "port": 3000, "desiredCount": 2, "secrets": { "DATABASE_URL": "eventchain/database-url" },
                    "autoscaling": { "min": 2, "max": 10 }, "targetGroup": { "name": "eventchain-api-tg" }
                },
                "event-service": { "image": "x/event:1", "desiredCount": 2 }
            },
            "loadBalancer": {
                "existing": "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/eventchain-alb/50dc6c495c0c9188",
                "listeners": [{ "port": 80, "forwardTo": "api-gateway" }]
            },
            "database": {
                "identifier": "eventchain-prod-db", "encrypted": true, "storageGib": 100,
                "backups": { "retentionDays": 30, "window": "03:00-04:00" }, "maintenanceWindow": "sun:04:00-sun:05:00",
                "snapshots": { "schedule": "0 2 * * *", "keep": 14, "copyTo": [{ "region": "us-west-2", "kmsKeyId": "alias/aws/rds", "keep": 7 }] }
            },
            "secrets": { "eventchain/database-url": { "value": "External" } },
            "alarms": { "EventChain-High-CPU": { "period": "300s", "evaluationPeriods": 2 } }
        }
    })
}

fn set(document: &mut Value, path: &str, value: Value) {
    let pointer = path.strip_prefix('/').expect("a pointer");
    let (parent, last) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let parent = if parent.is_empty() { String::new() } else { format!("/{parent}") };
    let target = document.pointer_mut(&parent).unwrap_or_else(|| panic!("{parent} is not there"));
    match (last.parse::<usize>(), target) {
        (Ok(index), Value::Array(items)) => items[index] = value,
        (_, target) => target[last.replace("~1", "/")] = value,
    }
}

fn problems(document: Value) -> Vec<String> {
    let (read, mut problems) = parse::<Environment>(document);
    if let Some(environment) = read {
        problems.extend(validate(&environment));
    }
    problems.list().iter().map(|problem| problem.path.clone()).collect()
}

#[test]
fn the_good_document_is_good() {
    assert_eq!(problems(good()), Vec::<String>::new());
}

#[test]
fn each_rule_names_its_field() {
    let cases: &[(&str, Value, &str)] = &[
        ("/spec/database/iops", json!(10), "spec.database.iops"),
        ("/spec/database", json!({ "identifier": "db", "storageType": "gp2", "iops": 3000 }), "spec.database.iops"),
        ("/spec/database/securityGroups", json!([]), "spec.database.securityGroups"),
        ("/metadata/labels", json!({ "team": "-" }), "metadata.labels.team"),
        ("/apiVersion", json!("v2"), "apiVersion"),
        ("/spec/tags", json!({ "aws:x": "1" }), "spec.tags[\"aws:x\"]"),
        ("/spec/policy", json!({ "disruptive": "Window" }), "spec.policy.windows"),
        ("/spec/policy", json!({ "changes": { "approvals": 0 } }), "spec.policy.changes.approvals"),
        ("/spec/policy", json!({ "changes": { "expireAfter": "60d" } }), "spec.policy.changes.expireAfter"),
        (
            "/spec/policy",
            json!({ "changes": { "rollback": { "within": "1s" } } }),
            "spec.policy.changes.rollback.within",
        ),
        ("/spec/policy", json!({ "changes": { "rollback": { "bake": "2h" } } }), "spec.policy.changes.rollback.bake"),
        ("/spec/policy", json!({ "windows": [{ "cron": "bad", "duration": "1h" }] }), "spec.policy.windows[0].cron"),
        (
            "/spec/policy",
            json!({ "windows": [{ "cron": "0 4 * * *", "duration": "10s" }] }),
            "spec.policy.windows[0].duration",
        ),
        (
            "/spec/policy",
            json!({ "windows": [{ "cron": "0 4 * * *", "duration": "1h", "timezone": "X/Y" }] }),
            "spec.policy.windows[0].timezone",
        ),
        ("/spec/aws/accountId", json!("1234"), "spec.aws.accountId"),
        ("/spec/network/vpc/existing", json!("main"), "spec.network.vpc.existing"),
        ("/spec/cluster/name", json!("no spaces"), "spec.cluster.name"),
        ("/spec/services/event-service/initialImage", json!("x/y:1"), "spec.services.event-service.initialImage"),
        ("/spec/services/event-service/subnets", json!(["a"]), "spec.services.event-service.subnets[0]"),
        ("/spec/services/event-service/cpu", json!(300), "spec.services.event-service.cpu"),
        ("/spec/services/event-service/memoryMib", json!(512), "spec.services.event-service.memoryMib"),
        (
            "/spec/services/event-service/logs",
            json!({ "retentionDays": 31 }),
            "spec.services.event-service.logs.retentionDays",
        ),
        ("/spec/services/api-gateway/desiredCount", json!(14), "spec.services.api-gateway.desiredCount"),
        ("/spec/services/api-gateway/autoscaling/min", json!(20), "spec.services.api-gateway.autoscaling.min"),
        (
            "/spec/services/api-gateway/secrets/DATABASE_URL",
            json!("nothing"),
            "spec.services.api-gateway.secrets.DATABASE_URL",
        ),
        (
            "/spec/services/api-gateway/targetGroup/name",
            json!("a-name-that-is-longer-than-32-chars"),
            "spec.services.api-gateway.targetGroup.name",
        ),
        (
            "/spec/services/api-gateway/targetGroup/healthCheck",
            json!({ "path": "health" }),
            "spec.services.api-gateway.targetGroup.healthCheck.path",
        ),
        (
            "/spec/services/api-gateway/targetGroup/healthCheck",
            json!({ "timeout": 5 }),
            "spec.services.api-gateway.targetGroup.healthCheck.timeout",
        ),
        ("/spec/loadBalancer/existing", json!("eventchain-alb"), "spec.loadBalancer.existing"),
        (
            "/spec/loadBalancer/listeners/0/forwardTo",
            json!("event-service"),
            "spec.loadBalancer.listeners[0].forwardTo",
        ),
        ("/spec/loadBalancer/listeners/0/redirectTo", json!(443), "spec.loadBalancer.listeners[0].forwardTo"),
        ("/spec/pipeline", json!({ "deploy": { "service": "event-service" } }), "spec.services.event-service.image"),
        ("/spec/pipeline", json!({ "deploy": { "service": "nobody" } }), "spec.pipeline.deploy.service"),
        ("/spec/database/identifier", json!("9db"), "spec.database.identifier"),
        ("/spec/database/masterPassword", json!("SecurePassword123!"), "spec.database.masterPassword"),
        ("/spec/database/storageGib", json!(5), "spec.database.storageGib"),
        ("/spec/database/storageGib", json!("100GB"), "spec.database.storageGib"),
        ("/spec/database/backups/window", json!("03:00-04:30"), "spec.database.maintenanceWindow"),
        ("/spec/database/backups/window", json!("3-4"), "spec.database.backups.window"),
        ("/spec/database/snapshots/schedule", json!("daily"), "spec.database.snapshots.schedule"),
        (
            "/spec/database/snapshots/copyTo/0",
            json!({ "region": "us-west-2", "keep": 7 }),
            "spec.database.snapshots.copyTo[0].kmsKeyId",
        ),
        ("/spec/database/snapshots/copyTo/0/region", json!("us-east-1"), "spec.database.snapshots.copyTo[0].region"),
        (
            "/spec/secrets/eventchain~1database-url/value",
            json!("postgres://u:p@h/d"),
            "spec.secrets[\"eventchain/database-url\"].value",
        ),
        ("/spec/alarms/EventChain-High-CPU/period", json!("45s"), "spec.alarms.EventChain-High-CPU.period"),
        (
            "/spec/alarms/EventChain-High-CPU/datapointsToAlarm",
            json!(3),
            "spec.alarms.EventChain-High-CPU.datapointsToAlarm",
        ),
        ("/spec/cache", json!({}), "spec.cache"),
    ];
    for (pointer, value, path) in cases {
        let mut document = good();
        set(&mut document, pointer, value.clone());
        let found = problems(document);
        assert_eq!(found, [*path], "{pointer} = {value}");
    }
}

#[test]
fn a_document_holds_no_more_than_an_environment_has() {
    let many = |count: usize, value: Value| -> Value { (0..count).map(|n| (format!("n{n}"), value.clone())).collect() };
    let list = |count: usize, value: Value| Value::Array(vec![value; count]);
    for (pointer, value, path) in [
        ("/spec/services", many(501, json!({ "image": "x:1" })), "spec.services"),
        ("/spec/secrets", many(501, json!({})), "spec.secrets"),
        ("/spec/alarms", many(1_001, json!({})), "spec.alarms"),
        ("/spec/tags", many(49, json!("x")), "spec.tags"),
        (
            "/spec/policy",
            json!({ "windows": list(51, json!({ "cron": "0 4 * * *", "duration": "1h" })) }),
            "spec.policy.windows",
        ),
        (
            "/spec/loadBalancer/listeners",
            list(51, json!({ "port": 80, "redirectTo": 443 })),
            "spec.loadBalancer.listeners",
        ),
        (
            "/spec/database/snapshots/copyTo",
            list(31, json!({ "region": "us-west-2", "keep": 1 })),
            "spec.database.snapshots.copyTo",
        ),
    ] {
        let mut document = good();
        set(&mut document, pointer, value);
        assert_eq!(problems(document), [path]);
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let mut document = good();
    set(&mut document, "/spec/database/storageGib", json!("100GB"));
    set(&mut document, "/spec/database/masterPassword", json!("SecurePassword123!"));
    set(&mut document, "/spec/services/event-service/colour", json!("red"));
    set(&mut document, "/spec/database/backups/window", json!("03:00-04:30"));
    let found = problems(document);
    for path in [
        "spec.database.storageGib",
        "spec.database.masterPassword",
        "spec.services.event-service.colour",
        "spec.database.maintenanceWindow",
    ] {
        assert!(found.contains(&path.to_owned()), "{path} not in {found:?}");
    }
}

#[test]
fn a_refused_password_is_not_repeated() {
    let mut document = good();
    set(&mut document, "/spec/database/masterPassword", json!("SecurePassword123!"));
    let (_, problems) = parse::<Environment>(document);
    assert!(!problems.to_string().contains("SecurePassword123!"), "{problems}");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    for (pointer, value) in [
        ("/spec/services/api-gateway/secrets/DATABASE_URL", json!("postgres://u:hunter2@h/d")),
        ("/spec/services/event-service/environment", json!({ "TOKEN": 8_675_309 })),
        ("/spec/services/event-service/environment", json!("TOKEN=hunter2")),
        ("/spec/services/event-service/secrets", json!(["hunter2"])),
        ("/spec/secrets/eventchain~1database-url", json!("hunter2")),
        ("/spec/database/storageGib", json!("hunter2")),
        ("/spec/policy", json!({ "mode": "hunter2" })),
        ("/spec/alarms/EventChain-High-CPU/period", json!("hunter2")),
        ("/spec/loadBalancer/listeners/0/forwardTo", json!("hunter2")),
    ] {
        let mut document = good();
        set(&mut document, pointer, value);
        let (read, mut found) = parse::<Environment>(document);
        found.extend(read.map(|environment| validate(&environment)).unwrap_or_default());
        let told = found.to_string();
        assert!(!told.is_empty() && !told.contains("hunter2") && !told.contains("8675309"), "{pointer}: {told}");
    }
}

#[test]
fn debug_shows_no_plain_value() {
    let mut document = good();
    set(&mut document, "/spec/services/event-service/environment", json!({ "TOKEN": "hunter2" }));
    let shown = format!("{:?}", parse::<Environment>(document).0.unwrap());
    assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_name_that_is_no_dns_label_is_refused() {
    let mut document = good();
    set(&mut document, "/metadata/name", json!("Prod!"));
    assert!(problems(document).contains(&"metadata.name".to_owned()));
}

#[test]
fn other_environments_give_their_own_names() {
    let mut document = good();
    set(&mut document, "/metadata/name", json!("staging"));
    assert_eq!(
        problems(document),
        ["spec.cluster.name", "spec.services.api-gateway.name", "spec.services.event-service.name"]
    );
}

#[test]
fn storage_does_not_shrink_and_the_account_stays() {
    let read = |document| parse::<Environment>(document).0.unwrap();
    let old = read(good());
    let mut changed = good();
    set(&mut changed, "/spec/database/storageGib", json!(50));
    set(&mut changed, "/spec/aws/accountId", json!("210987654321"));
    let found = validate_update(&old, &read(changed));
    let paths: Vec<&str> = found.list().iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["spec.aws.accountId", "spec.database.storageGib"]);
    assert!(validate_update(&old, &old).is_empty());
}
