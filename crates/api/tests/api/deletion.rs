//! Deleting: asked for here, finished by the daemon.

use http::Method;
use serde_json::json;

use super::support::{Api, CHANGES, ENVIRONMENTS, PROD, small};

#[tokio::test]
async fn a_deleted_environment_stays_until_the_daemon_lets_it_go() {
    let api = Api::new().await;
    let created = api.create_prod().await;
    let deleted = api.delete(PROD).await.expect(200);
    assert!(deleted["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(deleted["metadata"]["finalizers"], json!(["eventchain.io/converge"]));
    assert_eq!(deleted["metadata"]["generation"], created["metadata"]["generation"]);
    let version = api.version().await;
    assert_eq!(api.delete(PROD).await.expect(200), deleted, "asking again changes nothing");
    assert_eq!(api.version().await, version);
    let owner = api.own().await;
    let row = api.store.get_environment("prod").await.unwrap();
    api.store.remove_environment(row.uid, Some(&owner.fence)).await.unwrap();
    api.get(PROD).await.refusal(404);
    api.create_prod().await;
}

#[tokio::test]
async fn preconditions_and_dry_runs_hold() {
    let api = Api::new().await;
    let created = api.create_prod().await;
    let delete = async |path: &str, options: serde_json::Value| {
        api.send(Method::DELETE, path, &[("content-type", "application/json")], options.to_string()).await
    };
    let stale = json!({"preconditions": {"resourceVersion": "1"}});
    assert_eq!(delete(PROD, stale).await.refusal(409).0, "Conflict");
    let other = json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}});
    assert_eq!(delete(PROD, other).await.refusal(409).0, "Conflict");
    assert_eq!(delete(PROD, json!({"preconditions": {"uid": 7}})).await.fields(), ["preconditions.uid"]);
    assert_eq!(delete(PROD, json!([])).await.fields(), ["."]);
    let tried = delete(PROD, json!({"dryRun": ["All"], "propagationPolicy": "Background"})).await.expect(200);
    assert!(tried["metadata"]["deletionTimestamp"].is_string());
    api.delete(&format!("{PROD}?dryRun=All")).await.expect(200);
    assert!(api.get(PROD).await.expect(200)["metadata"].get("deletionTimestamp").is_none());
    let right = json!({"preconditions": {
        "uid": created["metadata"]["uid"], "resourceVersion": created["metadata"]["resourceVersion"],
    }});
    delete(PROD, right).await.expect(200);
    assert_eq!(api.delete(&format!("{ENVIRONMENTS}/nobody")).await.refusal(404).0, "NotFound");
}

#[tokio::test]
async fn a_deleted_change_leaves_what_it_changed() {
    let api = Api::new().await;
    api.post(ENVIRONMENTS, &small("tiny")).await.expect(201);
    let path = format!("{ENVIRONMENTS}/tiny");
    api.patch(&path, &json!({"spec": {"tags": {"a": "b"}}})).await.expect(200);
    let name = api.get(CHANGES).await.expect(200)["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let change = format!("{CHANGES}/{name}");
    assert_eq!(api.delete(&format!("{change}?dryRun=All")).await.expect(200)["status"], "Success");
    assert_eq!(api.delete(&change).await.expect(200)["status"], "Success");
    assert_eq!(api.delete(&change).await.refusal(404).0, "NotFound");
    assert_eq!(api.get(&change).await.refusal(404).0, "NotFound");
    assert_eq!(api.get(&path).await.expect(200)["spec"]["tags"], json!({"a": "b"}));
}
