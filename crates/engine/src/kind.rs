//! What a kind must say about itself for the engine to plan it. All of it is pure.
//!
//! The IO half of a kind, its provider, is `kinds::provider`.

use std::borrow::Cow;

use jiff::Timestamp;
use model::env::Policy;
use model::{Environment, Object, Observation, ResourceKey, ResourcePlan, Tags, Wait, WaitKind};
use serde_json::Value;

use crate::expand::Expansion;

/// How often a kind is swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Every hot period (15 s by default): what drifts often and is cheap to read in bulk.
    Hot,
    /// Every slow period (minutes): what needs a call for each object, or changes rarely.
    Slow,
}

/// How a kind's objects show whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// By the tags `eventchain.io/environment` and `eventchain.io/managed-by`.
    Tags,
    /// They have no tags: they belong with their parent node.
    Parent,
    /// Nobody can be harmed by it: adding one more is all that the kind ever does (a task definition revision).
    Additive,
}

/// What the engine needs to know of a kind as a whole.
#[derive(Debug, Clone, Copy)]
pub struct KindTraits {
    /// How often it is swept.
    pub lane: Lane,
    /// How ownership shows.
    pub ownership: Ownership,
    /// Longest time between sweeps after which an observation counts as stale, as a multiple of the lane's period.
    pub stale_after_periods: u32,
}

/// The pure half of a kind.
pub trait Kind: Send + Sync + 'static {
    /// The kind's name: `RdsInstance`.
    const NAME: &'static str;
    /// What the engine needs to know of it as a whole.
    const TRAITS: KindTraits;
    /// What the spec wants of one object.
    type Desired: Object;
    /// What AWS says of one object, normalised so that it can be compared.
    type Observed: Object;

    /// Adds one node to the graph for each object of this kind that the document declares.
    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Self::Desired>);

    /// Plans an object that is certainly absent: usually one create step, or a wait for a dependency.
    fn plan_absent(context: &PlanContext<'_>, desired: &Self::Desired) -> ResourcePlan;

    /// Plans an object that is there. Only declared fields are compared. Tags and ownership are the engine's.
    fn plan_present(context: &PlanContext<'_>, desired: &Self::Desired, observed: &Self::Observed) -> ResourcePlan;

    /// Plans the removal of an object that is there. The engine only asks this when policy wants it deleted.
    fn plan_delete(context: &PlanContext<'_>, observed: &Self::Observed) -> ResourcePlan;

    /// Whether the object serves.
    fn health(context: &PlanContext<'_>, desired: &Self::Desired, observed: &Self::Observed) -> Health;

    /// The object's tags. `None` when the kind has none.
    fn tags(observed: &Self::Observed) -> Option<&Tags>;

    /// The body of a step that sets tags on the object; the kind's provider acts on it.
    /// Never asked of a kind whose ownership is not [`Ownership::Tags`].
    fn tag_step_body(observed: &Self::Observed, set: &Tags) -> Value;

    /// The object that one without tags belongs with, told from its key alone: its node is gone when it is removed.
    /// Only asked of a kind whose ownership is [`Ownership::Parent`]; one that it does not know is never deleted.
    fn parent_of(_key: &ResourceKey) -> Option<ResourceKey> {
        None
    }

    /// Whether AWS takes tags for the object now. While it does not and a tag is missing, nothing is done to it at all.
    fn taggable(_observed: &Self::Observed) -> bool {
        true
    }

    /// What other nodes may refer to: an ARN, a name. `None` when the object does not have it (yet).
    fn output(observed: &Self::Observed, name: &str) -> Option<Output>;

    /// Age and health of backups, for the kinds that are backups.
    fn backup(_context: &PlanContext<'_>, _desired: &Self::Desired, _observed: &Self::Observed) -> Option<Backup> {
        None
    }
}

/// A value that one node gives to another. Text or JSON; never a secret value.
pub type Output = Value;

/// Whether an object serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ready,
    /// It is on its way.
    Progressing {
        /// CamelCase.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// It will not come to serve without someone doing something.
    Stalled {
        /// CamelCase.
        reason: &'static str,
        /// For people.
        message: String,
    },
}

/// How fresh the backups are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Time of the newest complete backup.
    pub newest: Option<Timestamp>,
    /// Whether it is as fresh as declared.
    pub healthy: bool,
    /// When time alone changes something: the next is due, or the newest becomes too old.
    pub next: Option<Timestamp>,
    /// For people.
    pub message: String,
}

/// A value in a desired state: written down, or another node's output.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reference {
    /// Written down in the document.
    Literal(String),
    /// The output of another node.
    Of {
        /// The node.
        key: ResourceKey,
        /// The output's name.
        output: Cow<'static, str>,
    },
}

/// What a reference stands for now.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// Known.
    Value(Output),
    /// Not known yet; the wait says why.
    Pending {
        /// The node that will give it.
        key: ResourceKey,
        /// Why it is not known, as a wait for the plan.
        wait: Wait,
    },
}

/// Where outputs of other nodes come from: the snapshot, with what this pass has verified on top.
pub trait Outputs {
    /// The observation of a node, reduced to one output. `Absent` when the object or the output is not there.
    fn output(&self, key: &ResourceKey, name: &str) -> Observation<Output>;
    /// Whether a step that changes this node is planned and not carried out yet: its outputs may change.
    fn will_change(&self, key: &ResourceKey) -> bool;
    /// Whose the node's object is, by its tags.
    fn owner(&self, key: &ResourceKey) -> Owner;
}

/// Whose an AWS object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This environment's, managed by this installation.
    Ours,
    /// Nobody's: it has neither of the ownership tags.
    Nobody,
    /// Another environment's or installation's.
    Another {
        /// Who, for people.
        who: String,
    },
    /// Not known now, or not there.
    Unknown,
}

/// Everything besides desired and observed that a plan may depend on.
pub struct PlanContext<'a> {
    /// The instant the plan is for.
    pub now: Timestamp,
    /// The node being planned.
    pub key: &'a ResourceKey,
    /// Name of the Environment.
    pub environment: &'a str,
    /// The Environment's policy.
    pub policy: &'a Policy,
    /// Outputs of other nodes.
    pub outputs: &'a dyn Outputs,
    /// What the kind asked to be remembered at the last pass.
    pub memory: Option<&'a Value>,
    /// Whether the object was adopted by this very generation.
    pub adopted_now: bool,
}

impl PlanContext<'_> {
    /// Resolves a reference. An output that a planned step is about to change counts as pending.
    pub fn resolve(&self, reference: &Reference) -> Resolved {
        let (key, output) = match reference {
            Reference::Literal(text) => return Resolved::Value(Value::String(text.clone())),
            Reference::Of { key, output } => (key, output),
        };
        let pending = |reason, message| Resolved::Pending {
            key: key.clone(),
            wait: Wait::new(WaitKind::Progressing, reason, message),
        };
        if self.outputs.will_change(key) {
            return pending("DependencyChanging", format!("{key} is changed first"));
        }
        match self.outputs.output(key, output) {
            Observation::Present(value) => Resolved::Value(value),
            Observation::Absent => pending("DependencyNotReady", format!("{key} has no {output} yet")),
            Observation::Unknown { .. } => pending("DependencyUnknown", format!("{key} is not known now")),
        }
    }

    /// Resolves a reference that must be text.
    pub fn resolve_text(&self, reference: &Reference) -> Result<String, (ResourceKey, Wait)> {
        match self.resolve(reference) {
            Resolved::Value(Value::String(text)) => Ok(text),
            Resolved::Value(other) => Ok(other.to_string()),
            Resolved::Pending { key, wait } => Err((key, wait)),
        }
    }

    /// The output of another node, when it is known and there.
    pub fn output(&self, key: &ResourceKey, name: &str) -> Observation<Output> {
        self.outputs.output(key, name)
    }
}
