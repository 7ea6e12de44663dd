//! Plans and approvals.

use serde_json::json;
use store::RequestKind;

use super::support::{Api, ENVIRONMENTS, PROD, gated_plan};

#[tokio::test]
async fn a_plan_is_made_by_the_owner_and_changes_nothing() {
    let api = Api::new().await;
    api.create_prod().await;
    let owner = api.own().await;
    let path = format!("{PROD}/plan");
    let version = api.version().await;
    let (answer, asked) = tokio::join!(api.get(&path), owner.answer(RequestKind::Plan, gated_plan(1)));
    let plan = answer.expect(200);
    assert_eq!(asked, json!({}), "what the next pass would do now");
    assert_eq!((&plan["kind"], &plan["metadata"]["name"]), (&json!("Plan"), &json!("prod")));
    assert_eq!(plan["hash"], gated_plan(1)["hash"]);

    let patch = json!({"patch": {"spec": {"database": {"multiAz": false}}}});
    let (answer, asked) = tokio::join!(api.post(&path, &patch), owner.answer(RequestKind::Plan, gated_plan(2)));
    answer.expect(200);
    assert_eq!(asked["spec"]["database"]["multiAz"], false);
    assert_eq!(asked["spec"]["database"]["storageGib"], 100, "the patch is applied to the whole document");

    let mut spec = super::support::prod()["spec"].clone();
    spec["database"]["storageGib"] = json!(200);
    let spec = json!({"spec": spec});
    let (answer, asked) = tokio::join!(api.post(&path, &spec), owner.answer(RequestKind::Plan, gated_plan(2)));
    answer.expect(200);
    assert_eq!(asked["spec"]["database"]["storageGib"], 200);
    assert_eq!(api.version().await, version);
    assert_eq!(api.get(PROD).await.expect(200)["metadata"]["generation"], 1);
}

#[tokio::test]
async fn a_diagnosis_is_made_by_the_owner() {
    let api = Api::new().await;
    api.create_prod().await;
    let path = format!("{PROD}/diagnosis");
    assert_eq!(api.get(&path).await.refusal(503).0, "ServiceUnavailable", "nobody looks after the account");
    let owner = api.own().await;
    let found = json!({ "generation": 1, "summary": { "errors": 1 }, "findings": [{ "severity": "Error" }] });
    let (answer, _) = tokio::join!(api.get(&path), owner.answer(RequestKind::Diagnosis, found));
    let shown = answer.expect(200);
    assert_eq!((&shown["kind"], &shown["metadata"]["name"]), (&json!("Diagnosis"), &json!("prod")));
    assert_eq!(shown["findings"][0]["severity"], "Error");
    assert_eq!(api.get(&format!("{ENVIRONMENTS}/nobody/diagnosis")).await.refusal(404).0, "NotFound");
}

#[tokio::test]
async fn problems_of_a_planned_spec_need_no_owner() {
    let api = Api::new().await;
    api.create_prod().await;
    let path = format!("{PROD}/plan");
    let bad = json!({"patch": {"spec": {"database": {"storageGib": 50}, "colour": "blue"}}});
    assert_eq!(api.post(&path, &bad).await.fields(), ["spec.colour", "spec.database.storageGib"]);
    assert_eq!(api.post(&path, &json!({"patch": {}, "spec": {}})).await.fields(), ["spec"]);
    assert_eq!(api.post(&path, &json!({"patch": 7})).await.fields(), ["patch"]);
    assert_eq!(api.post(&path, &json!({"pach": {}})).await.fields(), ["pach"]);
    assert_eq!(api.post(&path, &json!([])).await.fields(), ["."]);
    assert_eq!(api.post(&format!("{ENVIRONMENTS}/nobody/plan"), &json!({})).await.refusal(404).0, "NotFound");
}

#[tokio::test]
async fn without_an_owner_a_plan_is_503_with_retry_after() {
    let api = Api::new().await;
    api.create_prod().await;
    for answer in [
        api.get(&format!("{PROD}/plan")).await,
        api.post(&format!("{PROD}/plan"), &json!({"patch": {}})).await,
        api.post_nothing(&format!("{PROD}/reconcile")).await,
    ] {
        assert_eq!(answer.refusal(503).0, "ServiceUnavailable");
        assert!(answer.header("retry-after").parse::<u32>().is_ok());
    }
}

#[tokio::test]
async fn an_owner_that_does_not_answer_or_cannot_is_503() {
    let api = Api::with(|state| state.config.plan_patience = std::time::Duration::from_millis(20)).await;
    api.create_prod().await;
    let owner = api.own().await;
    assert_eq!(api.get(&format!("{PROD}/plan")).await.refusal(503).0, "ServiceUnavailable");
    drop(owner);
    let api = Api::new().await;
    api.create_prod().await;
    let owner = api.own().await;
    let path = format!("{PROD}/plan");
    let failed = json!({"error": {"reason": "InvalidSpec", "message": "cannot be used"}});
    let (answer, _) = tokio::join!(api.get(&path), owner.answer(RequestKind::Plan, failed));
    answer.refusal(503);
    assert!(answer.text.contains("cannot be used"));
}

const HASH: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn an_approval_of_the_plan_in_the_status_keeps_its_steps() {
    let api = Api::new().await;
    api.create_prod().await;
    let owner = api.own().await;
    owner
        .write_status("prod", json!({"observedGeneration": 1, "conditions": [], "plan": gated_plan(1)["gated"]}))
        .await;
    let path = format!("{PROD}/approve");
    let answer = api.post(&path, &json!({"plan": HASH})).await.expect(201);
    assert_eq!((&answer["status"]["steps"], &answer["status"]["approver"]), (&json!(1), &json!("anonymous")));
    let row = api.store.get_environment("prod").await.unwrap();
    let approvals = api.store.valid_approvals(row.uid, api.now()).await.unwrap();
    assert_eq!(approvals.len(), 1);
    assert_eq!((approvals[0].plan_hash.as_str(), approvals[0].steps.as_slice()), (HASH, &["print-1".to_owned()][..]));
    let counts = approvals[0].expires_at.duration_since(approvals[0].approved_at);
    assert!(counts.as_hours() > 24, "to the end of the window that the steps wait for: {counts}");
    assert_eq!(approvals[0].apply.as_deref(), Some("InWindow"));
    api.post(&path, &json!({"plan": HASH, "expiresIn": "1h"})).await.expect(201);
    let approvals = api.store.valid_approvals(row.uid, api.now()).await.unwrap();
    assert_eq!(approvals.len(), 1, "approving again renews");
    assert_eq!(approvals[0].expires_at.duration_since(approvals[0].approved_at).as_hours(), 1);
}

#[tokio::test]
async fn only_the_current_plan_can_be_approved() {
    let api = Api::new().await;
    api.create_prod().await;
    let owner = api.own().await;
    owner
        .write_status("prod", json!({"observedGeneration": 1, "conditions": [], "plan": gated_plan(1)["gated"]}))
        .await;
    let path = format!("{PROD}/approve");
    let other = json!({"plan": "ffffffffffffffffffffffffffffffff"});
    let (answer, _) = tokio::join!(api.post(&path, &other), owner.answer(RequestKind::Plan, gated_plan(1)));
    assert_eq!(answer.refusal(409).0, "Conflict");
    assert!(answer.text.contains(HASH), "the current plan is named: {}", answer.text);
    // A new spec voids what was shown: the plan in the status goes with it.
    api.patch(PROD, &json!({"spec": {"database": {"storageGib": 200}}})).await.expect(200);
    let approval = json!({"plan": HASH});
    let nothing = json!({"generation": 2, "hash": null, "gated": null, "resources": []});
    let (answer, _) = tokio::join!(api.post(&path, &approval), owner.answer(RequestKind::Plan, nothing));
    assert_eq!(answer.refusal(409).0, "Conflict");
    // The owner's fresh plan counts even before a pass has put it into the status.
    let (answer, _) = tokio::join!(api.post(&path, &approval), owner.answer(RequestKind::Plan, gated_plan(2)));
    answer.expect(201);
}

#[tokio::test]
async fn approvals_are_read_strictly() {
    let api = Api::new().await;
    api.create_prod().await;
    let path = format!("{PROD}/approve");
    assert_eq!(api.post(&path, &json!({})).await.fields(), ["plan"]);
    assert_eq!(api.post(&path, &json!({"plan": "x", "who": "me"})).await.fields(), ["who"]);
    assert_eq!(api.post(&path, &json!({"plan": "x", "expiresIn": "0s"})).await.fields(), ["expiresIn"]);
    assert_eq!(api.post(&path, &json!({"plan": "x", "expiresIn": "99d"})).await.fields(), ["expiresIn"]);
    assert_eq!(api.post(&path, &json!({"plan": "x"})).await.refusal(409).0, "Conflict");
}
