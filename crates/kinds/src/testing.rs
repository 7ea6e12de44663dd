//! What the kinds' pure tests share: a plan context with no other nodes.

use engine::PlanContext;
use engine::kind::{Output, Outputs, Owner};
use jiff::Timestamp;
use model::env::Policy;
use model::{AwsAccountId, KindName, Observation, Region, ResourceKey};

struct Nothing;

impl Outputs for Nothing {
    fn output(&self, _key: &ResourceKey, _name: &str) -> Observation<Output> {
        Observation::Absent
    }

    fn will_change(&self, _key: &ResourceKey) -> bool {
        false
    }

    fn owner(&self, _key: &ResourceKey) -> Owner {
        Owner::Ours
    }
}

/// The instant of pure tests: a Sunday noon.
pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a timestamp")
}

/// A key of the fixtures' account.
pub(crate) fn key(kind: &'static str, identity: &str) -> ResourceKey {
    ResourceKey {
        account: AwsAccountId::parse("123456789012").expect("twelve digits"),
        region: Region::parse("us-east-1").expect("a region"),
        kind: KindName::of(kind),
        identity: identity.into(),
    }
}

/// A context in which no other node has any output.
pub(crate) fn context() -> PlanContext<'static> {
    context_with(&Nothing)
}

/// A context with these outputs of other nodes.
pub(crate) fn context_with(outputs: &'static dyn Outputs) -> PlanContext<'static> {
    PlanContext {
        now: now(),
        key: Box::leak(Box::new(key("Test", "test"))),
        environment: "prod",
        policy: Box::leak(Box::new(Policy::default())),
        outputs,
        memory: None,
        adopted_now: false,
    }
}

/// Outputs of other nodes, for tests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    outputs: std::collections::BTreeMap<(ResourceKey, String), Observation<Output>>,
    changing: std::collections::BTreeSet<ResourceKey>,
    owners: std::collections::BTreeMap<ResourceKey, Owner>,
}

impl Known {
    /// None yet: every output is absent.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// With an output that is there.
    pub(crate) fn with(self, key: &ResourceKey, name: &str, value: impl Into<Output>) -> Self {
        self.observed(key, name, Observation::Present(value.into()))
    }

    /// With an output of which nothing is known.
    pub(crate) fn unknown(self, key: &ResourceKey, name: &str) -> Self {
        let why = model::observation::Unknown::NotListed;
        self.observed(key, name, Observation::Unknown { since: now(), why })
    }

    /// With a node that a planned step changes.
    pub(crate) fn changing(mut self, key: &ResourceKey) -> Self {
        self.changing.insert(key.clone());
        self
    }

    /// With an object that is somebody's.
    pub(crate) fn owned(mut self, key: &ResourceKey, owner: Owner) -> Self {
        self.owners.insert(key.clone(), owner);
        self
    }

    fn observed(mut self, key: &ResourceKey, name: &str, value: Observation<Output>) -> Self {
        self.outputs.insert((key.clone(), name.to_owned()), value);
        self
    }

    /// A context with these outputs.
    pub(crate) fn context(self) -> PlanContext<'static> {
        context_with(Box::leak(Box::new(self)))
    }
}

impl Outputs for Known {
    fn output(&self, key: &ResourceKey, name: &str) -> Observation<Output> {
        self.outputs.get(&(key.clone(), name.to_owned())).cloned().unwrap_or(Observation::Absent)
    }

    fn will_change(&self, key: &ResourceKey) -> bool {
        self.changing.contains(key)
    }

    fn owner(&self, key: &ResourceKey) -> Owner {
        self.owners.get(key).cloned().unwrap_or(Owner::Ours)
    }
}
