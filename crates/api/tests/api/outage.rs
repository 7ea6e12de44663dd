//! When the database is away, when a handler panics, and when too much is asked at once, or by a web page.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::support::{Api, CHANGES, ENVIRONMENTS, PROD, prod, small};

#[tokio::test]
async fn without_the_database_everything_is_503_with_retry_after() {
    let api = Api::new().await;
    api.store.close().await;
    let answers = [
        api.get(ENVIRONMENTS).await,
        api.get(PROD).await,
        api.post(ENVIRONMENTS, &prod()).await,
        api.patch(PROD, &json!({})).await,
        api.delete(PROD).await,
        api.get(CHANGES).await,
        api.get("/api/v1/events").await,
        api.get("/").await,
    ];
    for answer in answers {
        assert_eq!(answer.refusal(503).0, "ServiceUnavailable");
        assert!(answer.header("retry-after").parse::<u32>().is_ok());
    }
    let ready = api.get("/readyz?verbose").await;
    assert_eq!(ready.code.as_u16(), 503);
    assert!(ready.text.contains("database cannot be reached"));
    assert_eq!(api.get("/livez").await.code.as_u16(), 200, "liveness does not ask Postgres");
    assert_eq!(api.get("/metrics").await.code.as_u16(), 200);
}

#[tokio::test]
async fn a_panic_is_500_and_tells_nothing() {
    let api = Api::with(|state| state.clock = std::sync::Arc::new(|| panic!("a secret detail"))).await;
    let answer = api.post(ENVIRONMENTS, &small("tiny")).await;
    assert_eq!(answer.refusal(500).0, "InternalError");
    assert!(!answer.text.contains("secret detail"), "{}", answer.text);
    assert_eq!(api.seen.lock().unwrap()[0].code, 500, "it is counted like any other answer");
}

#[tokio::test]
async fn too_many_requests_at_once_are_refused_and_probes_are_not() {
    let api = Api::with(|state| {
        state.config.max_requests = 1;
        state.config.body_timeout = Duration::from_secs(60);
    })
    .await;
    let never = futures::stream::pending::<Result<axum::body::Bytes, std::io::Error>>();
    let slow = api.send(Method::POST, ENVIRONMENTS, &[], axum::body::Body::from_stream(never));
    let mut slow = std::pin::pin!(slow);
    assert!(futures::poll!(&mut slow).is_pending(), "it holds the only place");
    let refused = api.get(ENVIRONMENTS).await;
    assert_eq!(refused.refusal(429).0, "TooManyRequests");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(api.get("/livez").await.code.as_u16(), 200);
    assert_eq!(api.get("/readyz").await.code.as_u16(), 200);
}

#[tokio::test]
async fn a_web_page_may_look_and_not_write() {
    let api = Api::new().await;
    api.create_prod().await;
    let page = [("origin", "https://example.com"), ("content-type", "application/x-www-form-urlencoded")];
    for path in [ENVIRONMENTS.to_owned(), CHANGES.to_owned(), format!("{PROD}/pause")] {
        let answer = api.send(Method::POST, &path, &page, r#"{"reason":"x"}"#).await;
        assert_eq!(answer.refusal(403).0, "Forbidden");
    }
    assert_eq!(api.send(Method::DELETE, PROD, &page, "").await.refusal(403).0, "Forbidden");
    api.send(Method::GET, PROD, &page, "").await.expect(200);
}
