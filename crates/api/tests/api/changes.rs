//! Changes that are posted as such.

use http::Method;
use serde_json::{Value, json};
use store::RequestKind;

use super::support::{Api, CHANGES, PROD, free_plan, gated_plan};

fn change(patch: Value) -> Value {
    json!({"spec": {"environment": "prod", "message": "scale up", "patch": patch}})
}

fn scale(count: u32) -> Value {
    json!({"spec": {"services": {"event-service": {"desiredCount": count}}}})
}

#[tokio::test]
async fn a_change_is_applied_at_once_and_carries_its_plan() {
    let api = Api::new().await;
    api.create_prod().await;
    let owner = api.own().await;
    let headers = [("content-type", "application/json"), ("x-remote-user", "alice")];
    let (answer, asked) = tokio::join!(
        api.send(Method::POST, CHANGES, &headers, change(scale(4)).to_string()),
        owner.answer(RequestKind::Plan, free_plan(2)),
    );
    assert_eq!(asked["spec"]["services"]["event-service"]["desiredCount"], 4, "the plan is that of the new spec");
    let posted = answer.expect(201);
    assert_eq!(posted["kind"], "Change");
    let spec = json!({"environment": "prod", "message": "scale up", "patch": scale(4), "apply": "InWindow"});
    assert_eq!(posted["spec"], spec, "policy keeps its windows");
    let status = &posted["status"];
    assert_eq!((&status["phase"], &status["author"]), (&json!("Applying"), &json!("alice")));
    assert_eq!(status["revision"], 2);
    assert_eq!((&status["risk"], status.get("planHash")), (&json!("Safe"), None));
    let name = posted["metadata"]["name"].as_str().unwrap();
    assert_eq!(api.get(&format!("{CHANGES}/{name}")).await.expect(200), posted);
    assert_eq!(api.get(PROD).await.expect(200)["metadata"]["generation"], 2);
    let revision = api.get("/apis/eventchain.io/v1/revisions/prod-2").await.expect(200);
    assert_eq!(
        (&revision["spec"]["change"], &revision["spec"]["author"], &revision["spec"]["message"]),
        (&json!(name), &json!("alice"), &json!("scale up"))
    );
}

#[tokio::test]
async fn without_an_owner_the_change_waits_for_its_plan_and_applies_nothing() {
    let api = Api::new().await;
    api.create_prod().await;
    let posted = api.post(CHANGES, &change(scale(4))).await.expect(201);
    assert_eq!((&posted["status"]["phase"], &posted["status"]["plan"]), (&json!("Pending"), &Value::Null));
    let why = posted["status"]["outcome"]["planMissing"].as_str().unwrap();
    assert!(why.contains("no replica works on account"), "{why}");
    assert_eq!(api.get(PROD).await.expect(200)["spec"]["services"]["event-service"]["desiredCount"], 2);
    let name = posted["metadata"]["name"].as_str().unwrap();
    let refused = api.post(&format!("{CHANGES}/{name}/approve"), &json!({})).await;
    assert_eq!(refused.refusal(409).0, "Conflict");
    assert!(refused.text.contains("its plan is not known yet"), "{}", refused.text);
    let withdrawn = api.delete(&format!("{CHANGES}/{name}")).await.expect(200);
    assert_eq!(withdrawn["details"]["name"], name);
    assert_eq!(api.get(&format!("{CHANGES}/{name}")).await.refusal(404).0, "NotFound");
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_recorded_as_such() {
    let api = Api::new().await;
    let created = api.create_prod().await;
    let posted = api.post(CHANGES, &change(scale(2))).await.expect(201);
    assert_eq!(posted["status"]["outcome"]["reason"], "NothingToChange");
    assert!(posted["status"].get("revision").is_none());
    let after = api.get(PROD).await.expect(200);
    assert_eq!(after["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn a_change_that_is_refused_leaves_nothing_behind() {
    let api = Api::new().await;
    api.create_prod().await;
    let version = api.version().await;
    let refused = api.post(CHANGES, &change(json!({"spec": {"database": {"storageGib": 1}, "x": 1}}))).await;
    let fields = refused.fields();
    assert!(fields.contains(&"spec.x".to_owned()) && fields.contains(&"spec.database.storageGib".to_owned()));
    let unknown = json!({"spec": {"environment": "nobody", "patch": {}}});
    assert_eq!(api.post(CHANGES, &unknown).await.fields(), ["spec.environment"]);
    let odd = json!({"kind": "Pod", "spec": {"environment": "prod", "patch": 7, "colour": "blue"}});
    assert_eq!(api.post(CHANGES, &odd).await.fields(), ["spec.colour"]);
    let odd = json!({"kind": "Pod", "spec": {"environment": "prod", "patch": 7}});
    assert_eq!(api.post(CHANGES, &odd).await.fields(), ["kind", "spec.patch"]);
    assert_eq!(api.post(CHANGES, &json!({})).await.fields(), ["spec"]);
    assert_eq!(api.version().await, version);
}

#[tokio::test]
async fn a_dry_run_of_a_change_shows_it_and_keeps_nothing() {
    let api = Api::new().await;
    api.create_prod().await;
    let version = api.version().await;
    let owner = api.own().await;
    let path = format!("{CHANGES}?dryRun=All");
    let body = change(scale(4));
    let (tried, _) = tokio::join!(api.post(&path, &body), owner.answer(RequestKind::Plan, free_plan(2)));
    let tried = tried.expect(201);
    assert_eq!((&tried["status"]["phase"], &tried["status"]["revision"]), (&json!("Applying"), &json!(2)));
    let (tried, _) = tokio::join!(api.post(&path, &body), owner.answer(RequestKind::Plan, gated_plan(2)));
    assert_eq!(tried.expect(201)["status"]["phase"], "PendingApproval");
    assert_eq!(api.version().await, version);
    assert_eq!(api.get(CHANGES).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn what_has_no_effect_is_not_recorded_either() {
    let api = Api::new().await;
    api.create_prod().await;
    let mut patch = scale(4);
    patch["status"] = json!({"password": "hunter2"});
    patch["metadata"] = json!({"labels": {"a": "b"}, "managedFields": ["hunter2"]});
    let answer = api.post(CHANGES, &change(patch)).await;
    let posted = answer.expect(201);
    assert!(!answer.text.contains("hunter2"), "{}", answer.text);
    assert_eq!(posted["spec"]["patch"]["metadata"], json!({"labels": {"a": "b"}}));
}
