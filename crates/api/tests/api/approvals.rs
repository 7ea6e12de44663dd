//! Governed changes: who may approve, what is approved, and what is applied.

use serde_json::{Value, json};
use store::RequestKind;

use super::support::{Answer, Api, CHANGES, ENVIRONMENTS, Owner, PROD, free_plan, gated_plan, prod};

const HASH: &str = "0123456789abcdef0123456789abcdef";

/// The example environment, with rules for its changes.
async fn governed(api: &Api, rules: Value) {
    let mut document = prod();
    document["spec"]["policy"]["changes"] = rules;
    api.post_as("alice", ENVIRONMENTS, &document).await.expect(201);
}

fn second_person() -> Value {
    json!({"secondPerson": true})
}

fn off() -> Value {
    json!({"spec": {"environment": "prod", "message": "no standby", "patch": {"spec": {"database": {"multiAz": false}}}}})
}

/// A plan whose gated steps have another hash.
fn other_plan(generation: i64) -> Value {
    let mut plan = gated_plan(generation);
    for hash in ["/hash", "/gated/hash"] {
        *plan.pointer_mut(hash).unwrap() = json!("ffffffffffffffffffffffffffffffff");
    }
    plan
}

/// Posts a change whose plan is this one, as alice; answers its path.
async fn posted(api: &Api, owner: &Owner, body: &Value, plan: Value) -> (String, Value) {
    let (answer, _) = tokio::join!(api.post_as("alice", CHANGES, body), owner.answer(RequestKind::Plan, plan));
    let change = answer.expect(201);
    (format!("{CHANGES}/{}", change["metadata"]["name"].as_str().unwrap()), change)
}

async fn approved(api: &Api, owner: &Owner, who: &str, path: &str, plan: Value) -> Answer {
    let path = format!("{path}/approve");
    let body = json!({"message": "go"});
    let (answer, _) = tokio::join!(api.post_as(who, &path, &body), owner.answer(RequestKind::Plan, plan));
    answer
}

async fn revision(api: &Api) -> i64 {
    api.store.get_environment("prod").await.unwrap().revision
}

async fn reasons(api: &Api) -> Vec<String> {
    let events = api.store.recent_events(&store::EventFilter::default(), 100).await.unwrap();
    let mut reasons: Vec<String> = events.into_iter().map(|event| event.reason).collect();
    reasons.sort();
    reasons
}

#[tokio::test]
async fn a_gated_change_is_written_only_after_a_second_person_approved_it() {
    let api = Api::new().await;
    governed(&api, second_person()).await;
    let owner = api.own().await;
    let (path, change) = posted(&api, &owner, &off(), gated_plan(2)).await;
    let status = &change["status"];
    assert_eq!((&status["phase"], &status["planHash"]), (&json!("PendingApproval"), &json!(HASH)));
    assert_eq!(status["requires"], json!({"approvals": 1, "secondPerson": true}));
    assert!(status["expiresAt"].is_string() && status.get("revision").is_none(), "{status}");
    assert_eq!(revision(&api).await, 1, "nothing is written");

    let refused = api.post_as("alice", &format!("{path}/approve"), &json!({})).await;
    assert_eq!(refused.refusal(403).0, "Forbidden");
    assert!(refused.text.contains("author") && refused.text.contains("secondPerson"), "{}", refused.text);
    assert_eq!(api.get(&path).await.expect(200), change, "and nothing of it is kept");

    let change = approved(&api, &owner, "bob", &path, gated_plan(2)).await.expect(201);
    let status = &change["status"];
    assert_eq!((&status["phase"], &status["revision"]), (&json!("Applying"), &json!(2)));
    assert_eq!((&status["approvals"][0]["by"], &status["approvals"][0]["message"]), (&json!("bob"), &json!("go")));
    assert_eq!(status["baseRevision"], 1);
    let revision = api.get("/apis/eventchain.io/v1/revisions/prod-2").await.expect(200);
    assert_eq!((&revision["spec"]["author"], &revision["spec"]["message"]), (&json!("alice"), &json!("no standby")));
    assert_eq!(revision["spec"]["change"], change["metadata"]["name"]);
    let row = api.store.get_environment("prod").await.unwrap();
    assert_eq!(row.spec["database"]["multiAz"], false);
    let approvals = api.store.valid_approvals(row.uid, api.now()).await.unwrap();
    assert_eq!(approvals.len(), 1, "its steps are let through with the spec");
    assert_eq!((approvals[0].steps.as_slice(), approvals[0].approver.as_str()), (&["print-1".to_owned()][..], "bob"));
    assert_eq!(approvals[0].apply.as_deref(), Some("InWindow"), "in the window that policy keeps");
    assert!(approvals[0].expires_at.duration_since(api.now()).as_hours() > 24, "it counts until that has closed");
    assert_eq!(reasons(&api).await, ["ApprovalNeeded", "ChangeApplied", "ChangeApproved"]);
    let again = api.post_as("carol", &format!("{path}/approve"), &json!({})).await;
    assert!(again.expect(409)["message"].as_str().unwrap().contains("nothing of it waits for approval"));
}

#[tokio::test]
async fn the_same_person_does_not_count_twice() {
    let api = Api::new().await;
    governed(&api, json!({"approvals": 2, "secondPerson": true})).await;
    let owner = api.own().await;
    let (path, _) = posted(&api, &owner, &off(), gated_plan(2)).await;
    let approve = format!("{path}/approve");
    for _ in 0..2 {
        let change = api.post_as("bob", &approve, &json!({"plan": HASH})).await.expect(201);
        assert_eq!(change["status"]["phase"], "PendingApproval");
        assert_eq!(change["status"]["approvals"].as_array().unwrap().len(), 1);
        let waiting = change["status"]["waiting"]["message"].as_str().unwrap();
        assert!(waiting.starts_with("1 of 2 approvals"), "{waiting}");
    }
    assert_eq!(revision(&api).await, 1);
    let tried = api.post_as("carol", &format!("{approve}?dryRun=All"), &json!({})).await.expect(201);
    assert_eq!(tried["status"]["approvals"].as_array().unwrap().len(), 2);
    assert_eq!(revision(&api).await, 1, "tried out");
    let change = approved(&api, &owner, "carol", &path, gated_plan(2)).await.expect(201);
    assert_eq!((&change["status"]["phase"], revision(&api).await), (&json!("Applying"), 2));
}

#[tokio::test]
async fn what_looks_different_when_it_is_applied_is_refused_and_shown_anew() {
    let api = Api::new().await;
    governed(&api, second_person()).await;
    let owner = api.own().await;
    let (path, _) = posted(&api, &owner, &off(), gated_plan(2)).await;
    let refused = approved(&api, &owner, "bob", &path, other_plan(2)).await;
    assert_eq!(refused.refusal(409).0, "Conflict");
    assert!(refused.text.contains("ffffffffffffffff") && refused.text.contains("void"), "{}", refused.text);
    assert_eq!(revision(&api).await, 1);
    let change = api.get(&path).await.expect(200);
    assert_eq!(change["status"]["planHash"], other_plan(2)["hash"]);
    assert_eq!((&change["status"]["phase"], change["status"].get("approvals")), (&json!("PendingApproval"), None));
    let old = api.post_as("bob", &format!("{path}/approve"), &json!({"plan": HASH})).await;
    assert_eq!(old.refusal(409).0, "Conflict");
    approved(&api, &owner, "bob", &path, other_plan(2)).await.expect(201);
    assert_eq!(revision(&api).await, 2);
    assert!(reasons(&api).await.contains(&"ChangePlanChanged".to_owned()));
}

#[tokio::test]
async fn without_an_owner_nothing_is_approved_unseen() {
    let api = Api::new().await;
    governed(&api, json!({})).await;
    let owner = api.own().await;
    let (path, change) = posted(&api, &owner, &off(), gated_plan(2)).await;
    api.store.release_lease(&owner.fence, "stub").await.unwrap();
    assert_eq!(api.post_as("bob", &format!("{path}/approve"), &json!({})).await.refusal(503).0, "ServiceUnavailable");
    assert_eq!(api.get(&path).await.expect(200), change);
}

#[tokio::test]
async fn a_change_is_rejected_once_and_lapses_in_time() {
    let api = Api::new().await;
    governed(&api, json!({"expireAfter": "1h"})).await;
    let owner = api.own().await;
    let (path, _) = posted(&api, &owner, &off(), gated_plan(2)).await;
    let reject = format!("{path}/reject");
    assert_eq!(api.post_as("bob", &reject, &json!({"why": "x"})).await.fields(), ["why"]);
    let change = api.post_as("bob", &reject, &json!({"message": "not on a Friday"})).await.expect(200);
    assert_eq!(change["status"]["phase"], "Rejected");
    let outcome = &change["status"]["outcome"];
    assert_eq!((&outcome["by"], &outcome["message"]), (&json!("bob"), &json!("not on a Friday")));
    assert!(change["status"]["finishedAt"].is_string());
    assert_eq!(api.post_as("bob", &reject, &json!({})).await.refusal(409).0, "Conflict");
    assert_eq!(api.post_as("carol", &format!("{path}/approve"), &json!({})).await.refusal(409).0, "Conflict");
    assert_eq!(
        api.get(&format!("{CHANGES}?fieldSelector=status.phase=Rejected")).await.expect(200)["items"][0],
        change
    );

    let (path, _) = posted(&api, &owner, &off(), gated_plan(2)).await;
    api.advance(3601);
    let late = api.post_as("bob", &format!("{path}/approve"), &json!({})).await;
    assert!(late.expect(409)["message"].as_str().unwrap().contains("it lapsed at"));
    assert_eq!(revision(&api).await, 1);
    // What has ended is deleted, what is open withdrawn.
    api.delete(&format!("{CHANGES}/{}", change["metadata"]["name"].as_str().unwrap())).await.expect(200);
    api.delete(&path).await.expect(200);
    assert_eq!(api.get(CHANGES).await.expect(200)["items"], json!([]));
    let reasons = reasons(&api).await;
    assert_eq!(reasons.iter().filter(|reason| *reason == "ChangeWithdrawn").count(), 1, "{reasons:?}");
}

#[tokio::test]
async fn approving_the_hash_through_the_environment_settles_the_change() {
    let api = Api::new().await;
    governed(&api, second_person()).await;
    let owner = api.own().await;
    let (path, change) = posted(&api, &owner, &off(), gated_plan(2)).await;
    let approve = format!("{PROD}/approve");
    let body = json!({"plan": HASH});
    assert_eq!(api.post_as("alice", &approve, &body).await.refusal(403).0, "Forbidden");
    let (answer, _) = tokio::join!(api.post_as("bob", &approve, &body), owner.answer(RequestKind::Plan, gated_plan(2)));
    let approval = answer.expect(201);
    assert_eq!(approval["status"]["change"], change["metadata"]["name"]);
    assert_eq!(api.get(&path).await.expect(200)["status"]["phase"], "Applying");
    assert_eq!(revision(&api).await, 2);
}

#[tokio::test]
async fn whoever_wrote_the_spec_is_the_author_of_steps_that_no_change_is_about() {
    let api = Api::new().await;
    governed(&api, second_person()).await;
    let owner = api.own().await;
    let status = json!({"observedGeneration": 1, "conditions": [], "plan": gated_plan(1)["gated"]});
    owner.write_status("prod", status).await;
    let approve = format!("{PROD}/approve");
    let refused = api.post_as("alice", &approve, &json!({"plan": HASH})).await;
    assert_eq!(refused.refusal(403).0, "Forbidden");
    api.post_as("bob", &approve, &json!({"plan": HASH})).await.expect(201);
}

#[tokio::test]
async fn a_direct_write_is_recorded_with_its_author_and_what_it_needs() {
    let api = Api::new().await;
    governed(&api, second_person()).await;
    api.patch(PROD, &json!({"spec": {"database": {"multiAz": false}}})).await.expect(200);
    let change = api.get(CHANGES).await.expect(200)["items"][0].clone();
    let status = &change["status"];
    assert_eq!(
        (&status["phase"], &status["origin"], &status["revision"]),
        (&json!("Applying"), &json!("Direct"), &json!(2))
    );
    let row = api.store.get_change(change["metadata"]["name"].as_str().unwrap()).await.unwrap();
    assert_eq!((row.generation, row.base_revision, &row.requires["secondPerson"]), (Some(2), Some(1), &json!(true)));
    // Applied: to reject it is too late.
    let reject = format!("{CHANGES}/{}/reject", row.name);
    assert!(api.post(&reject, &json!({})).await.expect(409)["message"].as_str().unwrap().contains("roll it back"));
}

#[tokio::test]
async fn the_second_person_cannot_be_abolished_alone() {
    let api = Api::new().await;
    governed(&api, second_person()).await;
    let owner = api.own().await;
    let patch = json!({"spec": {"policy": {"changes": {"secondPerson": false}}}});
    let refused = api.patch(PROD, &patch).await;
    assert_eq!(refused.refusal(403).0, "Forbidden");
    assert!(refused.text.contains("spec.policy.changes.secondPerson"), "{}", refused.text);
    assert_eq!(revision(&api).await, 1);
    let body = json!({"spec": {"environment": "prod", "patch": patch}});
    let (path, change) = posted(&api, &owner, &body, free_plan(2)).await;
    assert_eq!(change["status"]["phase"], "PendingApproval", "by the policy that it changes");
    assert_eq!(change["status"]["plan"]["loosens"], "spec.policy.changes.secondPerson");
    assert_eq!(api.post_as("alice", &format!("{path}/approve"), &json!({})).await.refusal(403).0, "Forbidden");
    approved(&api, &owner, "bob", &path, free_plan(2)).await.expect(201);
    assert_eq!(revision(&api).await, 2);
    let row = api.store.get_environment("prod").await.unwrap();
    assert!(api.store.valid_approvals(row.uid, api.now()).await.unwrap().is_empty(), "no step was gated");
    api.patch(PROD, &json!({"spec": {"policy": {"disruptive": "Immediately"}}})).await.expect(200);
}

#[tokio::test]
async fn a_change_says_when_its_approved_steps_run() {
    let api = Api::new().await;
    governed(&api, json!({})).await;
    let owner = api.own().await;
    let mut body = off();
    body["spec"]["apply"] = json!("Now");
    assert_eq!(api.post(CHANGES, &body).await.fields(), ["spec.apply"]);
    body["spec"]["apply"] = json!("Immediately");
    let (path, change) = posted(&api, &owner, &body, gated_plan(2)).await;
    assert_eq!(change["spec"]["apply"], "Immediately");
    approved(&api, &owner, "bob", &path, gated_plan(2)).await.expect(201);
    let row = api.store.get_environment("prod").await.unwrap();
    let approvals = api.store.valid_approvals(row.uid, api.now()).await.unwrap();
    assert_eq!(approvals[0].apply.as_deref(), Some("Immediately"));
    // Without windows there is none to wait for.
    let body = json!({"spec": {"environment": "prod", "apply": "InWindow",
        "patch": {"spec": {"policy": {"disruptive": "RequireApproval", "windows": null}}}}});
    assert_eq!(api.post(CHANGES, &body).await.fields(), ["spec.apply"]);
}

#[tokio::test]
async fn deleting_with_what_it_made_is_a_change_of_its_own() {
    let api = Api::new().await;
    let mut document = prod();
    document["spec"]["policy"]["onDelete"] = json!("Delete");
    api.post(ENVIRONMENTS, &document).await.expect(201);
    api.send(http::Method::DELETE, PROD, &[("x-remote-user", "bob")], "").await.expect(200);
    api.send(http::Method::DELETE, PROD, &[("x-remote-user", "carol")], "").await.expect(200);
    let changes = api.get(CHANGES).await.expect(200);
    let items = changes["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!((&items[0]["status"]["origin"], &items[0]["status"]["author"]), (&json!("Deletion"), &json!("bob")));
}

#[tokio::test]
async fn changes_are_told_to_watchers_and_printed_in_columns() {
    let api = Api::new().await;
    governed(&api, json!({})).await;
    let owner = api.own().await;
    let (path, _) = posted(&api, &owner, &off(), gated_plan(2)).await;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = api.send(http::Method::GET, CHANGES, &accept, "").await.expect(200);
    let columns: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|column| column["priority"] == 0)
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["Name", "Environment", "Phase", "Risk", "Author", "Waiting", "Message", "Age"]);
    assert_eq!(table["rows"][0]["cells"][2], "PendingApproval");
    api.delete(&path).await.expect(200);
    let log = api.store.changes_since(0, &["Change"], 10).await.unwrap();
    let last = log.last().unwrap();
    assert_eq!((last.event, last.object["phase"].as_str()), (store::LoggedEvent::Deleted, Some("Withdrawn")));
}
