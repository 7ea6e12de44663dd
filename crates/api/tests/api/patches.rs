//! JSON patches (RFC 6902).

use http::Method;
use serde_json::{Value, json};

use super::support::{Answer, Api, PROD};

async fn send(api: &Api, patch: &Value) -> Answer {
    let headers = [("content-type", "application/json-patch+json")];
    api.send(Method::PATCH, PROD, &headers, patch.to_string()).await
}

#[tokio::test]
async fn its_operations_are_carried_out_in_order_or_not_at_all() {
    let api = Api::new().await;
    let created = api.create_prod().await;
    let patched = send(
        &api,
        &json!([
            { "op": "test", "path": "/spec/database/storageGib", "value": created["spec"]["database"]["storageGib"] },
            { "op": "replace", "path": "/spec/database/storageGib", "value": 200 },
            { "op": "add", "path": "/metadata/annotations/note", "value": "x" },
        ]),
    )
    .await
    .expect(200);
    assert_eq!(patched["spec"]["database"]["storageGib"], 200);
    assert_eq!(
        (&patched["metadata"]["generation"], &patched["metadata"]["annotations"]["note"]),
        (&json!(2), &json!("x"))
    );
    let refused = send(
        &api,
        &json!([
            { "op": "replace", "path": "/spec/database/storageGib", "value": 300 },
            { "op": "test", "path": "/spec/database/storageGib", "value": 1 },
        ]),
    )
    .await;
    assert_eq!(refused.fields(), ["patch[1]"]);
    assert_eq!(api.get(PROD).await.expect(200)["spec"]["database"]["storageGib"], 200, "nothing of it happened");
    let bad = json!([{ "op": "remove", "path": "/spec/nothing" }]);
    assert_eq!(send(&api, &bad).await.fields(), ["patch[0]"]);
}

#[tokio::test]
async fn a_patch_that_names_a_version_is_made_from_it() {
    let api = Api::new().await;
    let old = api.create_prod().await["metadata"]["resourceVersion"].clone();
    let patch = |version: &Value, count: u32| {
        json!([
            { "op": "replace", "path": "/metadata/resourceVersion", "value": version },
            { "op": "replace", "path": "/spec/database/storageGib", "value": count },
        ])
    };
    send(&api, &patch(&old, 200)).await.expect(200);
    let (reason, _) = send(&api, &patch(&old, 300)).await.refusal(409);
    assert_eq!(reason, "Conflict");
    // One that says nothing of it goes with whatever is newest.
    send(&api, &json!([{ "op": "replace", "path": "/spec/database/storageGib", "value": 300 }])).await.expect(200);
}

#[tokio::test]
async fn what_is_no_patch_is_400_and_names_the_operation() {
    let api = Api::new().await;
    api.create_prod().await;
    for (bad, named) in [
        (json!({}), "list of operations"),
        (json!([{ "op": "turn", "path": "/spec" }]), "patch[0]"),
        (json!([{ "op": "remove", "path": "/metadata/labels/x" }, { "op": "add", "path": "spec" }]), "patch[1]"),
        (json!([{ "op": "add", "path": "/spec/x" }]), "needs a value"),
        (json!([{ "op": "copy", "path": "/spec/x" }]), "from"),
        (json!(["remove"]), "patch[0]"),
    ] {
        let answer = send(&api, &bad).await;
        assert_eq!(answer.refusal(400).0, "BadRequest");
        assert!(answer.text.contains(named), "{}", answer.text);
    }
    let merge = [("content-type", "application/merge-patch+json")];
    assert_eq!(api.send(Method::PATCH, PROD, &merge, "[]").await.refusal(400).0, "BadRequest");
}
