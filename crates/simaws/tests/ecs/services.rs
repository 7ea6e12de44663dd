//! Services: what may be created, changed, deleted, and how they are found.
use serde_json::{Value, json};

use super::{
    attach, behind, definition, ecs, messages, pass, prepared, refused, service, serving, show, target_group, update,
    with,
};

#[tokio::test]
async fn a_service_starts_pending_and_reaches_its_count_with_a_steady_state_event() {
    let sim = prepared().await;
    let created = ecs(&sim, "CreateService", service(2)).await["service"].clone();
    assert_eq!((&created["desiredCount"], &created["runningCount"]), (&json!(2), &json!(0)));
    assert_eq!(created["deployments"][0]["rolloutState"], "IN_PROGRESS");
    pass(&sim, 1);
    assert_eq!(show(&sim).await["pendingCount"], 2);
    pass(&sim, 60);
    let running = show(&sim).await;
    assert_eq!((&running["runningCount"], &running["pendingCount"]), (&json!(2), &json!(0)));
    assert_eq!(running["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!(messages(&running)[0], "(service web) has reached a steady state.");
    let cluster = ecs(&sim, "DescribeClusters", json!({ "clusters": ["main"] })).await["clusters"][0].clone();
    assert_eq!((&cluster["runningTasksCount"], &cluster["activeServicesCount"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn defaults_are_filled_in_as_documented() {
    let sim = prepared().await;
    let made = ecs(&sim, "CreateService", service(1)).await["service"].clone();
    let configuration = &made["deploymentConfiguration"];
    assert_eq!((&configuration["maximumPercent"], &configuration["minimumHealthyPercent"]), (&json!(200), &json!(100)));
    assert_eq!(configuration["deploymentCircuitBreaker"], json!({ "enable": false, "rollback": false }));
    assert_eq!(made["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"], "DISABLED");
    for (name, value) in [
        ("schedulingStrategy", json!("REPLICA")),
        ("platformVersion", json!("LATEST")),
        ("deploymentController", json!({ "type": "ECS" })),
        ("enableECSManagedTags", json!(false)),
        ("propagateTags", json!("NONE")),
        ("loadBalancers", json!([])),
        ("taskDefinition", json!("arn:aws:ecs:us-east-1:123456789012:task-definition/web:1")),
        ("serviceArn", json!("arn:aws:ecs:us-east-1:123456789012:service/main/web")),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    assert_eq!(made.get("healthCheckGracePeriodSeconds"), None, "only behind a load balancer");
}

#[tokio::test]
async fn a_name_is_taken_while_active_but_a_client_token_makes_a_retry_safe() {
    let sim = prepared().await;
    let body = with(service(1), json!({ "clientToken": "one" }));
    let first = ecs(&sim, "CreateService", body.clone()).await;
    assert_eq!(ecs(&sim, "CreateService", body).await["service"]["createdAt"], first["service"]["createdAt"]);
    for again in [
        service(1),
        with(service(2), json!({ "clientToken": "one" })),
        with(service(1), json!({ "clientToken": "two" })),
    ] {
        let (code, message) = refused(&sim, "CreateService", again).await;
        assert_eq!(code, "InvalidParameterException");
        assert_eq!(message, "Creation of service was not idempotent.");
    }
    ecs(&sim, "DeleteService", json!({ "cluster": "main", "service": "web", "force": true })).await;
    assert!(refused(&sim, "CreateService", service(1)).await.1.contains("still Draining"));
    pass(&sim, 10);
    assert_eq!(show(&sim).await["status"], "INACTIVE");
    assert_eq!(ecs(&sim, "CreateService", service(1)).await["service"]["status"], "ACTIVE");
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_is_made() {
    let sim = prepared().await;
    let bridge = json!({ "family": "bridge", "containerDefinitions": [{ "name": "a", "image": "a", "memory": 64 }] });
    ecs(&sim, "RegisterTaskDefinition", bridge).await;
    ecs(&sim, "RegisterTaskDefinition", with(definition("a"), json!({ "family": "old" }))).await;
    ecs(&sim, "DeregisterTaskDefinition", json!({ "taskDefinition": "old:1" })).await;
    let (invalid, client) = ("InvalidParameterException", "ClientException");
    let vpc = |subnets: Value| json!({ "networkConfiguration": { "awsvpcConfiguration": { "subnets": subnets } } });
    let percents = |least: i64, most: i64| json!({ "deploymentConfiguration": { "minimumHealthyPercent": least, "maximumPercent": most } });
    let cases = [
        (json!({ "cluster": "none" }), "ClusterNotFoundException", "Cluster not found."),
        (json!({ "taskDefinition": "none" }), client, "TaskDefinition not found."),
        (json!({ "taskDefinition": "web:7" }), client, "TaskDefinition not found."),
        (json!({ "taskDefinition": "old:1" }), client, "TaskDefinition is inactive"),
        (json!({ "taskDefinition": null }), invalid, "blank"),
        (json!({ "taskDefinition": "bridge" }), invalid, "FARGATE"),
        (json!({ "networkConfiguration": null }), invalid, "Network Configuration must be provided"),
        (vpc(json!([])), invalid, "subnets can not be empty"),
        (vpc(json!(["vpc-1"])), invalid, "does not exist"),
        (json!({ "desiredCount": null }), invalid, "desiredCount"),
        (json!({ "desiredCount": -1 }), invalid, "negative"),
        (json!({ "desiredCount": 5001 }), invalid, "5000"),
        (json!({ "serviceName": "a b" }), invalid, "invalid characters"),
        (json!({ "healthCheckGracePeriodSeconds": 30 }), invalid, "load balancers"),
        (percents(100, 100), invalid, "cannot be 100"),
        (percents(101, 200), invalid, "minimumHealthyPercent"),
        (json!({ "capacityProviderStrategy": [{ "capacityProvider": "FARGATE" }] }), invalid, "both a launch type"),
        (json!({ "platformVersion": "9.9.9" }), "PlatformUnknownException", "9.9.9"),
    ];
    for (change, code, part) in cases {
        let (was, message) = refused(&sim, "CreateService", with(service(1), change)).await;
        assert_eq!(was, code, "{message}");
        assert!(message.contains(part), "{message} should say {part}");
    }
    assert_eq!(ecs(&sim, "ListServices", json!({ "cluster": "main" })).await["serviceArns"], json!([]));
}

#[tokio::test]
async fn a_target_group_must_exist_take_addresses_and_be_attached() {
    let sim = prepared().await;
    let group = target_group(&sim, "ip").await;
    let instances = target_group(&sim, "instance").await;
    let unattached = format!("The target group with targetGroupArn {group} does not have an associated load balancer.");
    let mut port = behind(&group);
    port["loadBalancers"][0]["containerPort"] = json!(80);
    let mut container = behind(&group);
    container["loadBalancers"][0]["containerName"] = json!("x");
    for (balancers, part) in [
        (behind("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/x/1"), "does not exist"),
        (behind(&instances), "incompatible with the awsvpc network mode"),
        (behind(&group), unattached.as_str()),
        (port, "did not have a container port 80 defined"),
        (container, "container x does not exist"),
    ] {
        let (code, message) = refused(&sim, "CreateService", with(service(1), balancers)).await;
        assert_eq!(code, "InvalidParameterException");
        assert!(message.contains(part), "{message} should say {part}");
    }
    attach(&sim, &group).await;
    let made = ecs(&sim, "CreateService", with(service(1), behind(&group))).await["service"].clone();
    assert_eq!(made["healthCheckGracePeriodSeconds"], 0);
}

#[tokio::test]
async fn only_what_tasks_run_with_starts_a_deployment() {
    let sim = serving(1).await;
    ecs(&sim, "RegisterTaskDefinition", definition("app:2")).await;
    let subnets = json!({ "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-c"] } } });
    for (change, deploys) in [
        (json!({ "desiredCount": 2 }), false),
        (json!({ "taskDefinition": "web:1" }), false),
        (json!({ "deploymentConfiguration": { "maximumPercent": 150 } }), false),
        (json!({ "enableExecuteCommand": true }), false),
        (json!({ "taskDefinition": "web:2" }), true),
        (subnets.clone(), true),
        (subnets, false),
        (json!({ "forceNewDeployment": true }), true),
    ] {
        pass(&sim, 60);
        let before = show(&sim).await["deployments"][0]["id"].clone();
        let after = update(&sim, change.clone()).await;
        assert_eq!(after["deployments"][0]["id"] != before, deploys, "{change}");
        let state = if deploys { "IN_PROGRESS" } else { "COMPLETED" };
        assert_eq!(after["deployments"][0]["rolloutState"], state, "{change}");
    }
    let configuration = show(&sim).await["deploymentConfiguration"].clone();
    assert_eq!((&configuration["maximumPercent"], &configuration["minimumHealthyPercent"]), (&json!(150), &json!(100)));
}

#[tokio::test]
async fn updates_need_an_active_service_and_a_refused_one_changes_nothing() {
    let sim = serving(2).await;
    let change = |name: &str| json!({ "cluster": "main", "service": name, "desiredCount": 1 });
    assert_eq!(refused(&sim, "UpdateService", change("none")).await.0, "ServiceNotFoundException");
    let wrong = with(change("web"), json!({ "taskDefinition": "web:9" }));
    assert_eq!(refused(&sim, "UpdateService", wrong).await.0, "ClientException");
    assert_eq!(show(&sim).await["desiredCount"], 2);
    ecs(&sim, "DeleteService", json!({ "cluster": "main", "service": "web", "force": true })).await;
    assert_eq!(refused(&sim, "UpdateService", change("web")).await.0, "ServiceNotActiveException");
}

#[tokio::test]
async fn a_service_above_zero_is_deleted_only_by_force_and_drains_first() {
    let sim = serving(2).await;
    let delete = json!({ "cluster": "main", "service": "web" });
    let (code, message) = refused(&sim, "DeleteService", delete.clone()).await;
    assert_eq!(code, "InvalidParameterException");
    assert_eq!(message, "The service cannot be stopped while it is scaled above 0.");
    update(&sim, json!({ "desiredCount": 0 })).await;
    pass(&sim, 10);
    let gone = ecs(&sim, "DeleteService", delete).await["service"].clone();
    assert_eq!((&gone["status"], &gone["runningCount"]), (&json!("DRAINING"), &json!(0)));
    assert_eq!(ecs(&sim, "ListServices", json!({ "cluster": "main" })).await["serviceArns"], json!([]));
    pass(&sim, 10);
    let inactive = show(&sim).await;
    assert_eq!((&inactive["status"], &inactive["deployments"]), (&json!("INACTIVE"), &json!([])));
    pass(&sim, 3601);
    let body = json!({ "cluster": "main", "services": ["web"] });
    let purged = ecs(&sim, "DescribeServices", body).await;
    assert_eq!((&purged["services"], &purged["failures"][0]["reason"]), (&json!([]), &json!("MISSING")));
}

#[tokio::test]
async fn describe_takes_one_to_ten_services_of_one_cluster_by_name_or_arn() {
    let sim = serving(1).await;
    ecs(&sim, "CreateCluster", json!({ "clusterName": "other" })).await;
    let arn = "arn:aws:ecs:us-east-1:123456789012:service/main/web";
    let both = json!({ "cluster": "main", "services": [arn, "none"] });
    let found = ecs(&sim, "DescribeServices", both).await;
    assert_eq!(found["services"][0]["serviceArn"], arn);
    assert_eq!(found["services"][0].get("tags"), None);
    let missing = json!([{ "arn": "arn:aws:ecs:us-east-1:123456789012:service/main/none", "reason": "MISSING" }]);
    assert_eq!(found["failures"], missing);
    let elsewhere = ecs(&sim, "DescribeServices", json!({ "cluster": "other", "services": [arn] })).await;
    assert_eq!(elsewhere["failures"][0]["reason"], "MISSING");
    let eleven: Vec<String> = (0..11).map(|n| format!("s{n}")).collect();
    for (body, code) in [
        (json!({ "cluster": "main", "services": eleven }), "InvalidParameterException"),
        (json!({ "cluster": "main", "services": [] }), "InvalidParameterException"),
        (json!({ "cluster": "none", "services": ["web"] }), "ClusterNotFoundException"),
        (json!({ "services": ["web"] }), "ClusterNotFoundException"),
    ] {
        assert_eq!(refused(&sim, "DescribeServices", body).await.0, code);
    }
}

#[tokio::test]
async fn lists_have_ten_a_page_unless_asked_and_refuse_a_made_up_token() {
    let sim = prepared().await;
    for n in 0..25 {
        ecs(&sim, "CreateService", with(service(0), json!({ "serviceName": format!("s{n:02}") }))).await;
    }
    let (mut sizes, mut token) = (Vec::new(), Value::Null);
    loop {
        let page = ecs(&sim, "ListServices", json!({ "cluster": "main", "nextToken": token })).await;
        sizes.push(page["serviceArns"].as_array().map_or(0, Vec::len));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [10, 10, 5]);
    let all = ecs(&sim, "ListServices", json!({ "cluster": "main", "maxResults": 100 })).await;
    assert_eq!(all["serviceArns"].as_array().map(Vec::len), Some(25));
    for wrong in [json!({ "nextToken": "made-up" }), json!({ "maxResults": 101 })] {
        let body = with(json!({ "cluster": "main" }), wrong);
        assert_eq!(refused(&sim, "ListServices", body).await.0, "InvalidParameterException");
    }
}

#[tokio::test]
async fn tags_come_with_describe_when_asked_and_change_by_arn() {
    let sim = prepared().await;
    let tags = json!([{ "key": "Team", "value": "x" }]);
    let made = ecs(&sim, "CreateService", with(service(0), json!({ "tags": tags }))).await["service"].clone();
    assert_eq!(made["tags"], tags);
    let arn = made["serviceArn"].clone();
    ecs(&sim, "TagResource", json!({ "resourceArn": arn, "tags": [{ "key": "Stage", "value": "prod" }] })).await;
    let body = json!({ "cluster": "main", "services": ["web"], "include": ["TAGS"] });
    let shown = ecs(&sim, "DescribeServices", body).await["services"][0]["tags"].clone();
    assert_eq!(shown, json!([{ "key": "Stage", "value": "prod" }, { "key": "Team", "value": "x" }]));
    let reserved = json!({ "resourceArn": arn, "tags": [{ "key": "aws:x", "value": "" }] });
    assert_eq!(refused(&sim, "TagResource", reserved).await.0, "InvalidParameterException");
}

#[tokio::test]
async fn code_deploy_and_external_controllers_keep_the_task_definition_to_themselves() {
    let sim = prepared().await;
    let controlled = |kind: &str| with(service(1), json!({ "deploymentController": { "type": kind } }));
    ecs(&sim, "CreateService", controlled("CODE_DEPLOY")).await;
    let change = json!({ "cluster": "main", "service": "web", "taskDefinition": "web:1" });
    let (code, message) = refused(&sim, "UpdateService", change).await;
    assert_eq!(code, "InvalidParameterException");
    assert!(message.contains("CODE_DEPLOY deployment controller. Use AWS CodeDeploy"), "{message}");
    assert_eq!(update(&sim, json!({ "desiredCount": 2 })).await["desiredCount"], 2);
    let external = with(
        controlled("EXTERNAL"),
        json!({ "serviceName": "x", "taskDefinition": null, "networkConfiguration": null, "launchType": null }),
    );
    let made = ecs(&sim, "CreateService", external).await["service"].clone();
    assert_eq!((&made["deployments"], made.get("taskDefinition")), (&json!([]), None));
}
