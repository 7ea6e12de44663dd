//! `kubectl auth can-i` and `whoami`: in JSON, and in the protobuf of newer kubectl.

use http::Method;
use serde_json::{Value, json};

use super::access::Guarded;
use super::support::{Api, ENVIRONMENTS, small};

const ACCESS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const RULES: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
const MYSELF: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

async fn may(guarded: &Guarded, user: &str, attributes: Value) -> Value {
    let question = json!({ "spec": { "resourceAttributes": attributes } });
    guarded.send(user, Method::POST, ACCESS, question).await.expect(201)["status"].clone()
}

#[tokio::test]
async fn can_i_answers_what_would_be_decided() {
    let guarded = Guarded::new().await;
    let attributes =
        |verb: &str, resource: &str| json!({ "verb": verb, "group": "eventchain.io", "resource": resource });
    assert_eq!(may(&guarded, "eddy", attributes("create", "environments")).await["allowed"], true);
    let refused = may(&guarded, "vera", attributes("create", "environments")).await;
    assert_eq!((&refused["allowed"], &refused["reason"]), (&json!(false), &json!("it takes the role editor or admin")));
    let mut approve = attributes("create", "environments");
    approve["subresource"] = json!("approve");
    assert_eq!(may(&guarded, "apu", approve.clone()).await["allowed"], true);
    assert_eq!(may(&guarded, "eddy", approve).await["allowed"], false);
    assert_eq!(may(&guarded, "ada", json!({ "verb": "*", "group": "*", "resource": "*" })).await["allowed"], true);
    assert_eq!(may(&guarded, "eddy", json!({ "verb": "*", "group": "*", "resource": "*" })).await["allowed"], false);
    let path = |path: &str| json!({ "spec": { "nonResourceAttributes": { "verb": "get", "path": path } } });
    for (asked, allowed) in [("/version", true), ("/openapi/v3", true), ("/secret", false)] {
        let answer = guarded.send("nobody", Method::POST, ACCESS, path(asked)).await.expect(201);
        assert_eq!(answer["status"]["allowed"], allowed, "{asked}");
    }
    guarded.send("vera", Method::POST, ACCESS, json!({ "spec": {} })).await.refusal(422);
    guarded.send("vera", Method::POST, ACCESS, json!({ "kind": "Environment", "spec": {} })).await.refusal(422);
    guarded.send("vera", Method::POST, RULES, json!({ "spec": [] })).await.refusal(422);
    guarded.api.post(ACCESS, &path("/version")).await.refusal(401);
}

#[tokio::test]
async fn can_i_of_one_object_looks_at_its_labels() {
    let guarded =
        Guarded::with(&[("root", &[(api::Role::Admin, "")]), ("ann", &[(api::Role::Editor, "team=a")])], None).await;
    for (name, team) in [("mine", "a"), ("theirs", "b")] {
        let mut document = small(name);
        document["metadata"]["labels"] = json!({ "team": team });
        guarded.send("root", Method::POST, ENVIRONMENTS, document).await.expect(201);
    }
    let patch =
        |name: &str| json!({ "verb": "patch", "group": "eventchain.io", "resource": "environments", "name": name });
    assert_eq!(may(&guarded, "ann", patch("mine")).await["allowed"], true);
    assert_eq!(may(&guarded, "ann", patch("theirs")).await["allowed"], false);
    assert_eq!(may(&guarded, "ann", patch("")).await["allowed"], true);
    let listed =
        guarded.send("ann", Method::POST, RULES, json!({ "spec": { "namespace": "default" } })).await.expect(201);
    assert_eq!(listed["status"]["incomplete"], true);
    let all = guarded.send("root", Method::POST, RULES, json!({ "spec": {} })).await.expect(201);
    assert_eq!(all["status"]["incomplete"], false);
    assert!(listed["status"]["evaluationError"].as_str().unwrap().contains("editor where team=a"));
}

/// Length-delimited field of a protobuf message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

#[tokio::test]
async fn newer_kubectl_asks_in_protobuf() {
    let guarded = Guarded::new().await;
    let attributes = [field(2, b"create"), field(3, b"eventchain.io"), field(5, b"environments")].concat();
    let review = field(2, &field(1, &attributes));
    let envelope = [b"k8s\0".to_vec(), field(2, &review)].concat();
    let ask = |user: &'static str, path: &'static str, body: Vec<u8>| {
        let guarded = &guarded;
        async move {
            let token = guarded.token(user);
            let headers = [
                ("authorization", token.as_str()),
                ("content-type", "application/vnd.kubernetes.protobuf"),
                ("accept", "application/vnd.kubernetes.protobuf,application/json"),
            ];
            guarded.api.send(Method::POST, path, &headers, body).await
        }
    };
    assert_eq!(ask("eddy", ACCESS, envelope.clone()).await.expect(201)["status"]["allowed"], true);
    let refused = ask("vera", ACCESS, envelope).await.expect(201);
    assert_eq!(refused["status"]["allowed"], false);
    assert_eq!(refused["spec"]["resourceAttributes"]["resource"], "environments");
    let rules = [b"k8s\0".to_vec(), field(2, &field(2, &field(1, b"default")))].concat();
    let rules = ask("vera", RULES, rules).await.expect(201);
    let listed = rules["status"]["resourceRules"].to_string();
    assert!(listed.contains("managedresources") && !listed.contains("reconcile"), "{listed}");
    let whoami = ask("vera", MYSELF, [b"k8s\0".to_vec(), field(2, b"")].concat()).await.expect(201);
    assert_eq!(whoami["status"]["userInfo"], json!({ "username": "vera", "groups": ["system:authenticated"] }));
    ask("vera", ACCESS, b"k8s\0\xff\xff".to_vec()).await.refusal(400);
}

#[tokio::test]
async fn where_nobody_is_checked_everybody_may_do_everything() {
    let api = Api::new().await;
    let question = json!({ "spec": { "resourceAttributes": { "verb": "delete", "group": "eventchain.io", "resource": "environments" } } });
    assert_eq!(api.post(ACCESS, &question).await.expect(201)["status"]["allowed"], true);
    let rules = api.post(RULES, &json!({ "spec": {} })).await.expect(201);
    assert!(rules["status"]["resourceRules"].to_string().contains("\"*\""));
    let whoami = api.post(MYSELF, &json!({})).await.expect(201);
    assert_eq!(whoami["status"]["userInfo"]["username"], "anonymous");
}
