//! Content that is refused: 422 with every path at once, and nothing stored.

use http::Method;
use serde_json::{Value, json};
use testkit::fixtures::patched;

use super::support::{Api, ENVIRONMENTS, PROD, named, prod, small};

#[tokio::test]
async fn all_problems_are_named_at_once_and_nothing_is_stored() {
    let api = Api::new().await;
    let version = api.version().await;
    let bad = patched(
        prod(),
        &json!({"spec": {
            "colour": "blue",
            "database": {
                "storageGib": "100GB",
                "backups": {"window": "04:30-05:30"},
                "masterPassword": "hunter2-in-the-spec",
                "snapshots": {"copyTo": [{"region": "us-west-2", "keep": 7}]},
            },
            "services": {"api-gateway": {"image": "x/y:1"}, "Bad Name!": {"name": "no spaces"}},
            "pipeline": {"deploy": {"service": "event-service"}},
            "policy": {"windows": [{"cron": "nonsense", "duration": "1h"}]},
        }}),
    );
    let answer = api.post(ENVIRONMENTS, &bad).await;
    let fields = answer.fields();
    for expected in [
        "spec.colour",
        "spec.database.storageGib",
        "spec.database.masterPassword",
        "spec.database.maintenanceWindow",
        "spec.database.snapshots.copyTo[0].kmsKeyId",
        "spec.policy.windows[0].cron",
    ] {
        assert!(fields.iter().any(|field| field == expected), "{expected} is missing in {fields:#?}");
    }
    assert!(fields.iter().any(|field| field.starts_with("spec.services.api-gateway")), "{fields:#?}");
    assert!(!answer.text.contains("hunter2"), "a password is not repeated: {}", answer.text);
    assert_eq!(api.version().await, version);
    api.get(PROD).await.refusal(404);
}

#[tokio::test]
async fn what_cannot_change_in_place_is_refused_with_its_path() {
    let api = Api::new().await;
    api.create_prod().await;
    let version = api.version().await;
    let cases = [
        (json!({"spec": {"database": {"storageGib": 50}}}), "spec.database.storageGib"),
        (json!({"spec": {"aws": {"region": "eu-west-1"}}}), "spec.aws.region"),
        (json!({"spec": {"database": {"encrypted": false}}}), "spec.database.encrypted"),
        (json!({"metadata": {"name": "other"}}), "metadata.name"),
    ];
    for (patch, field) in cases {
        let fields = api.patch(PROD, &patch).await.fields();
        assert!(fields.contains(&field.to_owned()), "{field} is missing in {fields:?}");
    }
    assert_eq!(api.version().await, version);
}

#[tokio::test]
async fn an_object_that_is_claimed_is_refused_and_its_holder_named() {
    let api = Api::new().await;
    api.create_prod().await;
    let mut thief = named("thief");
    thief["spec"]["alarms"] = prod()["spec"]["alarms"].clone();
    thief["spec"]["database"]["identifier"] = json!("eventchain-prod-db");
    thief["spec"]["tags"]["aws:bad"] = json!("x");
    let answer = api.post(ENVIRONMENTS, &thief).await;
    let fields = answer.fields();
    let has = |part: &str| fields.iter().any(|field| field.contains(part));
    assert!(has("EventChain-High-CPU") && has("spec.database") && has("aws:bad"), "{fields:#?}");
    assert!(answer.text.contains("Environment \\\"prod\\\""), "the holder is named: {}", answer.text);
    api.get(&format!("{ENVIRONMENTS}/thief")).await.refusal(404);

    api.post(ENVIRONMENTS, &named("thief")).await.expect(201);
    let path = format!("{ENVIRONMENTS}/thief");
    let steal = json!({"spec": {"alarms": prod()["spec"]["alarms"]}});
    let (_, causes) = api.patch(&path, &steal).await.refusal(422);
    assert!(causes.iter().all(|(_, reason)| reason == "FieldValueDuplicate"), "{causes:?}");
    assert_eq!(api.patch(&format!("{path}?dryRun=All"), &steal).await.refusal(422).0, "Invalid");
}

#[tokio::test]
async fn field_validation_decides_about_unknown_fields() {
    let api = Api::new().await;
    let odd = patched(small("odd"), &json!({"spec": {"colour": "blue"}, "extra": 1}));
    let fields = api.post(ENVIRONMENTS, &odd).await.fields();
    assert_eq!(fields, ["extra", "spec.colour"]);
    let warned = api.post(&format!("{ENVIRONMENTS}?fieldValidation=Warn"), &odd).await;
    let created = warned.expect(201);
    assert!(created["spec"].get("colour").is_none());
    let warnings: Vec<&str> = warned.headers.get_all("warning").iter().map(|it| it.to_str().unwrap()).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.starts_with("299 - \"unknown field")), "{warnings:?}");
    let path = format!("{ENVIRONMENTS}/odd");
    let ignored = api.patch(&format!("{path}?fieldValidation=Ignore"), &json!({"spec": {"colour": "red"}})).await;
    ignored.expect(200);
    assert!(ignored.headers.get("warning").is_none());
    assert_eq!(api.patch(&format!("{path}?fieldValidation=Maybe"), &json!({})).await.fields(), ["fieldValidation"]);
}

#[tokio::test]
async fn what_postgres_cannot_hold_is_content_and_no_failure() {
    let api = Api::new().await;
    let nul = patched(small("nul"), &json!({"spec": {"tags": {"a\u{0}b": "x", "c": "d\u{0}"}}}));
    let fields = api.post(ENVIRONMENTS, &nul).await.fields();
    assert_eq!(fields.len(), 2, "{fields:?}");
    let huge = r#"{"metadata":{"name":"huge"},"spec":{"aws":{"accountId":"123456789012","region":"us-east-1"},"database":{"identifier":"d","storageGib":1e400}}}"#;
    let answer = api.send(Method::POST, ENVIRONMENTS, &[("content-type", "application/json")], huge).await;
    assert!(answer.code.is_client_error(), "{}", answer.text);
    assert_eq!(api.get("/apis/eventchain.io/v1/environments/a%00b").await.refusal(400).0, "BadRequest");
    assert_eq!(api.get("/apis/eventchain.io/v1/environments/a%ffb").await.refusal(400).0, "BadRequest");
}

#[tokio::test]
async fn documents_of_the_wrong_shape_are_refused_with_a_path() {
    let api = Api::new().await;
    for (body, field) in [
        (json!([]), "."),
        (json!("text"), "."),
        (Value::Null, "."),
        (json!({"metadata": [], "spec": {}}), "metadata"),
        (json!({"metadata": {"name": "x"}}), "spec"),
        (json!({"metadata": {"name": 7}, "spec": small("x")["spec"]}), "metadata.name"),
        (json!({"metadata": {"name": "UPPER"}, "spec": small("x")["spec"]}), "metadata.name"),
        (
            json!({"metadata": {"name": "x", "resourceVersion": 7}, "spec": small("x")["spec"]}),
            "metadata.resourceVersion",
        ),
        (json!({"metadata": {"name": "x", "generateName": 7}, "spec": small("x")["spec"]}), "metadata.generateName"),
        (json!({"kind": "Pod", "metadata": {"name": "x"}, "spec": small("x")["spec"]}), "kind"),
        (json!({"apiVersion": "v1", "metadata": {"name": "x"}, "spec": small("x")["spec"]}), "apiVersion"),
    ] {
        let fields = api.post(ENVIRONMENTS, &body).await.fields();
        assert!(fields.contains(&field.to_owned()), "{body}: {field} is missing in {fields:?}");
    }
}

#[tokio::test]
async fn no_invalid_document_is_ever_a_failure_of_ours() {
    let api = Api::new().await;
    let base = prod();
    // Each scalar of the example in turn becomes something that does not belong there.
    let mut paths = Vec::new();
    leaves(&base["spec"], &mut vec!["spec".to_owned()], &mut paths);
    assert!(paths.len() > 60, "the walk finds the document's scalars");
    let odd = [json!(-1), json!("\u{fffd} \u{1F980}"), json!(""), json!({}), json!([[]]), json!(1e300)];
    for (n, path) in paths.into_iter().enumerate() {
        for odd in [&odd[n % odd.len()], &odd[(n + 1) % odd.len()]] {
            let mut document = base.clone();
            *document.pointer_mut(&pointer(&path)).unwrap() = odd.clone();
            let answer = api.post(&format!("{ENVIRONMENTS}?dryRun=All"), &document).await;
            let code = answer.code.as_u16();
            assert!(matches!(code, 201 | 422), "{path:?} = {odd}: {code} {}", answer.text);
        }
    }
}

fn leaves(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut inner = |key: String, value: &Value| {
        path.push(key);
        leaves(value, path, found);
        path.pop();
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| inner(key.clone(), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, value)| inner(n.to_string(), value)),
        _ => found.push(path.clone()),
    }
}

fn pointer(path: &[String]) -> String {
    path.iter().fold(String::new(), |pointer, key| pointer + "/" + &key.replace('~', "~0").replace('/', "~1"))
}
