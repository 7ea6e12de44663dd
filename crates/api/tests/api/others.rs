//! Managed resources, events, the operator, probes, the page.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use store::{Acquired, Attempt, NewDelivery, NewEvent, PassRecord, ResourceKey, ResourceUpsert};
use testkit::fixtures::ACCOUNT;
use uuid::Uuid;

use super::support::{Api, ENVIRONMENTS, Owner, small};

const RESOURCES: &str = "/apis/eventchain.io/v1/managedresources";
const OPERATOR: &str = "/apis/eventchain.io/v1/operators/default";
const EVENTS: &str = "/api/v1/events";

fn upsert(environment: &str, kind: &str, region: &str) -> ResourceUpsert {
    ResourceUpsert {
        name: format!("{environment}.{}.{region}", kind.to_lowercase()),
        key: ResourceKey {
            account: ACCOUNT.to_owned(),
            region: region.to_owned(),
            kind: kind.to_owned(),
            identity: format!("{environment}-one"),
        },
        desired: json!({"threshold": 80}),
        observed: json!({"threshold": 90}),
        diff: json!([{"field": "threshold", "from": 90, "to": 80}]),
        conditions: json!([]),
        report: json!({"waits": []}),
        memory: Some(json!({"private": true})),
    }
}

fn event(environment: &str, kind: &str, reason: &str, api: &Api) -> NewEvent {
    NewEvent {
        environment: environment.to_owned(),
        environment_uid: None,
        regarding_kind: kind.to_owned(),
        regarding_identity: if kind == "Environment" { environment.to_owned() } else { format!("{environment}-one") },
        event_type: "Warning".to_owned(),
        reason: reason.to_owned(),
        message: format!("{reason} happened"),
        details: json!({"requestId": "r-1"}),
        now: api.now(),
    }
}

async fn record(api: &Api, owner: &Owner, name: &str, resources: &[ResourceUpsert], events: &[NewEvent]) {
    let row = api.store.get_environment(name).await.unwrap();
    let events: Vec<NewEvent> =
        events.iter().map(|event| NewEvent { environment_uid: Some(row.uid), ..event.clone() }).collect();
    let pass = PassRecord {
        uid: row.uid,
        generation: row.generation,
        status: &row.status,
        resources,
        gone: &[],
        events: &events,
        changes: &[],
        now: api.now(),
    };
    api.store.record_pass(&pass, &owner.fence).await.unwrap();
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn managed_resources_are_listed_and_selected() {
    let api = Api::new().await;
    let owner = api.own().await;
    for name in ["a", "b"] {
        api.post(ENVIRONMENTS, &small(name)).await.expect(201);
        let both = [upsert(name, "Alarm", "us-east-1"), upsert(name, "LogGroup", "us-west-2")];
        record(&api, &owner, name, &both, &[]).await;
    }
    let fresh = store::Freshness {
        account: ACCOUNT.to_owned(),
        region: "us-east-1".to_owned(),
        kind: "Alarm".to_owned(),
        observed_at: api.now(),
    };
    api.store.write_freshness(&owner.fence, &[fresh]).await.unwrap();
    api.advance(7);

    let alarm = api.get(&format!("{RESOURCES}/a.alarm.us-east-1")).await.expect(200);
    assert_eq!(alarm["kind"], "ManagedResource");
    assert_eq!((&alarm["spec"]["kind"], &alarm["spec"]["identity"]), (&json!("Alarm"), &json!("a-one")));
    assert_eq!(alarm["status"]["diff"][0]["field"], "threshold");
    assert_eq!(alarm["status"]["observationAge"], "7s");
    assert!(!alarm.to_string().contains("private"), "a kind's memory is its own");
    let group = api.get(&format!("{RESOURCES}/a.loggroup.us-west-2")).await.expect(200);
    assert!(group["status"].get("observedAt").is_none());

    let all = ["a.alarm.us-east-1", "a.loggroup.us-west-2", "b.alarm.us-east-1", "b.loggroup.us-west-2"];
    for (query, expected) in [
        ("", all.to_vec()),
        ("?environment=a", all[..2].to_vec()),
        ("?kind=Alarm", vec![all[0], all[2]]),
        ("?labelSelector=eventchain.io/environment=b,eventchain.io/kind=Alarm", vec![all[2]]),
        ("?labelSelector=eventchain.io/kind!=Alarm", vec![all[1], all[3]]),
        ("?fieldSelector=spec.environment=b,spec.kind=LogGroup", vec![all[3]]),
        ("?fieldSelector=spec.region=us-west-2", vec![all[1], all[3]]),
        ("?fieldSelector=spec.identity=a-one,spec.account=123456789012", all[..2].to_vec()),
        ("?fieldSelector=metadata.name=b.alarm.us-east-1", vec![all[2]]),
        ("?environment=nobody", vec![]),
    ] {
        assert_eq!(names(&api.get(&format!("{RESOURCES}{query}")).await.expect(200)), expected, "{query}");
    }
    assert_eq!(api.get(&format!("{RESOURCES}/nothing")).await.refusal(404).0, "NotFound");
}

#[tokio::test]
async fn events_are_kubernetes_events() {
    let api = Api::new().await;
    let owner = api.own().await;
    api.post(ENVIRONMENTS, &small("a")).await.expect(201);
    let both = [event("a", "Alarm", "DriftDetected", &api), event("a", "Environment", "Released", &api)];
    record(&api, &owner, "a", &[], &both).await;
    record(&api, &owner, "a", &[], &both[..1]).await;

    let list = api.get(EVENTS).await.expect(200);
    assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("v1"), &json!("EventList")));
    let drift = api.get(&format!("{EVENTS}?fieldSelector=reason=DriftDetected")).await.expect(200)["items"][0].clone();
    assert_eq!((&drift["kind"], &drift["count"], &drift["type"]), (&json!("Event"), &json!(2), &json!("Warning")));
    let about = &drift["involvedObject"];
    assert_eq!((&about["kind"], &about["name"]), (&json!("Alarm"), &json!("a-one")));
    assert_eq!(drift["metadata"]["namespace"], "default");
    assert_eq!(drift["metadata"]["labels"]["eventchain.io/environment"], "a");
    assert!(drift["metadata"]["annotations"]["eventchain.io/details"].as_str().unwrap().contains("r-1"));

    let reasons: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|event| event["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["Released", "DriftDetected"], "in the order of their latest occurrence");

    let uid = api.store.get_environment("a").await.unwrap().uid;
    let namespaced = "/api/v1/namespaces/default/events";
    for (path, count) in [
        (EVENTS.to_owned(), 2),
        (namespaced.to_owned(), 2),
        (format!("{namespaced}?fieldSelector=involvedObject.name=a,involvedObject.kind=Environment"), 1),
        (format!("{EVENTS}?fieldSelector=regarding.name=a-one"), 1),
        (format!("{EVENTS}?fieldSelector=involvedObject.uid={uid},involvedObject.name=a"), 1),
        (format!("{EVENTS}?fieldSelector=involvedObject.uid=other"), 0),
        (format!("{EVENTS}?fieldSelector=type=Normal"), 0),
        (format!("{EVENTS}?fieldSelector=metadata.namespace=kube-system"), 0),
        (format!("{EVENTS}?environment=a"), 2),
        (format!("{EVENTS}?labelSelector=eventchain.io/environment=a"), 2),
        (format!("{EVENTS}?labelSelector=eventchain.io/environment=b"), 0),
    ] {
        assert_eq!(api.get(&path).await.expect(200)["items"].as_array().unwrap().len(), count, "{path}");
    }
    let name = drift["metadata"]["name"].as_str().unwrap();
    assert_eq!(api.get(&format!("{namespaced}/{name}")).await.expect(200), drift);
    assert_eq!(api.get(&format!("{namespaced}/nothing")).await.refusal(404).0, "NotFound");
}

#[tokio::test]
async fn how_each_receiver_of_notifications_fares_is_shown_with_the_installation() {
    let api = Api::new().await;
    assert_eq!(api.get(OPERATOR).await.expect(200)["status"]["notifications"], json!([]), "nobody is to be told");
    let lease = api.store.acquire_lease("notify", "one", Duration::from_mins(1)).await.unwrap();
    let Acquired::Held(lease) = lease else { panic!("{lease:?}") };
    let fence = lease.fence();
    api.store.enrol_receivers(&["ops", "page"], &fence).await.unwrap();
    let new = NewDelivery {
        receiver: "page".to_owned(),
        event_uid: Uuid::nil(),
        body: "{}".to_owned(),
        attributes: BTreeMap::new(),
        repeat_after: Duration::ZERO,
    };
    api.store.queue_notifications(1, &[new], &fence).await.unwrap();
    let id = api.store.due_notifications("page", 1).await.unwrap()[0];
    let away = Attempt::Away { after: Duration::from_mins(1), error: "HTTP 503".to_owned() };
    api.store.end_delivery(id, &away).await.unwrap();
    let version = api.version().await;
    let status = api.get(OPERATOR).await.expect(200)["status"].clone();
    let [ops, page] = [&status["notifications"][0], &status["notifications"][1]];
    assert_eq!((&ops["receiver"], &ops["state"], &ops["waiting"]), (&json!("ops"), &json!("Healthy"), &json!(0)));
    assert!(ops["toldSince"].is_string() && ops["lastError"].is_null() && ops["oldest"].is_null(), "{ops}");
    assert_eq!((&page["state"], &page["waiting"], &page["failures"]), (&json!("Failing"), &json!(1), &json!(1)));
    assert_eq!(page["lastError"], "HTTP 503");
    assert!(
        page["failingSince"].is_string() && page["oldest"].is_string() && page["lastDeliveredAt"].is_null(),
        "{page}"
    );
    let tasks = status["tasks"].as_array().unwrap();
    assert!(tasks.iter().any(|task| task["task"] == "notify" && task["held"] == true), "{status}");
    api.store.end_delivery(id, &Attempt::Delivered).await.unwrap();
    let page = api.get(OPERATOR).await.expect(200)["status"]["notifications"][1].clone();
    assert_eq!((&page["state"], &page["waiting"], &page["failures"]), (&json!("Healthy"), &json!(0), &Value::Null));
    assert!(page["lastDeliveredAt"].is_string(), "{page}");
    assert_eq!(api.version().await, version, "nothing of it is a write that wakes watchers");
}

#[tokio::test]
async fn the_red_button_and_the_cap() {
    let api = Api::new().await;
    let operator = api.get(OPERATOR).await.expect(200);
    assert_eq!(operator["spec"], json!({"mode": "Enforce", "blastRadius": {"count": null, "share": null}}));
    let owner = api.own().await;
    let patched = api.patch(OPERATOR, &json!({"spec": {"mode": "Observe"}})).await.expect(200);
    assert_eq!((&patched["spec"]["mode"], &patched["metadata"]["generation"]), (&json!("Observe"), &json!(2)));
    let shard = &patched["status"]["shards"][0];
    assert_eq!((&shard["account"], &shard["holder"], &shard["held"]), (&json!(ACCOUNT), &json!("stub"), &json!(true)));
    drop(owner);
    let version = api.version().await;
    api.patch(OPERATOR, &json!({"spec": {"mode": "Observe"}})).await.expect(200);
    assert_eq!(api.version().await, version, "the same again changes nothing");
    let capped = json!({"spec": {"blastRadius": {"count": 5, "share": 0.2}}});
    let tried = api.patch(&format!("{OPERATOR}?dryRun=All"), &capped).await.expect(200);
    assert_eq!(tried["spec"]["blastRadius"], json!({"count": 5, "share": 0.2}));
    assert_eq!(api.version().await, version);
    let patched = api.patch(OPERATOR, &capped).await.expect(200);
    assert_eq!(patched["spec"], json!({"mode": "Observe", "blastRadius": {"count": 5, "share": 0.2}}));
    let freed = api.patch(OPERATOR, &json!({"spec": {"blastRadius": {"count": null}}})).await.expect(200);
    assert_eq!(freed["spec"]["blastRadius"], json!({"count": null, "share": 0.2}));

    for (body, field) in [
        (json!({"spec": {"mode": "Panic"}}), "spec.mode"),
        (json!({"spec": {"mode": null}}), "spec.mode"),
        (json!({"spec": {"blastRadius": {"count": -1}}}), "spec.blastRadius.count"),
        (json!({"spec": {"blastRadius": {"share": 1.5}}}), "spec.blastRadius.share"),
        (json!({"spec": {"colour": 1}}), "spec.colour"),
        (json!({"colour": 1}), "colour"),
        (json!(7), "."),
    ] {
        assert_eq!(api.patch(OPERATOR, &body).await.fields(), [field], "{body}");
    }
    let stale = json!({"metadata": {"resourceVersion": "1"}, "spec": {"mode": "Enforce"}});
    assert_eq!(api.patch(OPERATOR, &stale).await.refusal(409).0, "Conflict");
    assert_eq!(api.get("/apis/eventchain.io/v1/operators/other").await.refusal(404).0, "NotFound");
    assert_eq!(names(&api.get("/apis/eventchain.io/v1/operators").await.expect(200)), ["default"]);
}

#[tokio::test]
async fn probes_answer_for_what_they_are_asked() {
    let api = Api::with(|state| state.metrics_render = std::sync::Arc::new(|| "up 1\n".to_owned())).await;
    let metrics = api.get("/metrics").await;
    assert_eq!((metrics.code.as_u16(), metrics.text.as_str()), (200, "up 1\n"));
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert_eq!(api.get("/livez").await.text, "ok\n");
    assert_eq!(api.get("/readyz").await.text, "ok\n");
    api.create_prod().await;
    let owner = api.own().await;
    let condition = json!({
        "type": "CredentialsValid", "status": "False", "reason": "Rejected", "message": "",
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    owner.write_status("prod", json!({"conditions": [condition]})).await;
    let verbose = api.get("/readyz?verbose").await;
    assert_eq!(verbose.code.as_u16(), 200, "bad credentials take nothing down");
    for part in ["schema ok", "account 123456789012 held by stub", "credentials of account 123456789012: False"] {
        assert!(verbose.text.contains(part), "{part} is missing in {}", verbose.text);
    }
    let version = api.get("/version").await.expect(200);
    assert!(version["minor"].is_string() && version["gitVersion"].is_string());
}

#[tokio::test]
async fn a_stuck_loop_is_not_alive() {
    let api =
        Api::with(|state| state.liveness = std::sync::Arc::new(|| Err("the main loop stands still".to_owned()))).await;
    let answer = api.get("/livez").await;
    assert_eq!(answer.code.as_u16(), 503);
    assert!(answer.text.contains("the main loop stands still"));
    assert_eq!(api.get("/readyz").await.code.as_u16(), 200);
}

#[tokio::test]
async fn the_page_lists_environments_and_escapes_what_they_say() {
    let api = Api::new().await;
    api.create_prod().await;
    let owner = api.own().await;
    let condition = json!({
        "type": "Ready", "status": "False", "reason": "Missing", "message": "<script>alert(1)</script>",
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    owner.write_status("prod", json!({"conditions": [condition]})).await;
    let page = api.get("/").await;
    assert_eq!(page.code.as_u16(), 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text.contains("environments/prod") && page.text.contains("Ready=False"));
    assert!(!page.text.contains("<script>"));
}
