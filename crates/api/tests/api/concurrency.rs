//! Two writers at once.

use http::Method;
use serde_json::{Value, json};

use super::support::{Api, PROD, prod};

fn version_of(environment: &Value) -> &str {
    environment["metadata"]["resourceVersion"].as_str().unwrap()
}

#[tokio::test]
async fn a_stale_resource_version_is_a_conflict() {
    let api = Api::new().await;
    let old = api.create_prod().await;
    api.patch(PROD, &json!({"spec": {"database": {"storageGib": 200}}})).await.expect(200);
    let mut stale = old.clone();
    stale["spec"]["database"]["storageGib"] = json!(300);
    assert_eq!(api.put(PROD, &stale).await.refusal(409).0, "Conflict");
    let patch = json!({"metadata": {"resourceVersion": version_of(&old)}, "spec": {"database": {"storageGib": 300}}});
    assert_eq!(api.patch(PROD, &patch).await.refusal(409).0, "Conflict");
    assert_eq!(api.get(PROD).await.expect(200)["spec"]["database"]["storageGib"], 200);
    let current = api.get(PROD).await.expect(200);
    let patch =
        json!({"metadata": {"resourceVersion": version_of(&current)}, "spec": {"database": {"storageGib": 300}}});
    api.patch(PROD, &patch).await.expect(200);
}

#[tokio::test]
async fn if_match_is_the_same_promise() {
    let api = Api::new().await;
    let created = api.create_prod().await;
    let answer = api.get(PROD).await;
    let tag = answer.header("etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", version_of(&created)));
    let patch = |count: u32| json!({"spec": {"services": {"event-service": {"desiredCount": count}}}}).to_string();
    let send = async |tag: &str, count| {
        let headers = [("content-type", "application/merge-patch+json"), ("if-match", tag)];
        api.send(Method::PATCH, PROD, &headers, patch(count)).await
    };
    send(&tag, 3).await.expect(200);
    assert_eq!(send(&tag, 4).await.refusal(409).0, "Conflict");
    send("*", 5).await.expect(200);
    assert_eq!(send("nonsense", 6).await.fields(), ["If-Match"]);
}

#[tokio::test]
async fn an_update_of_another_object_of_the_same_name_is_a_conflict() {
    let api = Api::new().await;
    api.create_prod().await;
    let mut document = prod();
    document["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    assert_eq!(api.put(PROD, &document).await.refusal(409).0, "Conflict");
}

#[tokio::test]
async fn patches_without_a_version_are_all_applied() {
    let api = Api::new().await;
    api.create_prod().await;
    let services = ["api-gateway", "event-service", "order-service", "analytics-service"];
    let patches = services.map(|service| json!({"spec": {"services": {service: {"circuitBreaker": true}}}}));
    let answers = futures::future::join_all(patches.iter().map(|patch| api.patch(PROD, patch))).await;
    for answer in answers {
        answer.expect(200);
    }
    let environment = api.get(PROD).await.expect(200);
    assert_eq!(environment["metadata"]["generation"], 5);
    for service in services {
        assert_eq!(environment["spec"]["services"][service]["circuitBreaker"], true, "{service}");
    }
}

#[tokio::test]
async fn of_many_updates_of_one_version_one_wins() {
    let api = Api::new().await;
    let created = api.create_prod().await;
    let documents: Vec<Value> = (101..109)
        .map(|gib| {
            let mut document = created.clone();
            document["spec"]["database"]["storageGib"] = json!(gib);
            document
        })
        .collect();
    let answers = futures::future::join_all(documents.iter().map(|document| api.put(PROD, document))).await;
    let codes: Vec<u16> = answers.iter().map(|answer| answer.code.as_u16()).collect();
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| matches!(code, 200 | 409)), "{codes:?}");
    assert_eq!(api.get(PROD).await.expect(200)["metadata"]["generation"], 2);
}

#[tokio::test]
async fn labels_that_several_set_at_once_all_stay() {
    let api = Api::new().await;
    api.create_prod().await;
    let set = async |n: usize| {
        let patch = json!({ "metadata": { "labels": { format!("l{n}"): "x" } } });
        api.patch(PROD, &patch).await.expect(200);
    };
    tokio::join!(set(0), set(1), set(2), set(3), set(4), set(5));
    let labels = api.get(PROD).await.expect(200)["metadata"]["labels"].clone();
    for n in 0..6 {
        assert_eq!(labels[format!("l{n}")], "x", "{labels}");
    }
}
