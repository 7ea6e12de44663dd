//! Calls to a provider: bounded in time, counted, and put into the cache. Decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::graph::Follow;
use kinds::provider::ErasedProvider;
use kinds::{Acted, ObserveKey, Scope};
use model::{ActError, Class, Effect, Finding, Observation, ObserveError, ResourceKey, SharedObject, Step, Unknown};

use crate::cache::Cache;
use crate::holdings::EnvName;
use crate::queue::Priority;
use crate::shared::Shared;

/// A direct read may take so much longer than one call: some kinds read an object in two or three calls.
const READ_CALLS: u32 = 3;

/// Where the reading of a follower starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// There, or nowhere in particular.
    At(Option<String>),
    /// Not known: what it follows is not.
    Unknown,
}

fn not_served(key: &ResourceKey) -> ObserveError {
    ObserveError {
        class: Class::Bug,
        operation: "observe".to_owned(),
        code: "KindNotServed".to_owned(),
        message: format!("no provider serves {}", key.kind),
        request_id: None,
    }
}

/// What is said of objects while STS refuses us their account.
pub(crate) fn not_confirmed(why: &str) -> ObserveError {
    ObserveError {
        class: Class::Denied,
        operation: "sts:GetCallerIdentity".to_owned(),
        code: "AccountNotConfirmed".to_owned(),
        message: format!("the account is not confirmed: {why}"),
        request_id: None,
    }
}

fn too_long(operation: &str, longest: Duration) -> ObserveError {
    ObserveError {
        class: Class::Transient,
        operation: operation.to_owned(),
        code: "Timeout".to_owned(),
        message: format!("no answer within {} s", longest.as_secs()),
        request_id: None,
    }
}

impl Shared {
    /// Everything that calls AWS about an object goes through here: nothing is called while STS refuses us the account,
    /// since the credentials may be another's.
    fn provider(&self, key: &ResourceKey) -> Result<Arc<dyn ErasedProvider>, ObserveError> {
        if let Some(why) = self.credentials.refused(&key.account) {
            return Err(not_confirmed(&why));
        }
        self.cloud.provider(key.kind.as_str()).ok_or_else(|| not_served(key))
    }

    /// Where the reading of a node starts, by what is known of the one it follows.
    pub(crate) fn start_of(
        &self,
        follow: Option<&Follow>,
        known: impl FnOnce(&ResourceKey) -> Observation<SharedObject>,
    ) -> Start {
        let Some(follow) = follow else { return Start::At(None) };
        match known(&follow.key) {
            Observation::Present(object) => {
                let output = self.registry.of(&follow.key).and_then(|kind| kind.output(&*object, &follow.output));
                Start::At(output.map(|value| match value {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                }))
            }
            Observation::Absent => Start::At(None),
            Observation::Unknown { .. } => Start::Unknown,
        }
    }

    /// What the cache knows of an object.
    pub(crate) fn known(&self, key: &ResourceKey) -> Observation<SharedObject> {
        known(&self.cache, key)
    }

    /// Reads one object directly, for a pass over `reader`. The answer is in the cache too, and other environments that
    /// look at the object are woken if it is news.
    pub(crate) async fn read(
        &self,
        reader: &EnvName,
        key: &ResourceKey,
        at: Option<String>,
    ) -> Result<Observation<SharedObject>, ObserveError> {
        let began = (self.cache.ticket(), self.clock.now());
        let result = self.read_only(key, at.clone(), began.1).await;
        if let Ok(observation) = &result
            && !observation.is_unknown()
        {
            let news = self.cache.read(key, at, observation.clone(), began);
            if news {
                for other in self.holdings.holders(key).into_iter().filter(|other| other != reader) {
                    self.queue.add(other, Priority::Background);
                }
            }
        }
        result
    }

    /// Reads one object directly and leaves the cache alone.
    pub(crate) async fn read_only(
        &self,
        key: &ResourceKey,
        at: Option<String>,
        now: jiff::Timestamp,
    ) -> Result<Observation<SharedObject>, ObserveError> {
        let provider = self.provider(key)?;
        let longest = self.config.call_timeout * READ_CALLS;
        let observe_key = ObserveKey { identity: Arc::clone(&key.identity), at };
        let scope = Scope::of(key, now);
        let read = tokio::time::timeout(longest, provider.read(&scope, &observe_key));
        let result = read.await.unwrap_or_else(|_| Err(too_long("read", longest)));
        let label: &'static str = match &result {
            Ok(Observation::Present(_)) => "present",
            Ok(Observation::Absent) => "absent",
            Ok(Observation::Unknown { .. }) => "unknown",
            Err(error) => error.class.into(),
        };
        self.metrics.observer.read(key.kind.as_str(), label);
        result
    }

    /// Reads many objects of one kind, account and region in bulk; leaves the cache alone. Each key has an answer.
    pub(crate) async fn sweep(
        &self,
        keys: &BTreeMap<ResourceKey, Option<String>>,
        now: jiff::Timestamp,
    ) -> Result<BTreeMap<ResourceKey, Observation<SharedObject>>, ObserveError> {
        let Some(first) = keys.keys().next() else { return Ok(BTreeMap::new()) };
        let provider = self.provider(first)?;
        let longest = self.config.sweep_timeout;
        let scope = Scope::of(first, now);
        let observe_keys: Vec<ObserveKey> =
            keys.iter().map(|(key, at)| ObserveKey { identity: Arc::clone(&key.identity), at: at.clone() }).collect();
        let observe = tokio::time::timeout(longest, provider.observe(&scope, &observe_keys));
        let mut observed = observe.await.unwrap_or_else(|_| Err(too_long("observe", longest)))?;
        Ok(keys
            .keys()
            .map(|key| {
                let missing = Observation::Unknown { since: now, why: Unknown::NotListed };
                (key.clone(), observed.remove(&key.identity).unwrap_or(missing))
            })
            .collect())
    }

    /// Looks further into an object that is there, for people.
    pub(crate) async fn diagnose(
        &self,
        key: &ResourceKey,
        observed: &SharedObject,
        now: jiff::Timestamp,
    ) -> Result<Vec<Finding>, ObserveError> {
        let provider = self.provider(key)?;
        let longest = self.config.call_timeout * READ_CALLS;
        let observe_key = ObserveKey { identity: Arc::clone(&key.identity), at: None };
        let scope = Scope::of(key, now);
        let diagnosis = tokio::time::timeout(longest, provider.diagnose(&scope, &observe_key, observed));
        diagnosis.await.unwrap_or_else(|_| Err(too_long("diagnose", longest)))
    }

    /// Carries out one step. A call that gives no answer in time may have been carried out.
    pub(crate) async fn act(
        &self,
        key: &ResourceKey,
        at: Option<String>,
        step: &Step,
        token: &str,
    ) -> Result<Acted, ActError> {
        let failed = |class, effect, code: &str, message: String| ActError {
            class,
            effect,
            operation: step.operation.to_string(),
            code: code.to_owned(),
            message,
            request_id: None,
        };
        let provider = self
            .provider(key)
            .map_err(|error| failed(error.class, Effect::NotApplied, &error.code, error.message.clone()))?;
        let longest = self.config.call_timeout;
        let observe_key = ObserveKey { identity: Arc::clone(&key.identity), at };
        let scope = Scope::of(key, self.clock.now());
        let act = tokio::time::timeout(longest, provider.act(&scope, &observe_key, step, token));
        act.await.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", longest.as_secs());
            Err(failed(Class::Transient, Effect::Unknown, "Timeout", message))
        })
    }
}

/// What the cache knows of an object.
pub(crate) fn known(cache: &Cache, key: &ResourceKey) -> Observation<SharedObject> {
    match cache.get(key) {
        Some(seen) => seen.observation,
        None => Observation::Unknown { since: jiff::Timestamp::MIN, why: Unknown::NotObservedYet },
    }
}
