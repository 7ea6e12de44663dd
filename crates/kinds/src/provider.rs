//! The IO half of a kind: observe many objects in batches, read one directly, act one step.
//!
//! A provider decides nothing. It never retries a mutation; the queue does that.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use model::{
    ActError, AwsAccountId, Class, Effect, Finding, Observation, ObserveError, Region, ResourceKey, SharedObject, Step,
};

/// Where calls go: one account, one region. And when: a provider asks no clock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The account.
    pub account: AwsAccountId,
    /// The region.
    pub region: Region,
    /// The instant that observations of this call carry.
    pub now: Timestamp,
}

impl Scope {
    /// The scope that holds an object.
    pub fn of(key: &ResourceKey, now: Timestamp) -> Self {
        Self { account: key.account.clone(), region: key.region.clone(), now }
    }
}

/// Reads a kind's own instruction out of a step. A step is journalled and may come back from the store, so it is
/// checked like any input.
pub fn instruction<A: serde::de::DeserializeOwned>(step: &Step) -> Result<A, ActError> {
    A::deserialize(&step.body).map_err(|error| ActError {
        class: Class::Bug,
        effect: Effect::NotApplied,
        operation: step.operation.to_string(),
        code: "UnknownInstruction".to_owned(),
        message: error.to_string(),
        request_id: None,
    })
}

/// AWS's answer lacks something that its API Reference promises.
pub fn no_object(operation: &str, what: &str) -> ObserveError {
    ObserveError {
        class: Class::Bug,
        operation: operation.to_owned(),
        code: "UnexpectedShape".to_owned(),
        message: format!("AWS answered with {what}"),
        request_id: None,
    }
}

/// One object to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObserveKey {
    /// Its identity within the kind.
    pub identity: Arc<str>,
    /// The value of the output that the node follows, when it follows one and the value is known.
    pub at: Option<String>,
}

/// What a batch read yields: every key that was asked for, each with its observation.
pub type Observed<T> = BTreeMap<Arc<str>, Observation<T>>;

/// What a successful act yields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acted {
    /// AWS's request id.
    pub request_id: Option<String>,
    /// For a node that follows another's output: where its object is read from now on in this pass (the ARN of a
    /// revision that was just registered).
    pub at: Option<String>,
}

/// The typed IO half of a kind. `T` is the kind's `Observed`.
#[async_trait]
pub trait Provider<T>: Send + Sync {
    /// Looks at many objects with as few calls as AWS allows. A key that a listing lacks is
    /// `Unknown(NotListed)`, never `Absent`. A failure of one batch makes only its own keys unknown; an error is
    /// returned only when nothing could be read at all.
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Observed<T>, ObserveError>;

    /// Looks at one object by name. Only this may answer `Absent`.
    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<T>, ObserveError>;

    /// Carries out one step. `token` is the idempotency token of this mutation, for APIs that take one.
    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, token: &str) -> Result<Acted, ActError>;

    /// Looks further into an object that is there, when somebody asks what is wrong: what sweeps do not read. Reads only,
    /// in a few calls.
    async fn diagnose(&self, _scope: &Scope, _key: &ObserveKey, _observed: &T) -> Result<Vec<Finding>, ObserveError> {
        Ok(Vec::new())
    }
}

/// A [`Provider`] with its type erased.
#[async_trait]
pub trait ErasedProvider: Send + Sync {
    /// [`Provider::observe`].
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Observed<SharedObject>, ObserveError>;
    /// [`Provider::read`].
    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<SharedObject>, ObserveError>;
    /// [`Provider::act`].
    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, token: &str) -> Result<Acted, ActError>;
    /// [`Provider::diagnose`].
    async fn diagnose(
        &self,
        scope: &Scope,
        key: &ObserveKey,
        observed: &SharedObject,
    ) -> Result<Vec<Finding>, ObserveError>;
}

/// Wraps a [`Provider`].
pub struct Erased<T, P> {
    provider: P,
    _observed: std::marker::PhantomData<fn() -> T>,
}

impl<T, P> Erased<T, P> {
    /// Wraps it.
    pub fn new(provider: P) -> Self {
        Self { provider, _observed: std::marker::PhantomData }
    }
}

#[async_trait]
impl<T: model::Object, P: Provider<T>> ErasedProvider for Erased<T, P> {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Observed<SharedObject>, ObserveError> {
        let observed = self.provider.observe(scope, keys).await?;
        Ok(observed.into_iter().map(|(key, o)| (key, o.map(|value| Arc::new(value) as SharedObject))).collect())
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<SharedObject>, ObserveError> {
        Ok(self.provider.read(scope, key).await?.map(|value| Arc::new(value) as SharedObject))
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, token: &str) -> Result<Acted, ActError> {
        self.provider.act(scope, key, step, token).await
    }

    async fn diagnose(
        &self,
        scope: &Scope,
        key: &ObserveKey,
        observed: &SharedObject,
    ) -> Result<Vec<Finding>, ObserveError> {
        match observed.as_any().downcast_ref::<T>() {
            Some(observed) => self.provider.diagnose(scope, key, observed).await,
            None => Err(no_object("diagnose", "an object of another kind")),
        }
    }
}

/// AWS, as the runtime sees it: a provider for each kind. The runtime's tests put their own in its place.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// The provider of a kind; `None` for a kind that is not served.
    fn provider(&self, kind: &str) -> Option<Arc<dyn ErasedProvider>>;

    /// Confirms by STS that our credentials reach the account. Asked before any other call, and again now and then.
    async fn confirm(&self, account: &AwsAccountId) -> Result<(), ObserveError>;
}
