//! Creating, reading, replacing and patching.

use http::Method;
use serde_json::{Value, json};
use testkit::fixtures::{ACCOUNT, patched};

use super::support::{Api, ENVIRONMENTS, PROD, named, prod, small};

fn condition<'a>(environment: &'a Value, kind: &str) -> &'a Value {
    let all = environment["status"]["conditions"].as_array().expect("conditions are a list");
    all.iter().find(|condition| condition["type"] == kind).expect("the condition is there")
}

#[tokio::test]
async fn a_created_environment_is_answered_whole_and_unknown() {
    let api = Api::new().await;
    let created = api.create_prod().await;
    assert_eq!((&created["apiVersion"], &created["kind"]), (&json!("eventchain.io/v1"), &json!("Environment")));
    let metadata = &created["metadata"];
    assert_eq!(metadata["generation"], 1);
    assert_eq!(metadata["finalizers"], json!(["eventchain.io/converge"]));
    assert_eq!(metadata["labels"], json!({"team": "backend"}));
    assert!(metadata["resourceVersion"].as_str().unwrap().parse::<i64>().unwrap() > 1);
    assert!(metadata["uid"].is_string() && metadata["creationTimestamp"].is_string());
    for kind in ["Ready", "Synced"] {
        let said = condition(&created, kind);
        assert_eq!((&said["status"], &said["observedGeneration"]), (&json!("Unknown"), &json!(1)));
    }
    assert_eq!(api.get(PROD).await.expect(200), created);
}

#[tokio::test]
async fn what_is_left_out_stays_out() {
    let api = Api::new().await;
    let created = api.post(ENVIRONMENTS, &small("tiny")).await.expect(201);
    let spec = created["spec"].as_object().unwrap();
    for absent in ["services", "alarms", "database", "cluster", "network", "tags"] {
        assert!(!spec.contains_key(absent), "{absent} was not declared");
    }
    let with_empty = patched(small("tiny"), &json!({"spec": {"serviceDefaults": {"securityGroups": []}}}));
    let replaced = api.put(&format!("{ENVIRONMENTS}/tiny"), &with_empty).await.expect(200);
    assert_eq!(replaced["spec"]["serviceDefaults"]["securityGroups"], json!([]), "an empty list enforces empty");
}

#[tokio::test]
async fn api_version_kind_and_name_may_be_left_out() {
    let api = Api::new().await;
    let mut document = small("x");
    document.as_object_mut().unwrap().remove("metadata");
    let created = api.post(ENVIRONMENTS, &document).await.expect(201);
    let name = created["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("env-") && name.len() == 9, "{name}");
    document["metadata"] = json!({"generateName": "trial-"});
    let created = api.post(ENVIRONMENTS, &document).await.expect(201);
    assert!(created["metadata"]["name"].as_str().unwrap().starts_with("trial-"));
}

#[tokio::test]
async fn a_name_is_given_once() {
    let api = Api::new().await;
    api.create_prod().await;
    assert_eq!(api.post(ENVIRONMENTS, &small("prod")).await.refusal(409).0, "AlreadyExists");
    assert_eq!(api.post(ENVIRONMENTS, &prod()).await.refusal(409).0, "AlreadyExists");
    assert_eq!(api.post(&format!("{ENVIRONMENTS}?dryRun=All"), &small("prod")).await.refusal(409).0, "AlreadyExists");
}

#[tokio::test]
async fn what_was_read_can_be_written_back_and_changes_nothing() {
    let api = Api::new().await;
    let created = api.create_prod().await;
    let version = api.version().await;
    assert_eq!(api.put(PROD, &created).await.expect(200), created);
    assert_eq!(api.put(PROD, &prod()).await.expect(200), created);
    assert_eq!(api.patch(PROD, &json!({})).await.expect(200), created);
    assert_eq!(api.patch(PROD, &json!({"spec": {"database": {"multiAz": true}}})).await.expect(200), created);
    assert_eq!(api.version().await, version, "a write that changes nothing bumps nothing");
}

#[tokio::test]
async fn a_spec_change_grows_the_generation_and_is_recorded() {
    let api = Api::new().await;
    let created = api.create_prod().await;
    let headers = [("content-type", "application/merge-patch+json"), ("x-remote-user", "alice")];
    let body = json!({"spec": {"services": {"event-service": {"desiredCount": 4}}}}).to_string();
    let patched = api.send(Method::PATCH, &format!("{PROD}?message=the%20sale"), &headers, body).await.expect(200);
    assert_eq!(patched["metadata"]["generation"], 2);
    assert_ne!(patched["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    assert_eq!(patched["spec"]["services"]["event-service"]["desiredCount"], 4);
    assert_eq!(condition(&patched, "Synced")["observedGeneration"], 2);

    let revision = api.get("/apis/eventchain.io/v1/revisions/prod-2").await.expect(200);
    let spec = &revision["spec"];
    assert_eq!((&spec["author"], &spec["message"]), (&json!("alice"), &json!("the sale")));
    assert_eq!(spec["diff"], json!([{"field": "services.event-service.desiredCount", "from": 2, "to": 4}]));
    let changes = api.get(&format!("{}?environment=prod", super::support::CHANGES)).await.expect(200);
    let change = &changes["items"][0];
    assert_eq!(changes["items"].as_array().unwrap().len(), 1, "a direct patch is a change, recorded alike");
    assert_eq!(change["metadata"]["name"], spec["change"]);
    assert_eq!(change["spec"]["patch"], json!({"spec": {"services": {"event-service": {"desiredCount": 4}}}}));
    assert_eq!((&change["status"]["phase"], &change["status"]["revision"]), (&json!("Applying"), &json!(2)));
    assert_eq!(change["status"]["origin"], "Direct");
}

#[tokio::test]
async fn a_look_is_asked_for_by_an_annotation_in_any_write_of_it() {
    let api = Api::new().await;
    api.create_prod().await;
    let key = "eventchain.io/reconcile-requested-at";
    let merged = api.patch(PROD, &json!({"metadata": {"annotations": {key: "one"}}})).await.expect(200);
    assert_eq!(
        (&merged["metadata"]["annotations"][key], &merged["metadata"]["generation"]),
        (&json!("one"), &json!(1))
    );
    let mut document = merged.clone();
    document["metadata"]["annotations"][key] = json!("two");
    let replaced = api.put(PROD, &document).await.expect(200);
    assert_eq!(replaced["metadata"]["annotations"][key], "two");
    assert_eq!(api.store.get_environment("prod").await.unwrap().annotations[key], "two", "where the daemon looks");
    assert_eq!(replaced["metadata"]["generation"], 1);
}

#[tokio::test]
async fn labels_and_annotations_change_no_generation_and_no_revision() {
    let api = Api::new().await;
    api.create_prod().await;
    let patch = json!({"metadata": {"labels": {"tier": "one"}, "annotations": {"note": "x"}}});
    let patched = api.patch(PROD, &patch).await.expect(200);
    assert_eq!(patched["metadata"]["generation"], 1);
    assert_eq!(patched["metadata"]["labels"], json!({"team": "backend", "tier": "one"}));
    assert_eq!(patched["metadata"]["annotations"], json!({"note": "x"}));
    let removed = api.patch(PROD, &json!({"metadata": {"labels": {"tier": null}}})).await.expect(200);
    assert_eq!(removed["metadata"]["labels"], json!({"team": "backend"}));
    let revisions = api.get("/apis/eventchain.io/v1/revisions?environment=prod").await.expect(200);
    assert_eq!(revisions["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_replaced_document_drops_what_it_leaves_out() {
    let api = Api::new().await;
    api.create_prod().await;
    let mut document = prod();
    document["spec"].as_object_mut().unwrap().remove("alarms");
    let replaced = api.put(PROD, &document).await.expect(200);
    assert!(replaced["spec"].get("alarms").is_none());
    assert_eq!(replaced["metadata"]["generation"], 2);
}

#[tokio::test]
async fn the_message_may_stand_in_an_annotation_and_is_used_once() {
    let api = Api::new().await;
    api.create_prod().await;
    let annotated = json!({
        "metadata": {"annotations": {"eventchain.io/change-message": "more storage"}},
        "spec": {"database": {"storageGib": 200}},
    });
    api.patch(PROD, &annotated).await.expect(200);
    api.patch(PROD, &json!({"spec": {"database": {"storageGib": 300}}})).await.expect(200);
    let message = |answer: Value| answer["spec"]["message"].clone();
    let revision = "/apis/eventchain.io/v1/revisions";
    assert_eq!(message(api.get(&format!("{revision}/prod-2")).await.expect(200)), "more storage");
    assert_eq!(
        message(api.get(&format!("{revision}/prod-3")).await.expect(200)),
        "",
        "the old message is not repeated"
    );
}

#[tokio::test]
async fn dry_runs_show_the_result_and_write_nothing() {
    let api = Api::new().await;
    let version = api.version().await;
    let created = api.post(&format!("{ENVIRONMENTS}?dryRun=All"), &prod()).await.expect(201);
    assert_eq!(created["metadata"]["generation"], 1);
    api.get(PROD).await.refusal(404);
    assert_eq!(api.version().await, version);

    api.create_prod().await;
    let version = api.version().await;
    let patch = json!({"spec": {"database": {"storageGib": 200}}});
    let tried = api.patch(&format!("{PROD}?dryRun=All"), &patch).await.expect(200);
    assert_eq!((&tried["spec"]["database"]["storageGib"], &tried["metadata"]["generation"]), (&json!(200), &json!(2)));
    let mut document = prod();
    document["spec"]["database"]["storageGib"] = json!(200);
    let tried = api.put(&format!("{PROD}?dryRun=All"), &document).await.expect(200);
    assert_eq!(tried["spec"]["database"]["storageGib"], 200);
    assert_eq!(api.version().await, version);
    assert_eq!(api.get(PROD).await.expect(200)["spec"]["database"]["storageGib"], 100);
    assert_eq!(api.post(&format!("{ENVIRONMENTS}?dryRun=Some"), &named("x")).await.fields(), ["dryRun"]);
}

#[tokio::test]
async fn the_status_alone_can_be_read_and_not_written() {
    let api = Api::new().await;
    api.create_prod().await;
    let owner = api.own().await;
    owner.write_status("prod", json!({"observedGeneration": 1, "conditions": []})).await;
    let status = api.get(&format!("{PROD}/status")).await.expect(200);
    assert_eq!(status["status"]["observedGeneration"], 1);
    assert!(status.get("spec").is_none());
    assert_eq!(api.put(&format!("{PROD}/status"), &status).await.refusal(405).0, "MethodNotAllowed");
    let sent = json!({"status": {"observedGeneration": 99}});
    let patched = api.patch(PROD, &sent).await.expect(200);
    assert_eq!(patched["status"]["observedGeneration"], 1, "only the daemon writes the status");
}

#[tokio::test]
async fn the_age_of_the_observation_is_joined_when_it_is_read() {
    let api = Api::new().await;
    api.post(ENVIRONMENTS, &with_log_group("logs")).await.expect(201);
    let path = format!("{ENVIRONMENTS}/logs");
    let before = api.get(&path).await.expect(200);
    assert!(before["status"].get("observedAt").is_none(), "nobody has looked yet");
    let version = api.version().await;
    let owner = api.own().await;
    let freshness = |kind: &str, age: i64| store::Freshness {
        account: ACCOUNT.to_owned(),
        region: "us-east-1".to_owned(),
        kind: kind.to_owned(),
        observed_at: api.now() - jiff::SignedDuration::from_secs(age),
    };
    let registry = kinds::registry();
    let mut sweeps: Vec<_> = registry.kinds().map(|kind| freshness(kind.name(), 0)).collect();
    sweeps.push(freshness("LogGroup", 3));
    api.store.write_freshness(&owner.fence, &sweeps).await.unwrap();
    api.advance(10);
    let after = api.get(&path).await.expect(200);
    assert_eq!(after["status"]["observationAge"], "13s", "the oldest of its observations counts");
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    assert_eq!(api.version().await, version, "freshness is no change");
}

/// An environment of one service with a log group.
fn with_log_group(name: &str) -> Value {
    patched(
        small(name),
        &json!({"spec": {
            "cluster": {"name": "c"},
            "services": {"api": {
                "name": "logs-api",
                "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/api:1",
                "cpu": 256, "memoryMib": 512,
                "subnets": ["subnet-0a1b2c3d4e5f60718"],
                "executionRole": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
                "logs": {"retentionDays": 30},
            }},
        }}),
    )
}

#[tokio::test]
async fn every_request_is_counted_by_its_route() {
    let api = Api::new().await;
    api.get(PROD).await.refusal(404);
    api.get("/nowhere").await.refusal(404);
    api.put(ENVIRONMENTS, &json!({})).await.refusal(405);
    let seen = api.seen.lock().unwrap().clone();
    let shown: Vec<(&str, &str, u16)> =
        seen.iter().map(|one| (one.method.as_str(), one.route.as_str(), one.code)).collect();
    let template = "/apis/eventchain.io/v1/environments/{name}";
    assert_eq!(
        shown,
        [("GET", template, 404), ("GET", "other", 404), ("PUT", "/apis/eventchain.io/v1/environments", 405)]
    );
}

#[tokio::test]
async fn an_account_that_nobody_works_on_is_told() {
    let api = Api::new().await;
    let created = api.create_prod().await;
    let why = created["status"]["unattended"].as_str().unwrap();
    assert!(why.contains("no replica works on account 123456789012"), "{why}");
    let _owner = api.own().await;
    assert!(api.get(PROD).await.expect(200)["status"].get("unattended").is_none());
}
