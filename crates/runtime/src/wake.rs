//! What wakes passes from outside: notifications of the store, requests, and a poll for what a lost notification would
//! have said. All of it only puts keys into the queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use store::{LoggedEvent, Notification, PendingRequest, RequestKind};
use telemetry::ErrorChain;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::holdings::EnvName;
use crate::pass::diagnose::diagnose;
use crate::pass::preview::preview;
use crate::pass::requested::{HANDLED, RECONCILE_REQUESTED_AT};
use crate::queue::Priority;
use crate::shared::Shared;
use crate::tasks::spawn_named;

/// The object log's name of environments.
const ENVIRONMENT: &str = "Environment";
/// So many log entries are read in one poll.
const POLL_LIMIT: u32 = 500;

/// Listens and polls until stopped.
pub(crate) async fn listen(shared: Arc<Shared>, stop: CancellationToken, poke: Arc<Notify>, tracker: TaskTracker) {
    // Before the listener runs, so that its first word (`Resync`) is heard.
    let mut notifications = shared.store.subscribe();
    let listener = {
        let (store, stop) = (shared.store.clone(), stop.clone());
        async move { store.run_listener(stop.cancelled_owned()).await }
    };
    spawn_named(&tracker, "listener", listener);
    let mut wake = Wake { shared, poke, tracker, in_hand: BTreeMap::new(), version: None, polled: BTreeMap::new() };
    let mut poll = tokio::time::interval(wake.shared.config.poll);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // Every arm is cancel safe.
        tokio::select! {
            () = stop.cancelled() => return,
            notification = notifications.recv() => match notification {
                Ok(notification) => wake.notified(notification).await,
                Err(RecvError::Lagged(_)) => wake.notified(Notification::Resync).await,
                Err(RecvError::Closed) => tokio::time::sleep(wake.shared.config.poll).await,
            },
            _ = poll.tick() => wake.poll().await,
        }
    }
}

/// What of an environment makes a pass worth while: identity, generation, pause, deletion, a look that is asked for.
type Wanted = (Value, Value, Value, Value, Value);

struct Wake {
    shared: Arc<Shared>,
    poke: Arc<Notify>,
    tracker: TaskTracker,
    /// Requests that are being worked on, and since which epoch: what was in hand when a lease was lost is dropped.
    in_hand: BTreeMap<Uuid, i64>,
    /// Up to where the object log has been read.
    version: Option<i64>,
    polled: BTreeMap<String, Wanted>,
}

impl Wake {
    async fn notified(&mut self, notification: Notification) {
        match notification {
            Notification::Resync => {
                self.poke.notify_waiters();
                self.everything(Priority::Background);
                self.requests().await;
            }
            Notification::EnvironmentChanged { name, account } => {
                if self.owns(&account) {
                    self.add(&name, Priority::User);
                } else {
                    self.poke.notify_waiters();
                }
            }
            Notification::RequestAsked { shard, .. } => {
                if self.owns(&shard) {
                    self.requests().await;
                }
            }
            Notification::LeaseChanged { .. } => self.poke.notify_waiters(),
            // The red button is heard between two steps.
            Notification::OperatorChanged => self.everything(Priority::User),
            Notification::RequestAnswered { .. } | Notification::ObjectsChanged { .. } => {}
        }
    }

    fn owns(&self, account: &str) -> bool {
        self.shared.shards.all().iter().any(|shard| shard.account.as_str() == account)
    }

    fn add(&self, name: &str, priority: Priority) {
        self.shared.queue.add(EnvName::from(name), priority);
        self.shared.metrics.queue.added();
    }

    fn everything(&self, priority: Priority) {
        for shard in self.shared.shards.all() {
            for name in self.shared.holdings.environments_of(&shard.account) {
                self.add(&name, priority);
            }
        }
    }

    async fn poll(&mut self) {
        self.requests().await;
        if let Err(error) = self.read_log().await {
            tracing::debug!(error = %ErrorChain(&error), "the object log was not read");
        }
    }

    /// Environments whose change nobody notified us of.
    async fn read_log(&mut self) -> Result<(), store::Error> {
        let Some(version) = self.version else {
            self.version = Some(self.shared.store.resource_version().await?);
            return Ok(());
        };
        let newest = self.shared.store.resource_version().await?;
        if newest == version {
            return Ok(());
        }
        let changes = match self.shared.store.changes_since(version, &[ENVIRONMENT], POLL_LIMIT).await {
            Ok(changes) => changes,
            Err(store::Error::Gone { .. }) => {
                self.version = None;
                self.everything(Priority::Background);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // A full page may not reach up to the newest.
        let full = changes.len() >= POLL_LIMIT as usize;
        let last = changes.last().map(|change| change.resource_version);
        self.version = Some(last.filter(|_| full).unwrap_or(newest));
        for change in &changes {
            if change.event == LoggedEvent::Deleted {
                self.polled.remove(&change.name);
                if self.shared.holdings.looks_after(&change.name) {
                    self.add(&change.name, Priority::User);
                }
                continue;
            }
            let wanted: Wanted = (
                change.object["uid"].clone(),
                change.object["generation"].clone(),
                change.object["pause"].clone(),
                change.object["deletion_requested_at"].clone(),
                change.object["annotations"][RECONCILE_REQUESTED_AT].clone(),
            );
            let news = match self.polled.insert(change.name.clone(), wanted.clone()) {
                Some(before) => before != wanted,
                // Mostly a status that we wrote ourselves.
                None => {
                    let asked = &change.object["annotations"][RECONCILE_REQUESTED_AT];
                    let unheard = asked.is_string() && *asked != change.object["status"][HANDLED];
                    unheard || !self.shared.works_on(&change.name, change.object["generation"].as_i64())
                }
            };
            if news && change.object["account"].as_str().is_some_and(|account| self.owns(account)) {
                self.add(&change.name, Priority::User);
            }
        }
        Ok(())
    }

    /// Takes up the requests to the shards that we own.
    async fn requests(&mut self) {
        let owned = self.shared.shards.all();
        let epochs: BTreeMap<String, i64> =
            owned.into_iter().map(|shard| (shard.account.to_string(), shard.fence.epoch)).collect();
        let shards: Vec<String> = epochs.keys().cloned().collect();
        if shards.is_empty() {
            return;
        }
        let pending = match self.shared.store.pending_requests(&shards).await {
            Ok(pending) => pending,
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "requests cannot be read");
                return;
            }
        };
        self.in_hand.retain(|id, _| pending.iter().any(|request| request.id == *id));
        for request in pending {
            let epoch = epochs.get(&request.shard).copied().unwrap_or_default();
            if self.in_hand.insert(request.id, epoch) != Some(epoch) {
                self.take_up(request);
            }
        }
    }

    fn take_up(&self, request: PendingRequest) {
        match request.kind {
            RequestKind::Reconcile => self.reconcile(&request),
            RequestKind::Plan => {
                let shared = Arc::clone(&self.shared);
                spawn_named(&self.tracker, "plan", async move { answer_plan(&shared, &request).await });
            }
            RequestKind::Diagnosis => {
                let shared = Arc::clone(&self.shared);
                spawn_named(&self.tracker, "diagnosis", async move { answer_diagnosis(&shared, &request).await });
            }
        }
    }

    /// A fresh look at everything, then a pass, which answers.
    fn reconcile(&self, request: &PendingRequest) {
        let name: EnvName = request.environment.as_str().into();
        let groups = self.shared.holdings.groups_of_environment(&name);
        if groups.is_empty() {
            self.shared.keep_requests(&name, BTreeSet::from([request.id]));
            self.add(&name, Priority::User);
            return;
        }
        self.shared.wishes.fresh(&name, groups, self.shared.cache.ticket(), Priority::User, Some(request.id));
    }
}

async fn answer_plan(shared: &Shared, request: &PendingRequest) {
    answer_with(shared, request, preview(shared, &request.environment, &request.body)).await;
}

async fn answer_diagnosis(shared: &Shared, request: &PendingRequest) {
    answer_with(shared, request, diagnose(shared, &request.environment)).await;
}

async fn answer_with(
    shared: &Shared,
    request: &PendingRequest,
    work: impl Future<Output = Result<Value, store::Error>>,
) {
    let answer = match tokio::time::timeout(request.remaining, work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(store::Error::NotFound { .. })) => {
            json!({ "error": { "reason": "NotFound", "message": format!("there is no environment {}", request.environment) } })
        }
        Ok(Err(error)) => {
            tracing::warn!(kind = ?request.kind, error = %ErrorChain(&error), "a request failed");
            json!({ "error": { "reason": "Unavailable", "message": "the store failed" } })
        }
        // Nobody waits for it any more.
        Err(_) => return,
    };
    reply(shared, request.id, &answer).await;
}

async fn reply(shared: &Shared, id: Uuid, answer: &Value) {
    if let Err(error) = shared.answer(id, answer).await {
        tracing::warn!(error = %ErrorChain(&error), "a request was not answered");
    }
}
