//! Reconcile, pause, resume, rollback.

use serde_json::{Value, json};
use store::RequestKind;

use super::support::{Api, CHANGES, ENVIRONMENTS, PROD, small};

#[tokio::test]
async fn a_reconcile_answers_a_token_and_can_be_waited_for() {
    let api = Api::new().await;
    api.create_prod().await;
    let owner = api.own().await;
    let path = format!("{PROD}/reconcile");
    let asked = api.post_nothing(&path).await.expect(202);
    let token = asked["token"].as_str().unwrap().to_owned();
    assert_eq!(asked["handled"], false);
    let answer = json!({"handled": true, "status": {"observedGeneration": 1}});
    owner.answer(RequestKind::Reconcile, answer.clone()).await;
    let later = api.post_nothing(&format!("{path}?token={token}")).await.expect(200);
    assert_eq!((&later["handled"], &later["status"]["observedGeneration"]), (&json!(true), &json!(1)));

    let waiting = format!("{path}?wait=30s");
    let (handled, _) = tokio::join!(api.post_nothing(&waiting), owner.answer(RequestKind::Reconcile, answer));
    assert_eq!(handled.expect(200)["handled"], true);
    assert_eq!(api.post_nothing(&format!("{path}?wait=soon")).await.fields(), ["wait"]);
    assert_eq!(api.post_nothing(&format!("{path}?token=x")).await.fields(), ["token"]);
    let unknown = format!("{path}?token=00000000-0000-4000-8000-000000000000");
    assert_eq!(api.post_nothing(&unknown).await.refusal(404).0, "NotFound");
    assert_eq!(api.post_nothing(&format!("{ENVIRONMENTS}/nobody/reconcile")).await.refusal(404).0, "NotFound");
}

#[tokio::test]
async fn a_wait_that_runs_out_answers_the_token() {
    let api = Api::with(|state| state.config.longest_wait = std::time::Duration::from_millis(20)).await;
    api.create_prod().await;
    let _owner = api.own().await;
    let asked = api.post_nothing(&format!("{PROD}/reconcile?wait=1h")).await.expect(202);
    assert!(asked["token"].is_string());
}

#[tokio::test]
async fn a_pause_is_shown_until_it_ends() {
    let api = Api::new().await;
    api.create_prod().await;
    let path = format!("{PROD}/pause");
    let paused = api.post(&path, &json!({"reason": "migration", "duration": "2h"})).await.expect(200);
    let pause = &paused["status"]["pause"];
    assert_eq!((&pause["reason"], &pause["by"]), (&json!("migration"), &json!("anonymous")));
    assert!(pause["until"].is_string());
    assert_eq!(paused["metadata"]["generation"], 1);
    api.advance(7201);
    assert!(api.get(PROD).await.expect(200)["status"].get("pause").is_none(), "it has ended by itself");
    let resumed = api.post_nothing(&format!("{PROD}/resume")).await.expect(200);
    assert!(resumed["status"].get("pause").is_none());
    let version = api.version().await;
    api.post_nothing(&format!("{PROD}/resume")).await.expect(200);
    assert_eq!(api.version().await, version, "resuming what is not paused changes nothing");
}

#[tokio::test]
async fn the_same_pause_again_changes_nothing() {
    let api = Api::new().await;
    api.create_prod().await;
    let forever = json!({"reason": "until further notice"});
    api.post(&format!("{PROD}/pause"), &forever).await.expect(200);
    let version = api.version().await;
    api.advance(60);
    api.post(&format!("{PROD}/pause"), &forever).await.expect(200);
    assert_eq!(api.version().await, version);
    let tried = api.post_nothing(&format!("{PROD}/resume?dryRun=All")).await.expect(200);
    assert!(tried["status"].get("pause").is_none());
    assert!(api.get(PROD).await.expect(200)["status"].get("pause").is_some());
}

#[tokio::test]
async fn pauses_are_read_strictly() {
    let api = Api::new().await;
    api.create_prod().await;
    let path = format!("{PROD}/pause");
    let cases = [
        (json!({}), "reason"),
        (json!({"reason": " "}), "reason"),
        (json!({"reason": "x", "until": "2001-01-01T00:00:00Z"}), "until"),
        (json!({"reason": "x", "until": "tomorrow"}), "until"),
        (json!({"reason": "x", "duration": "0s"}), "duration"),
        (json!({"reason": "x", "duration": "2h", "until": "2030-01-01T00:00:00Z"}), "duration"),
        (json!({"reason": "x", "untill": "2030-01-01T00:00:00Z"}), "untill"),
    ];
    for (body, field) in cases {
        assert_eq!(api.post(&path, &body).await.fields(), [field], "{body}");
    }
    assert_eq!(
        api.post(&format!("{ENVIRONMENTS}/nobody/pause"), &json!({"reason": "x"})).await.refusal(404).0,
        "NotFound"
    );
}

#[tokio::test]
async fn a_rollback_is_a_new_revision_of_an_old_spec() {
    let api = Api::new().await;
    api.create_prod().await;
    api.patch(PROD, &json!({"spec": {"services": {"event-service": {"desiredCount": 4}}}})).await.expect(200);
    let path = format!("{PROD}/rollback");
    let back = api.post(&path, &json!({"revision": 1})).await.expect(200);
    assert_eq!(back["spec"]["services"]["event-service"]["desiredCount"], 2);
    assert_eq!(back["metadata"]["generation"], 3);
    let revision = api.get("/apis/eventchain.io/v1/revisions/prod-3").await.expect(200);
    assert_eq!(revision["spec"]["message"], "rollback to revision 1");
    let changes = api.get(CHANGES).await.expect(200);
    assert_eq!(changes["items"].as_array().unwrap().len(), 2);
    let version = api.version().await;
    api.post(&path, &json!({"revision": 3})).await.expect(200);
    assert_eq!(api.version().await, version, "the present spec again is no change");
    assert_eq!(api.post(&path, &json!({"revision": 99})).await.fields(), ["revision"]);
    assert_eq!(api.post(&path, &json!({"revision": "1"})).await.fields(), ["revision"]);
    assert_eq!(
        api.post(&format!("{ENVIRONMENTS}/nobody/rollback"), &json!({"revision": 1})).await.refusal(404).0,
        "NotFound"
    );
}

#[tokio::test]
async fn a_rollback_is_checked_like_any_other_change() {
    let api = Api::new().await;
    api.create_prod().await;
    api.patch(PROD, &json!({"spec": {"database": {"storageGib": 200}}})).await.expect(200);
    let refused = api.post(&format!("{PROD}/rollback"), &json!({"revision": 1})).await;
    assert_eq!(refused.fields(), ["spec.database.storageGib"], "storage cannot shrink");
}

#[tokio::test]
async fn names_of_the_daemon_cannot_be_borrowed() {
    let api = Api::new().await;
    let who = async |name: &str, user: &str| -> Value {
        let headers = [("content-type", "application/json"), ("x-remote-user", user)];
        api.send(http::Method::POST, ENVIRONMENTS, &headers, small(name).to_string()).await.expect(201);
        let revision = api.get(&format!("/apis/eventchain.io/v1/revisions/{name}-1")).await.expect(200);
        revision["spec"]["author"].clone()
    };
    assert_eq!(who("one", "system:drift").await, "anonymous");
    assert_eq!(who("two", "bob@example.com").await, "bob@example.com");
    assert_eq!(who("three", "").await, "anonymous");
    assert_eq!(who("four", &"x".repeat(500)).await.as_str().unwrap().len(), 128);
}

#[tokio::test]
async fn what_people_do_without_a_revision_is_an_event() {
    let api = Api::new().await;
    api.create_prod().await;
    let headers = [("content-type", "application/json"), ("x-remote-user", "alice")];
    let body = json!({"reason": "migration"}).to_string();
    api.send(http::Method::POST, &format!("{PROD}/pause"), &headers, body).await.expect(200);
    api.send(http::Method::POST, &format!("{PROD}/resume"), &headers, "").await.expect(200);
    api.send(http::Method::DELETE, PROD, &headers, "").await.expect(200);
    api.send(http::Method::DELETE, PROD, &headers, "").await.expect(200);
    let patch = json!({"spec": {"mode": "Observe"}}).to_string();
    api.send(http::Method::PATCH, "/apis/eventchain.io/v1/operators/default", &headers, patch).await.expect(200);
    let events = api.get("/api/v1/events").await.expect(200);
    let mut reasons: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|event| event["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["DeletionRequested", "ModeChanged", "PauseRequested", "ResumeRequested"]);
    let paused = api.get("/api/v1/events?fieldSelector=reason=PauseRequested").await.expect(200);
    assert_eq!(paused["items"][0]["message"], "alice paused reconciliation: migration");
    assert_eq!(paused["items"][0]["involvedObject"]["name"], "prod");
}
