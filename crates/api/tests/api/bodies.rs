//! How bodies are written: types, sizes, depth, and what is no document at all.

use std::fmt::Write as _;

use axum::body::{Body, Bytes};
use futures::stream;
use http::{Method, Request};
use serde_json::json;

use super::support::{Api, ENVIRONMENTS, PROD, prod, small};

const YAML: &str = r#"
apiVersion: eventchain.io/v1
kind: Environment
metadata: { name: yaml }
spec:
  aws: { accountId: "123456789012", region: us-east-1 }
  policy:
    windows: [{ cron: "0 4 * * SUN", duration: 1h }]
"#;

async fn post_as(api: &Api, media: &str, body: &str) -> super::support::Answer {
    api.send(Method::POST, ENVIRONMENTS, &[("content-type", media)], body.to_owned()).await
}

#[tokio::test]
async fn yaml_is_as_good_as_json() {
    let api = Api::new().await;
    let created = post_as(&api, "application/yaml", YAML).await.expect(201);
    assert_eq!(created["spec"]["policy"]["windows"][0]["cron"], "0 4 * * SUN");
    let replaced = YAML.replace("1h", "2h");
    let headers = [("content-type", "text/yaml; charset=utf-8")];
    let replaced = api.send(Method::PUT, &format!("{ENVIRONMENTS}/yaml"), &headers, replaced).await.expect(200);
    assert_eq!(replaced["metadata"]["generation"], 2);
    let unquoted = YAML.replace('"', "").replace("yaml }", "other }");
    let fields = post_as(&api, "application/yaml", &unquoted).await.fields();
    assert!(fields.contains(&"spec.aws.accountId".to_owned()), "an unquoted account id is a number: {fields:?}");
}

#[tokio::test]
async fn a_form_is_json_or_told_which_header_to_send() {
    let api = Api::new().await;
    let form = "application/x-www-form-urlencoded";
    post_as(&api, form, &small("form").to_string()).await.expect(201);
    let refused = post_as(&api, form, YAML).await;
    assert_eq!(refused.refusal(415).0, "UnsupportedMediaType");
    assert!(refused.text.contains("application/yaml"), "the right header is named: {}", refused.text);
    assert_eq!(post_as(&api, "text/csv", "a,b").await.refusal(415).0, "UnsupportedMediaType");
    api.send(Method::POST, ENVIRONMENTS, &[], small("no-header").to_string()).await.expect(201);
}

#[tokio::test]
async fn patches_that_are_not_served_say_so() {
    let api = Api::new().await;
    api.create_prod().await;
    for media in ["application/strategic-merge-patch+json", "text/plain"] {
        let answer = api.send(Method::PATCH, PROD, &[("content-type", media)], "[]").await;
        assert_eq!(answer.refusal(415).0, "UnsupportedMediaType");
        assert!(answer.text.contains("application/merge-patch+json"), "{}", answer.text);
    }
    let patch = json!({"spec": {"database": {"storageGib": 200}}}).to_string();
    api.send(Method::PATCH, PROD, &[("content-type", "application/json")], patch).await.expect(200);
    let yaml = [("content-type", "application/yaml")];
    let patched = api.send(Method::PATCH, PROD, &yaml, "spec: {database: {storageGib: 300}}").await.expect(200);
    assert_eq!(patched["spec"]["database"]["storageGib"], 300);
}

#[tokio::test]
async fn what_is_no_document_is_400_and_is_not_repeated() {
    let api = Api::new().await;
    for (media, body) in [
        ("application/json", "{\"spec\": hunter2}".to_owned()),
        ("application/json", "{} trailing hunter2".to_owned()),
        ("application/json", "{\"a\":1,\"a\":2}".to_owned()),
        ("application/json", "[".repeat(50_000)),
        ("application/json", format!("{}1{}", "[".repeat(200), "]".repeat(200))),
        ("application/yaml", "a: [hunter2".to_owned()),
        ("application/yaml", "a: 1\n---\nb: 2\n".to_owned()),
        ("application/yaml", "[".repeat(50_000)),
        ("application/yaml", "a: &a [*a, *a]".to_owned()),
        ("application/yaml", "{".repeat(50_000)),
    ] {
        let answer = post_as(&api, media, &body).await;
        assert_eq!(answer.refusal(400).0, "BadRequest");
        assert!(!answer.text.contains("hunter2"), "{}", answer.text);
        assert!(answer.text.len() < 1_000, "{}", answer.text);
    }
}

#[tokio::test]
async fn an_alias_bomb_is_refused_and_not_expanded() {
    let api = Api::new().await;
    let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for n in 1..12 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        writeln!(bomb, "a{n}: &a{n} [{aliases}]").unwrap();
    }
    assert_eq!(post_as(&api, "application/yaml", &bomb).await.refusal(400).0, "BadRequest");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_announced_or_not() {
    let api = Api::with(|state| state.config.max_body_bytes = 20_000).await;
    let long = " ".repeat(20_001);
    let answer = post_as(&api, "application/json", &long).await;
    assert_eq!(answer.refusal(413).0, "RequestEntityTooLarge");
    let chunks = stream::iter((0..30).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1_000]))));
    let request = Request::post(ENVIRONMENTS).header("content-type", "application/json");
    let answer = api.raw(request.body(Body::from_stream(chunks)).unwrap()).await;
    assert_eq!(answer.refusal(413).0, "RequestEntityTooLarge");
    api.post(ENVIRONMENTS, &prod()).await.expect(201);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let api = Api::with(|state| state.config.body_timeout = std::time::Duration::from_millis(10)).await;
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = api.raw(Request::post(ENVIRONMENTS).body(never).unwrap()).await;
    assert_eq!(answer.refusal(408).0, "Timeout");
    let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))]);
    let answer = api.raw(Request::post(ENVIRONMENTS).body(Body::from_stream(broken)).unwrap()).await;
    assert_eq!(answer.refusal(400).0, "BadRequest");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_statuses() {
    let api = Api::new().await;
    for path in ["/nowhere", "/apis/eventchain.io/v1/pods", "/apis/eventchain.io/v2/environments", "/apis/other/v1"] {
        assert_eq!(api.get(path).await.refusal(404).0, "NotFound");
    }
    for (method, path) in [
        (Method::PUT, ENVIRONMENTS),
        (Method::POST, PROD),
        (Method::GET, "/apis/eventchain.io/v1/environments/prod/pause"),
        (Method::POST, "/apis/eventchain.io/v1/revisions"),
        (Method::DELETE, "/apis/eventchain.io/v1/managedresources/x"),
        (Method::POST, "/livez"),
    ] {
        let answer = api.send(method, path, &[], Body::empty()).await;
        assert_eq!(answer.refusal(405).0, "MethodNotAllowed");
        assert!(!answer.header("allow").is_empty(), "{path} says what it does serve");
    }
}
