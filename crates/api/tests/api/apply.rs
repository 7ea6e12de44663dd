//! Server-side apply: who owns which field, what goes when it is no longer stated, and who is asked first.

use http::Method;
use serde_json::{Value, json};

use super::support::{Answer, Api, ENVIRONMENTS, prod, small};

async fn apply(api: &Api, name: &str, query: &str, wanted: &Value) -> Answer {
    let headers = [("content-type", "application/apply-patch+yaml")];
    api.send(Method::PATCH, &format!("{ENVIRONMENTS}/{name}?{query}"), &headers, wanted.to_string()).await
}

fn tagged(tags: Value) -> Value {
    let mut document = small("a");
    document["spec"]["tags"] = tags;
    document
}

/// The fields of a manager, as FieldsV1.
fn fields_of<'a>(environment: &'a Value, manager: &str, operation: &str) -> Option<&'a Value> {
    let entries = environment["metadata"]["managedFields"].as_array()?;
    let entry = entries.iter().find(|entry| entry["manager"] == manager && entry["operation"] == operation)?;
    Some(&entry["fieldsV1"])
}

#[tokio::test]
async fn what_is_not_there_is_created_and_what_is_stated_is_owned() {
    let api = Api::new().await;
    let created = apply(&api, "a", "fieldManager=me", &tagged(json!({ "A": "1" }))).await.expect(201);
    assert_eq!(created["spec"]["tags"], json!({ "A": "1" }));
    let owned = fields_of(&created, "me", "Apply").unwrap();
    assert_eq!(owned["f:spec"]["f:tags"], json!({ "f:A": {} }));
    assert!(owned["f:spec"].get("f:policy").is_none(), "what the server fills in is nobody's");
    let again = apply(&api, "a", "fieldManager=me", &tagged(json!({ "A": "1" }))).await.expect(200);
    assert_eq!(again["metadata"], created["metadata"], "nothing changed, nothing is written");
}

#[tokio::test]
async fn what_is_no_longer_stated_goes_unless_somebody_else_owns_it() {
    let api = Api::new().await;
    apply(&api, "a", "fieldManager=me", &tagged(json!({ "A": "1", "B": "2", "C": "3" }))).await.expect(201);
    let other = json!({ "spec": { "tags": { "B": "2" } } });
    apply(&api, "a", "fieldManager=other", &other).await.expect(200);
    let patch = json!({ "spec": { "tags": { "D": "4" } } });
    api.patch(&format!("{ENVIRONMENTS}/a?fieldManager=kubectl-patch"), &patch).await.expect(200);
    let after = apply(&api, "a", "fieldManager=me", &tagged(json!({ "A": "1" }))).await.expect(200);
    assert_eq!(after["spec"]["tags"], json!({ "A": "1", "B": "2", "D": "4" }));
    assert_eq!(fields_of(&after, "kubectl-patch", "Update").unwrap()["f:spec"], json!({ "f:tags": { "f:D": {} } }));
    assert_eq!(after["metadata"]["generation"], 3);
}

#[tokio::test]
async fn another_value_for_a_field_of_somebody_else_is_a_conflict_unless_forced() {
    let api = Api::new().await;
    apply(&api, "a", "fieldManager=me", &tagged(json!({ "A": "1", "B": "2" }))).await.expect(201);
    api.patch(&format!("{ENVIRONMENTS}/a?fieldManager=kubectl-patch"), &json!({ "spec": { "tags": { "A": "9" } } }))
        .await
        .expect(200);
    let refused = apply(&api, "a", "fieldManager=me&force=false", &tagged(json!({ "A": "1", "B": "2" }))).await;
    let (reason, causes) = refused.refusal(409);
    assert_eq!(reason, "Conflict");
    assert_eq!(causes, [(".spec.tags.A".to_owned(), "FieldManagerConflict".to_owned())]);
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("Apply failed with 1 conflict: conflict with \"kubectl-patch\" using eventchain.io/v1 at "),
        "{message}"
    );
    assert!(message.ends_with(": .spec.tags.A"), "{message}");
    let tried =
        apply(&api, "a", "fieldManager=me&force=true&dryRun=All", &tagged(json!({ "A": "1" }))).await.expect(200);
    assert_eq!(tried["spec"]["tags"], json!({ "A": "1" }));
    let forced =
        apply(&api, "a", "fieldManager=me&force=true", &tagged(json!({ "A": "1", "B": "2" }))).await.expect(200);
    assert_eq!(forced["spec"]["tags"], json!({ "A": "1", "B": "2" }));
    assert!(fields_of(&forced, "kubectl-patch", "Update").is_none(), "it owns nothing any more");
}

#[tokio::test]
async fn items_of_a_keyed_list_have_owners_of_their_own() {
    let api = Api::new().await;
    api.send(Method::POST, ENVIRONMENTS, &[("user-agent", "curl/8.1")], prod().to_string()).await.expect(201);
    let before = api.get(&format!("{ENVIRONMENTS}/prod")).await.expect(200);
    assert!(fields_of(&before, "curl", "Update").is_some(), "a client without a fieldManager has its own name");
    let copies = before["spec"]["database"]["snapshots"]["copyTo"].as_array().unwrap().clone();
    let [copy] = copies.as_slice() else { panic!("the example copies to one region") };
    let mut second = copy.clone();
    second["region"] = json!("eu-west-1");
    if second.get("kmsKeyId").is_some() {
        second["kmsKeyId"] = json!("arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000");
    }
    let wanted = |copies: Value| json!({ "spec": { "database": { "snapshots": { "copyTo": copies } } } });
    let added = apply(&api, "prod", "fieldManager=me", &wanted(json!([second]))).await.expect(200);
    assert_eq!(added["spec"]["database"]["snapshots"]["copyTo"], json!([copy, second]));
    let twice = apply(&api, "prod", "fieldManager=me", &wanted(json!([second, second]))).await;
    assert_eq!(twice.fields().len(), 1);
    let gone = apply(&api, "prod", "fieldManager=me", &json!({ "spec": {} })).await.expect(200);
    assert_eq!(gone["spec"], before["spec"], "what another made stays");
}

#[tokio::test]
async fn what_cannot_be_applied_is_told() {
    let api = Api::new().await;
    apply(&api, "a", "", &small("a")).await.refusal(400);
    apply(&api, "a", "fieldManager=me", &json!([])).await.refusal(400);
    let managed = json!({ "metadata": { "name": "a", "managedFields": [] } });
    apply(&api, "a", "fieldManager=me", &managed).await.refusal(400);
    assert_eq!(apply(&api, "b", "fieldManager=me", &small("a")).await.fields(), ["metadata.name"]);
    let unknown = json!({ "metadata": { "name": "a" }, "spec": { "colour": "red" } });
    assert!(apply(&api, "a", "fieldManager=me", &unknown).await.fields().contains(&"spec.colour".to_owned()));
    let headers = [("content-type", "application/apply-patch+yaml")];
    let yaml = "spec: { aws: { accountId: \"123456789012\", region: us-east-1 } }";
    api.send(Method::PATCH, &format!("{ENVIRONMENTS}/c?fieldManager=me"), &headers, yaml).await.expect(201);
}

/// What kubectl does after it applied with the server what it had applied by itself before.
#[tokio::test]
async fn a_client_may_rewrite_the_managers_at_the_version_that_it_saw() {
    let api = Api::new().await;
    let headers = [("content-type", "application/json")];
    let path = format!("{ENVIRONMENTS}?fieldManager=kubectl-client-side-apply");
    let created = api.send(Method::POST, &path, &headers, tagged(json!({ "A": "1" })).to_string()).await.expect(201);
    let mut managed = created["metadata"]["managedFields"].clone();
    managed[0]["manager"] = json!("kubectl");
    managed[0]["operation"] = json!("Apply");
    let patch = json!([
        { "op": "replace", "path": "/metadata/managedFields", "value": managed },
        { "op": "replace", "path": "/metadata/resourceVersion", "value": created["metadata"]["resourceVersion"] },
    ]);
    let headers = [("content-type", "application/json-patch+json")];
    let send = async || api.send(Method::PATCH, &format!("{ENVIRONMENTS}/a"), &headers, patch.to_string()).await;
    let moved = send().await.expect(200);
    assert!(
        fields_of(&moved, "kubectl", "Apply").is_some()
            && fields_of(&moved, "kubectl-client-side-apply", "Update").is_none()
    );
    assert_eq!(moved["metadata"]["generation"], 1);
    send().await.refusal(409);
}
