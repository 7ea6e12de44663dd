//! What every part of the runtime shares.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Registry;
use kinds::Cloud;
use model::AwsAccountId;
use serde_json::Value;
use store::{Fence, MutationOutcome, Resolution, Store};
use telemetry::Metrics;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cache::{Cache, Ticket};
use crate::clock::Clock;
use crate::config::Config;
use crate::holdings::{EnvName, Holdings};
use crate::observer::Wishes;
use crate::pass::{Document, Memory};
use crate::queue::Queue;
use crate::runtime::Deps;

/// What every part of the runtime shares.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) registry: Arc<Registry>,
    pub(crate) cloud: Arc<dyn Cloud>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) queue: Queue<EnvName>,
    pub(crate) cache: Cache,
    pub(crate) holdings: Holdings,
    pub(crate) wishes: Wishes,
    pub(crate) shards: Shards,
    pub(crate) credentials: CredentialStates,
    pub(crate) memories: Mutex<HashMap<EnvName, Memory>>,
    /// Documents read when a shard was taken over, and a moment before that; until their first pass.
    pub(crate) taken_over: Mutex<HashMap<EnvName, TakenOver>>,
    /// Reconcile requests whose fresh look is done: the next pass handles and answers them.
    pub(crate) requests: Mutex<BTreeMap<EnvName, BTreeSet<Uuid>>>,
    /// From 0 to 1, evenly.
    pub(crate) jitter: fn() -> f64,
}

/// The environment's uid, a moment before its document was read, and that.
type TakenOver = (Uuid, Ticket, Arc<Document>);

impl Shared {
    /// Nothing is known, owned or queued yet.
    pub(crate) fn new(deps: Deps, jitter: fn() -> f64) -> Self {
        let Deps { config, store, registry, cloud, clock, metrics } = deps;
        Self {
            queue: Queue::new(config.workers),
            config,
            store,
            registry,
            cloud,
            clock,
            metrics,
            cache: Cache::default(),
            holdings: Holdings::default(),
            wishes: Wishes::default(),
            shards: Shards::default(),
            credentials: CredentialStates::default(),
            memories: Mutex::new(HashMap::new()),
            taken_over: Mutex::new(HashMap::new()),
            requests: Mutex::new(BTreeMap::new()),
            jitter,
        }
    }

    /// From 0 to 1. Decisions take it as a value.
    pub(crate) fn jitter(&self) -> f64 {
        (self.jitter)()
    }

    pub(crate) fn take_memory(&self, name: &EnvName) -> Option<Memory> {
        lock(&self.memories).remove(name)
    }

    pub(crate) fn keep_memory(&self, name: &EnvName, memory: Memory) {
        lock(&self.memories).insert(Arc::clone(name), memory);
    }

    /// Whether passes work on this generation of an environment already.
    pub(crate) fn works_on(&self, name: &str, generation: Option<i64>) -> bool {
        match lock(&self.memories).get(name) {
            Some(memory) => memory.generation() == generation,
            // It has no pass yet, or one runs just now.
            None => self.holdings.looks_after(name),
        }
    }

    /// Answers a request. One that was forgotten meanwhile waits for no answer any more.
    pub(crate) async fn answer(&self, request: Uuid, answer: &Value) -> Result<(), store::Error> {
        match self.store.answer_request(request, answer).await {
            Ok(_) | Err(store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Settles a journal row. One that was forgotten meanwhile is of no use any more.
    pub(crate) async fn settle(
        &self,
        id: i64,
        outcome: MutationOutcome,
        resolution: &Resolution,
    ) -> Result<(), store::Error> {
        match self.store.resolve_mutation(id, outcome, resolution, self.clock.now()).await {
            Ok(_) | Err(store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Requests that the next pass is to answer.
    pub(crate) fn keep_requests(&self, name: &EnvName, requests: BTreeSet<Uuid>) {
        if !requests.is_empty() {
            lock(&self.requests).entry(Arc::clone(name)).or_default().extend(requests);
        }
    }

    pub(crate) fn take_requests(&self, name: &EnvName) -> BTreeSet<Uuid> {
        lock(&self.requests).remove(name).unwrap_or_default()
    }

    /// An environment is gone, or another replica's. Answers the requests that still waited for a look at it.
    pub(crate) fn forget(&self, name: &EnvName) -> BTreeSet<Uuid> {
        self.holdings.remove(name);
        let requests = self.wishes.forget(name);
        lock(&self.memories).remove(name);
        lock(&self.taken_over).remove(name);
        self.metrics.environments.forget(name);
        self.cache.retain(|key| self.holdings.watched(key));
        requests
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A shard that this replica owns now.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub(crate) account: AwsAccountId,
    pub(crate) fence: Fence,
    /// Cancelled when the lease is lost or the runtime shuts down.
    pub(crate) stop: CancellationToken,
    deadline: Arc<Mutex<Instant>>,
}

impl Shard {
    pub(crate) fn new(account: AwsAccountId, fence: Fence, deadline: Instant, stop: CancellationToken) -> Self {
        Self { account, fence, stop, deadline: Arc::new(Mutex::new(deadline)) }
    }

    pub(crate) fn prolong(&self, deadline: Instant) {
        *lock(&self.deadline) = deadline;
    }

    pub(crate) fn deadline(&self) -> Instant {
        *lock(&self.deadline)
    }

    /// Whether a call that takes at most so long may still begin: AWS cannot fence us, so the call must end before
    /// anybody else may own the shard.
    pub(crate) fn may_begin(&self, longest: Duration) -> bool {
        !self.stop.is_cancelled() && Instant::now() + longest <= self.deadline()
    }
}

/// The shards that this replica owns now.
#[derive(Default)]
pub(crate) struct Shards {
    owned: Mutex<BTreeMap<AwsAccountId, Shard>>,
}

impl Shards {
    pub(crate) fn get(&self, account: &AwsAccountId) -> Option<Shard> {
        lock(&self.owned).get(account).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Shard> {
        lock(&self.owned).values().cloned().collect()
    }

    pub(crate) fn insert(&self, shard: Shard) {
        lock(&self.owned).insert(shard.account.clone(), shard);
    }

    pub(crate) fn remove(&self, account: &AwsAccountId) -> Option<Shard> {
        lock(&self.owned).remove(account)
    }
}

/// What is known of our credentials for an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum CredentialState {
    #[default]
    NotChecked,
    Valid,
    /// STS does not confirm the account: nothing is called.
    Refused(String),
    /// AWS denies us some reads.
    Denied(String),
}

/// What is known of our credentials, by account.
#[derive(Default)]
pub(crate) struct CredentialStates {
    states: Mutex<BTreeMap<AwsAccountId, CredentialState>>,
}

impl CredentialStates {
    pub(crate) fn get(&self, account: &AwsAccountId) -> CredentialState {
        lock(&self.states).get(account).cloned().unwrap_or_default()
    }

    /// What STS said when it refused us the account last, unless it has confirmed it since.
    pub(crate) fn refused(&self, account: &AwsAccountId) -> Option<String> {
        match lock(&self.states).get(account) {
            Some(CredentialState::Refused(why)) => Some(why.clone()),
            Some(CredentialState::NotChecked | CredentialState::Valid | CredentialState::Denied(_)) | None => None,
        }
    }

    /// Answers whether that is news.
    pub(crate) fn set(&self, account: &AwsAccountId, state: CredentialState) -> bool {
        lock(&self.states).insert(account.clone(), state.clone()).as_ref() != Some(&state)
    }
}
