//! Deleting: asked for here, finished by the daemon.

use http::Method;
use serde_json::json;
use testkit::fixtures::patched;

use super::support::{Api, CHANGES, ENVIRONMENTS, PROD, prod, small};

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

#[tokio::test]
async fn several_are_deleted_by_a_selector_and_never_all_of_them_by_none() {
    let api = Api::new().await;
    for (name, team) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let labels = json!({ "metadata": { "labels": { "team": team } } });
        api.post(ENVIRONMENTS, &patched(small(name), &labels)).await.expect(201);
    }
    assert_eq!(api.delete(ENVIRONMENTS).await.fields(), ["labelSelector"]);
    let names = |list: &serde_json::Value| {
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let deleting = async |name: &str| {
        let shown = api.get(&format!("{ENVIRONMENTS}/{name}")).await.expect(200);
        shown["metadata"].get("deletionTimestamp").is_some()
    };
    let path = format!("{ENVIRONMENTS}?labelSelector=team%3Dx");
    assert_eq!(names(&api.delete(&format!("{path}&dryRun=All")).await.expect(200)), ["a", "c"]);
    assert!(!deleting("a").await);
    let deleted = api.delete(&path).await.expect(200);
    assert_eq!((names(&deleted), &deleted["kind"]), (vec!["a".to_owned(), "c".to_owned()], &json!("EnvironmentList")));
    assert!(deleting("a").await && !deleting("b").await && deleting("c").await);
    let by_name = format!("{ENVIRONMENTS}?fieldSelector=metadata.name%3Db");
    assert_eq!(names(&api.delete(&by_name).await.expect(200)), ["b"]);
}

#[tokio::test]
async fn what_kubernetes_would_orphan_is_refused_where_the_policy_deletes() {
    let api = Api::new().await;
    for (name, policy) in [("deletes", "Delete"), ("retains", "Retain")] {
        let policy = json!({ "spec": { "policy": { "onDelete": policy } } });
        api.post(ENVIRONMENTS, &patched(small(name), &policy)).await.expect(201);
    }
    let path = |name: &str, query: &str| format!("{ENVIRONMENTS}/{name}?{query}");
    for query in ["propagationPolicy=Orphan", "orphanDependents=true"] {
        assert_eq!(api.delete(&path("deletes", query)).await.fields(), ["propagationPolicy"], "{query}");
    }
    assert_eq!(api.delete(&path("deletes", "propagationPolicy=Upward")).await.fields(), ["propagationPolicy"]);
    api.delete(&path("deletes", "propagationPolicy=Foreground")).await.expect(200);
    api.delete(&path("retains", "propagationPolicy=Orphan")).await.expect(200);
}

#[tokio::test]
async fn the_daemons_finalizer_holds_until_the_deletion_was_asked_for() {
    let api = Api::new().await;
    api.create_prod().await;
    let clear = json!({ "metadata": { "finalizers": null } });
    assert_eq!(api.patch(PROD, &clear).await.fields(), ["metadata.finalizers"]);
    assert_eq!(api.put(PROD, &prod()).await.expect(200)["metadata"]["finalizers"], json!(["eventchain.io/converge"]));
    api.delete(PROD).await.expect(200);
    let add = json!({ "metadata": { "finalizers": ["eventchain.io/converge", "example.org/late"] } });
    assert_eq!(api.patch(PROD, &add).await.fields(), ["metadata.finalizers"], "too late for another");
    let tried = api.patch(&format!("{PROD}?dryRun=All"), &clear).await.expect(200);
    assert!(tried["metadata"].get("finalizers").is_none());
    api.get(PROD).await.expect(200);
    assert!(api.patch(PROD, &clear).await.expect(200)["metadata"].get("finalizers").is_none());
    api.get(PROD).await.refusal(404);
    let events = api.get("/api/v1/events").await.expect(200).to_string();
    assert!(events.contains("FinalizersRemoved"), "{events}");
    // Its AWS objects belong to nobody now.
    api.create_prod().await;
}

#[tokio::test]
async fn finalizers_of_others_hold_too() {
    let api = Api::new().await;
    let held = patched(small("held"), &json!({ "metadata": { "finalizers": ["example.org/backup"] } }));
    let created = api.post(ENVIRONMENTS, &held).await.expect(201);
    assert_eq!(created["metadata"]["finalizers"], json!(["eventchain.io/converge", "example.org/backup"]));
    let path = format!("{ENVIRONMENTS}/held");
    let headers = [("content-type", "application/json-patch+json")];
    let operations = |value: serde_json::Value| json!([value]).to_string();
    let add = json!({ "op": "add", "path": "/metadata/finalizers/-", "value": "example.org/second" });
    let added = api.send(Method::PATCH, &path, &headers, operations(add)).await.expect(200);
    assert_eq!(added["metadata"]["finalizers"].as_array().unwrap().len(), 3);
    assert_eq!(added["metadata"]["generation"], 1);
    for bad in [json!(["backup"]), json!([7]), json!("x")] {
        let patch = json!({ "metadata": { "finalizers": bad } });
        assert!(api.patch(&path, &patch).await.fields()[0].starts_with("metadata.finalizers"), "{patch}");
    }
    let remove = json!({ "op": "remove", "path": "/metadata/finalizers/1" });
    api.send(Method::PATCH, &path, &headers, operations(remove)).await.expect(200);

    api.delete(&path).await.expect(200);
    let owner = api.own().await;
    let row = api.store.get_environment("held").await.unwrap();
    // The daemon is done with it.
    api.store.remove_environment(row.uid, Some(&owner.fence)).await.unwrap();
    assert_eq!(api.get(&path).await.expect(200)["metadata"]["finalizers"], json!(["example.org/second"]));
    api.patch(&path, &json!({ "metadata": { "finalizers": [] } })).await.expect(200);
    api.get(&path).await.refusal(404);
}
