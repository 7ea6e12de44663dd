//! A receiver that answers as told, and notifications that are quick to try again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use notify::{
    Class, Config, Deps, Failed, Failure, Handle, Publisher, Receiver, Secret, SnsMessage, Target, Timing, Wants,
    Webhook,
};
use runtime::SystemClock;
use serde_json::{Value, json};
use store::{EventFilter, NewEvent, Store};
use telemetry::Metrics;

use crate::postgres::{TestDb, test_database};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How a receiver answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// Never.
    Hang,
    /// With 200, and then never with the rest of the body.
    Dawdle,
}

/// What an answer says.
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// Nothing yet, for ever.
    Dawdling,
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match *self {
            Self::Empty => Poll::Ready(None),
            Self::Dawdling => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

/// One request that came.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn reason(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap();
        body["data"]["reason"].as_str().unwrap().to_owned()
    }
}

/// A receiver on loopback: answers by its script, and then with 204.
#[derive(Clone)]
pub(crate) struct Hook {
    pub(crate) url: String,
    pub(crate) script: Arc<Mutex<VecDeque<Answer>>>,
    pub(crate) came: Arc<Mutex<Vec<Came>>>,
}

impl Hook {
    pub(crate) async fn new(script: &[Answer]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            script: Arc::new(Mutex::new(script.iter().copied().collect())),
            came: Arc::default(),
        };
        let this = hook.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let this = this.clone();
                let service = hyper::service::service_fn(move |request| this.clone().answer(request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        hook
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        self.came.lock().unwrap().push(Came { path: head.uri.path().to_owned(), headers: head.headers, text });
        let next = self.script.lock().unwrap().pop_front();
        let status = match next {
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Dawdle) => return Ok(Response::new(Body::Dawdling)),
            Some(Answer::Status(status)) => status,
            None => 204,
        };
        let mut response = Response::builder().status(status);
        if (300..400).contains(&status) {
            response = response.header("location", "/elsewhere");
        }
        Ok(response.body(Body::Empty).unwrap())
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    /// Waits for so many requests.
    pub(crate) async fn wait_for(&self, many: usize) -> Vec<Came> {
        eventually(&format!("{many} requests, came {}", self.came().len()), || async {
            let came = self.came();
            (came.len() >= many).then_some(came)
        })
        .await
    }
}

pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.unwrap_or_else(|_| panic!("waited in vain for: {what}"))
}

/// Topics that keep what is published, and fail as told.
#[derive(Default)]
pub(crate) struct Topics {
    pub(crate) published: Mutex<Vec<SnsMessage>>,
    pub(crate) failures: Mutex<VecDeque<Failure>>,
}

#[async_trait]
impl Publisher for Topics {
    async fn publish(&self, message: &SnsMessage) -> Result<(), Failed> {
        if let Some(failure) = self.failures.lock().unwrap().pop_front() {
            return Err(Failed::new(failure, "as told"));
        }
        self.published.lock().unwrap().push(message.clone());
        Ok(())
    }
}

pub(crate) struct Rig {
    pub(crate) db: TestDb,
    pub(crate) store: Store,
    pub(crate) topics: Arc<Topics>,
    pub(crate) metrics: Metrics,
}

pub(crate) fn timing() -> Timing {
    Timing {
        attempt: Duration::from_millis(500),
        first_retry: Duration::from_millis(20),
        longest_retry: Duration::from_millis(100),
        give_up_after: Duration::from_secs(600),
        forget_after: Duration::ZERO,
        poll: Duration::from_millis(50),
        lease_ttl: Duration::from_secs(8),
    }
}

pub(crate) fn wants(classes: &[Class]) -> Wants {
    Wants { classes: classes.iter().copied().collect::<BTreeSet<_>>(), ..Wants::default() }
}

pub(crate) fn receiver(name: &str, hook: &Hook) -> Receiver {
    let secrets = vec![Secret::parse(SECRET).unwrap()];
    let target = Target::Webhook(Webhook { url: hook.url.clone(), secrets, headers: BTreeMap::new() });
    let wants = wants(&[Class::Drift, Class::Backup, Class::Changes]);
    Receiver { name: name.to_owned(), wants, repeat_after: Duration::from_secs(600), target }
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let db = test_database().await;
        let store = Store::from_pool(db.pool.clone());
        let (metrics, _) = Metrics::new();
        Self { db, store, topics: Arc::default(), metrics }
    }

    pub(crate) fn start(&self, receivers: Vec<Receiver>) -> Handle {
        self.start_as("one", receivers, timing())
    }

    pub(crate) fn start_as(&self, holder: &str, receivers: Vec<Receiver>, timing: Timing) -> Handle {
        let config = Config { installation: "eventchain".to_owned(), holder: holder.to_owned(), receivers, timing };
        notify::start(Deps {
            config,
            store: self.store.clone(),
            clock: Arc::new(SystemClock),
            metrics: self.metrics.clone(),
            publisher: self.topics.clone(),
        })
        .unwrap()
    }

    /// Starts, and waits until events are followed: what happens from then on is told.
    pub(crate) async fn follow(&self, receivers: Vec<Receiver>) -> Handle {
        let handle = self.start(receivers);
        self.followed().await;
        handle
    }

    pub(crate) async fn followed(&self) {
        eventually("events are followed", || async {
            let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM notification_receivers")
                .fetch_one(&self.db.pool)
                .await
                .unwrap();
            (rows > 0).then_some(())
        })
        .await;
    }

    pub(crate) async fn happens(&self, reason: &str, message: &str) {
        let event = NewEvent {
            environment: "prod".to_owned(),
            environment_uid: None,
            regarding_kind: "RdsInstance".to_owned(),
            regarding_identity: "eventchain-prod-db".to_owned(),
            event_type: "Warning".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            details: json!({ "risk": "Safe" }),
            now: Timestamp::UNIX_EPOCH,
        };
        self.store.write_events(&[event]).await.unwrap();
    }

    /// Events for a reason.
    pub(crate) async fn events(&self, reason: &str) -> usize {
        let filter = EventFilter { reason: Some(reason.to_owned()), ..EventFilter::default() };
        self.store.recent_events(&filter, 100).await.unwrap().len()
    }

    /// Outcomes of deliveries by receiver, in order.
    pub(crate) async fn outcomes(&self, receiver: &str) -> Vec<Option<String>> {
        sqlx::query_scalar("SELECT outcome FROM notification_deliveries WHERE receiver = $1 ORDER BY id")
            .bind(receiver)
            .fetch_all(&self.db.pool)
            .await
            .unwrap()
    }

    /// Messages that are not settled: occurrences merged into each, and its text.
    pub(crate) async fn waiting(&self, receiver: &str) -> Vec<(i64, Value)> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT merged, body FROM notification_deliveries WHERE receiver = $1 AND settled_at IS NULL ORDER BY id",
        )
        .bind(receiver)
        .fetch_all(&self.db.pool)
        .await
        .unwrap();
        rows.into_iter().map(|(merged, body)| (merged, serde_json::from_str(&body).unwrap())).collect()
    }

    /// As if the time between two messages about the same event had passed.
    pub(crate) async fn time_passes(&self) {
        sqlx::query(
            "UPDATE notification_deliveries SET due_at = clock_timestamp(), next_attempt_at = clock_timestamp()",
        )
        .execute(&self.db.pool)
        .await
        .unwrap();
    }

    pub(crate) fn metric(&self, line: &str) -> bool {
        self.metrics.render(Timestamp::UNIX_EPOCH).lines().any(|found| found == line)
    }
}
