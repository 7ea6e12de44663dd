//! The router over a database of one's own, a clock that stands still, and an owner that answers as told.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use api::{ApiConfig, ApiState};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{Acquired, Fence, RequestKind, StatusWrite, Store};
use testkit::fixtures::{self, ACCOUNT};
use testkit::postgres::{TestDb, test_database};
use tower::ServiceExt as _;

pub(crate) const LOAD_BALANCER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/eventchain-alb/50dc6c495c0c9188";
pub(crate) const ENVIRONMENTS: &str = "/apis/eventchain.io/v1/environments";
pub(crate) const PROD: &str = "/apis/eventchain.io/v1/environments/prod";
pub(crate) const CHANGES: &str = "/apis/eventchain.io/v1/changes";

/// One request that was answered, as the metrics hook saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) code: u16,
}

pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) router: Router,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    clock: Arc<AtomicI64>,
    db: TestDb,
}

pub(crate) struct Answer {
    pub(crate) code: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.code, self.text))
    }

    /// The body, of an answer with this code.
    #[track_caller]
    pub(crate) fn expect(&self, code: u16) -> Value {
        assert_eq!(self.code.as_u16(), code, "{}", self.text);
        self.json()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `Status` of a failure: its reason, and its causes as (field, reason), sorted.
    #[track_caller]
    pub(crate) fn refusal(&self, code: u16) -> (String, Vec<(String, String)>) {
        let status = self.expect(code);
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["apiVersion"], "v1");
        assert_eq!(status["status"], "Failure");
        assert_eq!(status["code"], code);
        assert!(status["message"].as_str().is_some_and(|message| !message.is_empty()));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let causes = status["details"]["causes"].as_array().cloned().unwrap_or_default();
        let causes = causes.iter().map(|cause| (text(&cause["field"]), text(&cause["reason"]))).collect();
        (text(&status["reason"]), causes)
    }

    /// The fields that a 422 names.
    #[track_caller]
    pub(crate) fn fields(&self) -> Vec<String> {
        let (reason, causes) = self.refusal(422);
        assert_eq!(reason, "Invalid");
        causes.into_iter().map(|(field, _)| field).collect()
    }
}

impl Api {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a state changed by the test.
    pub(crate) async fn with(change: impl FnOnce(&mut ApiState)) -> Self {
        let db = test_database().await;
        let store = db.store();
        let clock = Arc::new(AtomicI64::new(1_795_000_000));
        let now = {
            let clock = Arc::clone(&clock);
            Arc::new(move || Timestamp::from_second(clock.load(Ordering::Relaxed)).unwrap())
        };
        let registry = Arc::new(kinds::registry());
        let mut state = ApiState::new(store.clone(), registry, fixtures::INSTALLATION, now);
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let sink = Arc::clone(&seen);
        state.on_request = Arc::new(move |request| {
            sink.lock().unwrap().push(Seen {
                method: request.method.to_string(),
                route: request.route.to_owned(),
                code: request.code.as_u16(),
            });
        });
        state.config = ApiConfig { plan_patience: Duration::from_secs(5), ..ApiConfig::default() };
        change(&mut state);
        Self { store, router: api::router(state), seen, clock, db }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock.load(Ordering::Relaxed)).unwrap()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) async fn raw(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router is infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("the body is whole").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("answers are text");
        Answer { code: parts.status, headers: parts.headers, text }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.raw(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }

    /// POST as somebody.
    pub(crate) async fn post_as(&self, who: &str, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("x-remote-user", who)];
        self.send(Method::POST, path, &headers, body.to_string()).await
    }

    pub(crate) async fn post_nothing(&self, path: &str) -> Answer {
        self.send(Method::POST, path, &[], Body::empty()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, &[("content-type", "application/merge-patch+json")], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Body::empty()).await
    }

    /// The example environment, created.
    pub(crate) async fn create_prod(&self) -> Value {
        self.post(ENVIRONMENTS, &prod()).await.expect(201)
    }

    /// A replica that holds the account's lease, and a listener, so that answers are heard of at once.
    pub(crate) async fn own(&self) -> Owner {
        let store = self.store.clone();
        let listener = tokio::spawn(async move { store.run_listener(std::future::pending()).await });
        let acquired = self.store.acquire_lease(ACCOUNT, "stub", Duration::from_secs(600)).await.unwrap();
        let Acquired::Held(lease) = acquired else { panic!("somebody else holds the lease: {acquired:?}") };
        Owner { store: self.store.clone(), fence: lease.fence(), listener }
    }

    /// A store of another replica on the same database.
    pub(crate) async fn another_replica(&self) -> Store {
        self.db.store()
    }

    /// The API of another replica on the same database, with watches of its own.
    pub(crate) async fn another_server(&self) -> Server {
        self.server_on(self.another_replica().await)
    }

    /// The database itself.
    pub(crate) fn pool(&self) -> &sqlx::PgPool {
        &self.db.pool
    }

    /// The API of another replica, which reads and writes through this store.
    pub(crate) fn server_on(&self, store: Store) -> Server {
        let clock = Arc::clone(&self.clock);
        let now = Arc::new(move || Timestamp::from_second(clock.load(Ordering::Relaxed)).unwrap());
        let state = ApiState::new(store.clone(), Arc::new(kinds::registry()), fixtures::INSTALLATION, now);
        Server { store, router: api::router(state) }
    }

    pub(crate) async fn version(&self) -> i64 {
        self.store.resource_version().await.unwrap()
    }
}

/// One of several servers.
pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) router: Router,
}

/// Stands in for the daemon's runtime.
pub(crate) struct Owner {
    store: Store,
    pub(crate) fence: Fence,
    listener: tokio::task::JoinHandle<()>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Owner {
    /// Waits for the next request, checks its kind, answers it, and hands its body back.
    pub(crate) async fn answer(&self, kind: RequestKind, answer: Value) -> Value {
        loop {
            let pending = self.store.pending_requests(&[ACCOUNT.to_owned()]).await.unwrap();
            if let Some(request) = pending.into_iter().next() {
                assert_eq!(request.kind, kind);
                self.store.answer_request(request.id, &answer).await.unwrap();
                return request.body;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Writes a status as the daemon would.
    pub(crate) async fn write_status(&self, name: &str, status: Value) {
        let row = self.store.get_environment(name).await.unwrap();
        let write = StatusWrite { uid: row.uid, generation: row.generation, status: &status };
        self.store.write_status(write, &self.fence).await.unwrap();
    }
}

/// The example document.
pub(crate) fn prod() -> Value {
    fixtures::document(LOAD_BALANCER)
}

/// The example document under another name, claiming other objects.
pub(crate) fn named(name: &str) -> Value {
    fixtures::named(name, &LOAD_BALANCER.replace("eventchain-alb", name))
}

/// The least that an environment needs.
pub(crate) fn small(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "aws": { "accountId": ACCOUNT, "region": "us-east-1" } },
    })
}

/// A plan as the owner answers it, with one step that waits for approval.
pub(crate) fn gated_plan(generation: i64) -> Value {
    json!({
        "generation": generation,
        "summary": { "resources": 1, "steps": 1 },
        "hash": "0123456789abcdef0123456789abcdef",
        "gated": {
            "hash": "0123456789abcdef0123456789abcdef",
            "steps": ["print-1"],
            "gated": [{ "resource": "RdsInstance/eventchain-prod-db", "operation": "ModifyDBInstance" }],
        },
        "resources": [],
        "removed": [],
    })
}

/// A plan as the owner answers it, in which nothing waits for approval.
pub(crate) fn free_plan(generation: i64) -> Value {
    json!({
        "generation": generation,
        "summary": { "resources": 1, "steps": 1 },
        "hash": null,
        "gated": null,
        "resources": [{ "kind": "EcsService", "identity": "x", "risk": "Safe", "steps": [{ "operation": "UpdateService" }] }],
        "removed": [],
    })
}
