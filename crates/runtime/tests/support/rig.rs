//! An installation: a database, a cloud, a clock that can be set, and runtimes that are started and killed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::env::{EnvironmentSpec, Metadata};
use model::{AwsAccountId, Environment, TAG_ENVIRONMENT, TAG_MANAGED_BY, Tags};
use runtime::{Clock, Config, Deps, Handle, Runtime, SystemClock};
use serde_json::{Value, json};
use store::{
    ChangeLink, ChangeRow, ChangeUpdate, Claim, EnvironmentRow, EnvironmentUpdate, EventFilter, EventRow,
    ManagedResourceRow, NewApproval, NewChange, NewEnvironment, NewRequest, Precondition, RequestKind, SpecWrite,
    StatusPatch, Store,
};
use telemetry::Metrics;
use testkit::postgres::TestDb;
use uuid::Uuid;

use super::FakeCloud;
use super::cloud::Live;
use super::kinds::registry;

pub(crate) const ACCOUNT: &str = "123456789012";
const INSTALLATION: &str = "test";

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The system's clock, and an offset.
#[derive(Default)]
pub(crate) struct TestClock {
    offset_s: AtomicI64,
}

impl TestClock {
    pub(crate) fn advance(&self, by: SignedDuration) {
        self.offset_s.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.offset_s.load(Ordering::SeqCst))
    }
}

/// Waits on a level: until the question has an answer.
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
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited in vain for: {what}"))
}

/// An installation.
pub(crate) struct Rig {
    pub(crate) db: TestDb,
    pub(crate) store: Store,
    pub(crate) cloud: FakeCloud,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) metrics: Metrics,
    holders: Mutex<u32>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let db = testkit::postgres::test_database().await;
        let store = db.store();
        let (metrics, _) = Metrics::new();
        Self { db, store, cloud: FakeCloud::default(), clock: Arc::default(), metrics, holders: Mutex::new(0) }
    }

    /// Quick periods; each runtime is another replica.
    pub(crate) fn config(&self) -> Config {
        let mut holders = self.holders.lock().unwrap();
        *holders += 1;
        let holder = format!("replica-{holders}");
        let mut config = Config::new(INSTALLATION, holder, vec![AwsAccountId::parse(ACCOUNT).unwrap()]);
        config.hot_period = Duration::from_millis(100);
        config.slow_period = Duration::from_millis(200);
        config.lease_ttl = Duration::from_secs(4);
        config.lease_renew = Duration::from_millis(200);
        config.poll = Duration::from_millis(500);
        config.call_timeout = Duration::from_secs(2);
        config.effect_poll = Duration::from_millis(50);
        config
    }

    pub(crate) fn start(&self) -> Handle {
        self.start_with(self.config())
    }

    pub(crate) fn start_with(&self, config: Config) -> Handle {
        // A pool of its own: a runtime that is killed leaves none of its connections to others.
        let options = (*self.db.pool.connect_options()).clone();
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(8).connect_lazy_with(options);
        Runtime::start(Deps {
            config,
            store: Store::from_pool(pool),
            registry: Arc::new(registry()),
            cloud: Arc::new(self.cloud.clone()),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            metrics: self.metrics.clone(),
        })
    }

    /// A runtime on threads of its own, to be killed in the middle of anything.
    pub(crate) fn start_mortal(&self) -> Mortal {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let handle = threads.block_on_elsewhere(|| self.start());
        Mortal { threads: Some(threads), _handle: handle }
    }

    pub(crate) async fn declare(&self, name: &str, spec: Value) {
        let now = self.clock.now();
        self.store
            .create_environment(&NewEnvironment {
                uid: Uuid::new_v4(),
                name: name.to_owned(),
                account: ACCOUNT.to_owned(),
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                finalizers: vec!["eventchain.io/converge".to_owned()],
                managed_fields: Value::Null,
                spec: spec.clone(),
                status: json!({}),
                claims: claims(name, &spec),
                author: "test".to_owned(),
                message: String::new(),
                diff: json!([]),
                change: None,
                now,
            })
            .await
            .unwrap();
    }

    pub(crate) async fn redeclare(&self, name: &str, spec: Value) {
        let reset = |old: &Value| {
            let mut new = old.clone();
            new["conditions"] = json!([]);
            new
        };
        let update = EnvironmentUpdate {
            spec: Some(SpecWrite {
                claims: claims(name, &spec),
                spec,
                diff: json!([]),
                author: "test".to_owned(),
                message: String::new(),
                status: StatusPatch::Apply(&reset),
            }),
            ..EnvironmentUpdate::new(name, self.clock.now())
        };
        self.store.update_environment(&update).await.unwrap();
    }

    /// Sets the annotation that asks for a look now.
    pub(crate) async fn annotate(&self, name: &str, value: &str) {
        let annotations = BTreeMap::from([("eventchain.io/reconcile-requested-at".to_owned(), value.to_owned())]);
        let update =
            EnvironmentUpdate { annotations: Some(annotations), ..EnvironmentUpdate::new(name, self.clock.now()) };
        self.store.update_environment(&update).await.unwrap();
    }

    /// Writes a spec with its change, as the API does for a direct write.
    pub(crate) async fn change(&self, name: &str, spec: Value, author: &str) -> ChangeRow {
        let row = self.row(name).await;
        let (generation, now) = (row.generation + 1, self.clock.now());
        let status = move |old: &Value| engine::conditions::spec_written(old, generation, now);
        let change = NewChange {
            name: format!("{name}-change-{generation}"),
            environment: name.to_owned(),
            environment_uid: Some(row.uid),
            phase: "Applying".to_owned(),
            origin: Some("Direct".to_owned()),
            apply: Some("Immediately".to_owned()),
            author: author.to_owned(),
            patch: json!({}),
            base_revision: Some(row.revision),
            applied_at: Some(now),
            ..NewChange::default()
        };
        let update = EnvironmentUpdate {
            spec: Some(SpecWrite {
                claims: claims(name, &spec),
                spec,
                diff: json!([]),
                author: author.to_owned(),
                message: String::new(),
                status: StatusPatch::Apply(&status),
            }),
            change: Some(ChangeLink::Create(change)),
            ..EnvironmentUpdate::new(name, now)
        };
        self.store.update_environment(&update).await.unwrap().change.unwrap()
    }

    /// Waits until a change has a phase; answers it.
    pub(crate) async fn phase(&self, name: &str, phase: &str) -> ChangeRow {
        let what = format!("{name}: {phase}");
        let found = eventually(&what, || async {
            let row = self.store.get_change(name).await.unwrap();
            (row.phase == phase || row.finished_at.is_some()).then_some(row)
        })
        .await;
        assert_eq!(found.phase, phase, "{name} ended otherwise: {}", found.outcome);
        found
    }

    /// Waits for the only open change of an environment.
    pub(crate) async fn open_change(&self, name: &str) -> ChangeRow {
        let uid = self.row(name).await.uid;
        eventually("an open change", || async {
            let mut open = self.store.open_changes(uid).await.unwrap();
            (open.len() == 1).then(|| open.remove(0))
        })
        .await
    }

    /// Approves the steps that a change shows, as the API does once there are enough approvals.
    pub(crate) async fn approve(&self, change: &ChangeRow, apply: &str) {
        let now = self.clock.now();
        let update =
            ChangeUpdate { phase: Some("Applying".to_owned()), applied_at: Some(now), ..ChangeUpdate::default() };
        let precondition = Precondition { resource_version: Some(change.resource_version), ..Precondition::default() };
        let update = EnvironmentUpdate {
            change: Some(ChangeLink::Update { name: change.name.clone(), precondition, update }),
            approvals: vec![NewApproval {
                environment_uid: change.environment_uid.unwrap(),
                plan_hash: change.plan_hash.clone().unwrap(),
                steps: serde_json::from_value(change.plan["gated"]["steps"].clone()).unwrap(),
                apply: Some(apply.to_owned()),
                approver: "carol".to_owned(),
                now,
                expires_at: now + SignedDuration::from_hours(24 * 8),
            }],
            ..EnvironmentUpdate::new(&change.environment, now)
        };
        self.store.update_environment(&update).await.unwrap();
    }

    pub(crate) async fn row(&self, name: &str) -> EnvironmentRow {
        self.store.get_environment(name).await.unwrap()
    }

    pub(crate) async fn is_gone(&self, name: &str) -> bool {
        matches!(self.store.get_environment(name).await, Err(store::Error::NotFound { .. }))
    }

    /// `True InSync`, or nothing.
    pub(crate) async fn condition(&self, name: &str, kind: &str) -> String {
        condition(&self.row(name).await.status["conditions"], kind)
    }

    pub(crate) async fn wait_for(&self, name: &str, kind: &str, wanted: &str) {
        let what = format!("{name}: {kind} {wanted}");
        eventually(&what, || async { (self.condition(name, kind).await == wanted).then_some(()) }).await;
    }

    pub(crate) async fn resource(&self, name: &str, kind: &str, identity: &str) -> Option<ManagedResourceRow> {
        let rows = self.store.resources_of(self.row(name).await.uid).await.unwrap();
        rows.into_values().find(|row| row.key.kind == kind && row.key.identity == identity)
    }

    pub(crate) async fn events(&self, reason: &str) -> Vec<EventRow> {
        let filter = EventFilter { reason: Some(reason.to_owned()), ..EventFilter::default() };
        let mut events = self.store.recent_events(&filter, 100).await.unwrap();
        events.reverse();
        events
    }

    pub(crate) async fn ask(&self, kind: RequestKind, environment: &str, body: Value) -> Value {
        let request =
            NewRequest { kind, shard: ACCOUNT.to_owned(), environment: environment.to_owned(), body, ttl: PATIENCE };
        let id = self.store.ask(&request).await.unwrap();
        self.store.wait_for_answer(id, PATIENCE).await.unwrap().expect("an answer in time")
    }

    /// How often a key was put into a queue.
    pub(crate) fn queue_adds(&self) -> u64 {
        self.counted("workqueue_adds_total")
    }

    /// How many passes have ended.
    pub(crate) fn passes(&self) -> u64 {
        self.counted("controller_runtime_reconcile_total")
    }

    /// The sum over all labels of a counter.
    fn counted(&self, name: &str) -> u64 {
        let text = self.metrics.render(Timestamp::UNIX_EPOCH);
        let lines = text.lines().filter(|line| line.split('{').next() == Some(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.store.request_delete(name, Precondition::default(), None, self.clock.now()).await.unwrap();
    }

    /// An object as this installation would have made it.
    pub(crate) fn ours(environment: &str, colour: &str) -> Live {
        let tags = Tags::from([
            (TAG_ENVIRONMENT.to_owned(), environment.to_owned()),
            (TAG_MANAGED_BY.to_owned(), INSTALLATION.to_owned()),
        ]);
        Live { colour: colour.to_owned(), arn: "arn:made".to_owned(), state: "ok".to_owned(), tags }
    }
}

/// A runtime that can be killed.
pub(crate) struct Mortal {
    threads: Option<tokio::runtime::Runtime>,
    _handle: Handle,
}

impl Mortal {
    /// Kills it: whatever it awaits is dropped where it is.
    pub(crate) fn kill(mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

trait Elsewhere {
    fn block_on_elsewhere<T>(&self, start: impl FnOnce() -> T) -> T;
}

impl Elsewhere for tokio::runtime::Runtime {
    /// Runs a function in the context of these threads, without blocking on them.
    fn block_on_elsewhere<T>(&self, start: impl FnOnce() -> T) -> T {
        let _context = self.enter();
        start()
    }
}

/// A document with these crates and a policy.
pub(crate) fn spec(crates: &[(&str, &str)], policy: Value) -> Value {
    let secrets: BTreeMap<&str, Value> =
        crates.iter().map(|(name, colour)| (*name, json!({ "description": colour, "value": "External" }))).collect();
    json!({ "aws": { "accountId": ACCOUNT, "region": "us-east-1" }, "policy": policy, "secrets": secrets })
}

pub(crate) fn condition(conditions: &Value, kind: &str) -> String {
    let found = conditions.as_array().into_iter().flatten().find(|condition| condition["type"] == kind);
    found.map_or_else(String::new, |condition| {
        format!("{} {}", condition["status"].as_str().unwrap(), condition["reason"].as_str().unwrap())
    })
}

fn claims(name: &str, spec: &Value) -> Vec<Claim> {
    let spec: EnvironmentSpec = serde_json::from_value(spec.clone()).unwrap();
    let metadata = Metadata { name: name.to_owned(), ..Metadata::default() };
    let environment = Environment { api_version: String::new(), kind: String::new(), metadata, spec };
    let graph = engine::expand(&registry(), &environment, INSTALLATION).unwrap();
    let claims = graph.claims().map(|node| Claim {
        account: node.key.account.to_string(),
        region: node.key.region.to_string(),
        kind: node.key.kind.to_string(),
        identity: node.key.identity.to_string(),
    });
    claims.collect()
}
