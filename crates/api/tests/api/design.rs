//! The curl lines of `design/api.md`, as printed.

use http::Method;
use serde_json::{Value, json};
use store::RequestKind;

use super::support::{Api, CHANGES, ENVIRONMENTS, PROD, free_plan, gated_plan, prod};

/// What `curl -d` sends when no header is given.
const CURL_D: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

#[tokio::test]
async fn the_curl_lines_of_the_design_work_as_printed() {
    let api = Api::new().await;
    let owner = api.own().await;

    // curl -X POST $URL/apis/eventchain.io/v1/environments -H 'Content-Type: application/yaml' --data-binary @prod.yaml
    // (JSON is YAML.)
    let yaml = [("content-type", "application/yaml")];
    api.send(Method::POST, ENVIRONMENTS, &yaml, prod().to_string()).await.expect(201);

    let change = r#"
  {"spec":{"environment":"prod","message":"scale up for the sale",
           "patch":{"spec":{"services":{"event-service":{"desiredCount":4}}}}}}"#;
    let json_header = [("content-type", "application/json")];
    let (answer, _) = tokio::join!(
        api.send(Method::POST, CHANGES, &json_header, change),
        owner.answer(RequestKind::Plan, free_plan(2)),
    );
    let change = answer.expect(201);
    assert_eq!((&change["status"]["phase"], change["status"]["plan"].is_object()), (&json!("Applying"), true));

    let version = api.version().await;
    let body = r#"{"patch":{"spec":{"database":{"multiAz":false}}}}"#;
    let plan_path = format!("{PROD}/plan");
    let (answer, asked) = tokio::join!(
        api.send(Method::POST, &plan_path, &CURL_D, body),
        owner.answer(RequestKind::Plan, gated_plan(3)),
    );
    answer.expect(200);
    assert_eq!(asked["spec"]["database"]["multiAz"], false);
    assert_eq!(api.version().await, version, "changes nothing");

    let reconcile_path = format!("{PROD}/reconcile?wait=30s");
    let (answer, _) = tokio::join!(
        api.post_nothing(&reconcile_path),
        owner.answer(RequestKind::Reconcile, json!({"handled": true, "status": {}})),
    );
    assert_eq!(answer.expect(200)["handled"], true);

    let environment: Value = api.get(PROD).await.expect(200);
    assert_eq!(environment["spec"]["services"]["event-service"]["desiredCount"], 4);
}
