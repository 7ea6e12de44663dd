//! Tasks of services.
use serde_json::json;

use super::{
    control, definition, ecs, messages, pass, prepared, refused, service, serving, show, task_ids, update, with,
};

#[tokio::test]
async fn a_stopped_task_tells_why_and_is_replaced() {
    let sim = serving(2).await;
    let ids = task_ids(&sim, "RUNNING").await;
    let stop = json!({ "cluster": "main", "task": ids[0], "reason": "by hand" });
    let stopping = ecs(&sim, "StopTask", stop).await["task"].clone();
    assert_eq!((&stopping["lastStatus"], &stopping["desiredStatus"]), (&json!("STOPPING"), &json!("STOPPED")));
    assert_eq!(show(&sim).await["runningCount"], 1);
    pass(&sim, 30);
    let stopped = ecs(&sim, "DescribeTasks", json!({ "cluster": "main", "tasks": [ids[0]] })).await["tasks"][0].clone();
    assert_eq!((&stopped["lastStatus"], &stopped["stopCode"]), (&json!("STOPPED"), &json!("UserInitiated")));
    assert_eq!((&stopped["stoppedReason"], &stopped["group"]), (&json!("by hand"), &json!("service:web")));
    let now = task_ids(&sim, "RUNNING").await;
    assert_eq!((now.len(), now.contains(&ids[0]), now.contains(&ids[1])), (2, false, true));
    assert_eq!(task_ids(&sim, "STOPPED").await, [ids[0].clone()]);
    assert_eq!(show(&sim).await["deployments"][0]["rolloutState"], "COMPLETED");
}

#[tokio::test]
async fn what_is_not_there_is_a_failure_and_a_stopped_task_is_forgotten_after_an_hour() {
    let sim = serving(1).await;
    let id = task_ids(&sim, "RUNNING").await[0].clone();
    ecs(&sim, "StopTask", json!({ "cluster": "main", "task": id })).await;
    pass(&sim, 3500);
    let body = json!({ "cluster": "main", "tasks": [id, "none"] });
    let found = ecs(&sim, "DescribeTasks", body.clone()).await;
    assert_eq!(
        (found["tasks"].as_array().map(Vec::len), &found["failures"][0]["reason"]),
        (Some(1), &json!("MISSING"))
    );
    pass(&sim, 200);
    assert_eq!(ecs(&sim, "DescribeTasks", body).await["failures"].as_array().map(Vec::len), Some(2));
    let unknown = json!({ "cluster": "main", "task": "none" });
    assert_eq!(refused(&sim, "StopTask", unknown).await.1, "The referenced task was not found.");
    let many: Vec<String> = (0..101).map(|n| format!("t{n}")).collect();
    let body = json!({ "cluster": "main", "tasks": many });
    assert_eq!(refused(&sim, "DescribeTasks", body).await.0, "InvalidParameterException");
}

#[tokio::test]
async fn the_count_follows_up_and_down_and_the_oldest_go_first() {
    let sim = serving(2).await;
    let first = task_ids(&sim, "RUNNING").await;
    update(&sim, json!({ "desiredCount": 5 })).await;
    pass(&sim, 30);
    assert_eq!(show(&sim).await["runningCount"], 5);
    update(&sim, json!({ "desiredCount": 3 })).await;
    pass(&sim, 30);
    let left = task_ids(&sim, "RUNNING").await;
    assert_eq!((left.len(), left.iter().any(|id| first.contains(id))), (3, false));
    assert_eq!(messages(&show(&sim).await)[0], "(service web) has reached a steady state.");
}

#[tokio::test]
async fn a_task_that_cannot_start_says_so() {
    for (image, code, reason, exit) in [
        ("app:unpullable", "TaskFailedToStart", "CannotPullContainerError", json!(null)),
        ("app:broken", "EssentialContainerExited", "Essential container in task exited", json!(1)),
    ] {
        let sim = prepared().await;
        ecs(&sim, "RegisterTaskDefinition", definition(image)).await;
        ecs(&sim, "CreateService", service(1)).await;
        pass(&sim, 10);
        let ids = task_ids(&sim, "STOPPED").await;
        let body = json!({ "cluster": "main", "tasks": [ids[0]] });
        let task = ecs(&sim, "DescribeTasks", body).await["tasks"][0].clone();
        assert_eq!(task["stopCode"], code);
        assert!(task["stoppedReason"].as_str().is_some_and(|r| r.contains(reason)), "{task}");
        assert_eq!((&task["containers"][0]["exitCode"], &task["containers"][0]["name"]), (&exit, &json!("web")));
    }
}

#[tokio::test]
async fn a_crash_in_a_steady_service_is_repaired_without_a_failed_deployment() {
    let sim = serving(2).await;
    let (status, crashed) =
        control(&sim, "ecs/crash", json!({ "cluster": "main", "service": "web", "tasks": 2 })).await;
    assert_eq!((status, crashed["tasks"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(show(&sim).await["runningCount"], 0);
    pass(&sim, 30);
    let now = show(&sim).await;
    assert_eq!((&now["runningCount"], &now["deployments"][0]["failedTasks"]), (&json!(2), &json!(0)));
    assert_eq!(control(&sim, "ecs/crash", json!({ "cluster": "main", "service": "none" })).await.0, 400);
}

#[tokio::test]
async fn lists_filter_by_family_service_and_status() {
    let sim = serving(2).await;
    ecs(&sim, "RegisterTaskDefinition", with(definition("b:1"), json!({ "family": "b" }))).await;
    ecs(&sim, "CreateService", with(service(1), json!({ "serviceName": "b", "taskDefinition": "b" }))).await;
    pass(&sim, 30);
    for (filter, count) in [
        (json!({}), 3),
        (json!({ "family": "b" }), 1),
        (json!({ "family": "we" }), 0),
        (json!({ "serviceName": "web" }), 2),
        (json!({ "desiredStatus": "STOPPED" }), 0),
        (json!({ "desiredStatus": "PENDING" }), 0),
        (json!({ "launchType": "EC2" }), 0),
    ] {
        let body = with(json!({ "cluster": "main" }), filter.clone());
        assert_eq!(ecs(&sim, "ListTasks", body).await["taskArns"].as_array().map(Vec::len), Some(count), "{filter}");
    }
    let page = ecs(&sim, "ListTasks", json!({ "cluster": "main", "maxResults": 2 })).await;
    let rest = json!({ "cluster": "main", "maxResults": 2, "nextToken": page["nextToken"] });
    assert_eq!(ecs(&sim, "ListTasks", rest).await["taskArns"].as_array().map(Vec::len), Some(1));
    let unknown = json!({ "cluster": "main", "serviceName": "none" });
    assert_eq!(refused(&sim, "ListTasks", unknown).await.0, "ServiceNotFoundException");
}

#[tokio::test]
async fn on_ec2_without_instances_no_task_is_placed() {
    let sim = prepared().await;
    ecs(&sim, "CreateService", with(service(1), json!({ "launchType": "EC2" }))).await;
    pass(&sim, 600);
    let now = show(&sim).await;
    assert_eq!((&now["runningCount"], &now["pendingCount"]), (&json!(0), &json!(0)));
    assert!(messages(&now)[0].contains("No Container Instances were found in your cluster."), "{:?}", messages(&now));
}

#[tokio::test]
async fn tasks_take_their_tags_from_where_they_were_told() {
    let sim = prepared().await;
    let tagged = json!({ "tags": [{ "key": "Team", "value": "x" }], "propagateTags": "SERVICE" });
    ecs(&sim, "CreateService", with(service(1), tagged)).await;
    pass(&sim, 10);
    let id = task_ids(&sim, "RUNNING").await[0].clone();
    let body = json!({ "cluster": "main", "tasks": [id], "include": ["TAGS"] });
    let tags = ecs(&sim, "DescribeTasks", body).await["tasks"][0]["tags"].clone();
    assert_eq!(tags, json!([{ "key": "Team", "value": "x" }]));
}
