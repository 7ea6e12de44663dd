//! Planning: one resource, and a whole environment. Total, pure, deterministic.
//!
//! What is common to all kinds is decided here and nowhere else: unknown observations, ownership, adoption, tags.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::env::{Adoption, Policy};
use model::plan::Verb;
use model::{
    FieldChange, Observation, ResourceKey, ResourcePlan, Risk, SharedObject, Step, TAG_ENVIRONMENT, TAG_MANAGED_BY,
    Tags, Unknown, Wait, WaitKind,
};
use serde_json::Value;

use crate::erased::{ErasedKind, Registry};
use crate::graph::{Graph, Node};
use crate::kind::{Backup, Health, Output, Outputs, Owner, Ownership, PlanContext};

/// What is known of each node at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    observations: BTreeMap<ResourceKey, Observation<SharedObject>>,
}

impl Snapshot {
    /// Sets what is known of a node.
    pub fn set(&mut self, key: ResourceKey, observation: Observation<SharedObject>) {
        self.observations.insert(key, observation);
    }

    /// What is known of a node. A node nobody looked at is unknown.
    pub fn get(&self, key: &ResourceKey) -> Observation<&SharedObject> {
        match self.observations.get(key) {
            Some(observation) => observation.as_ref(),
            None => Observation::Unknown { since: Timestamp::MIN, why: Unknown::NotObservedYet },
        }
    }
}

/// A snapshot with the graph and the registry, as the source of outputs.
struct SnapshotOutputs<'a> {
    registry: &'a Registry,
    graph: &'a Graph,
    snapshot: &'a Snapshot,
    changing: RefCell<BTreeSet<ResourceKey>>,
}

impl Outputs for SnapshotOutputs<'_> {
    fn output(&self, key: &ResourceKey, name: &str) -> Observation<Output> {
        match self.snapshot.get(key) {
            Observation::Present(object) => match self.registry.of(key).and_then(|kind| kind.output(&**object, name)) {
                Some(output) => Observation::Present(output),
                None => Observation::Absent,
            },
            Observation::Absent => Observation::Absent,
            Observation::Unknown { since, why } => Observation::Unknown { since, why },
        }
    }

    fn will_change(&self, key: &ResourceKey) -> bool {
        self.changing.borrow().contains(key)
    }

    fn owner(&self, key: &ResourceKey) -> Owner {
        let (Some(node), Some(kind), Observation::Present(object)) =
            (self.graph.get(key), self.registry.of(key), self.snapshot.get(key))
        else {
            return Owner::Unknown;
        };
        owner(kind, node, object)
    }
}

fn owner(kind: &dyn ErasedKind, node: &Node, object: &SharedObject) -> Owner {
    match kind.tags(&**object) {
        Some(tags) => owner_by_tags(tags, &node.tags),
        None => Owner::Unknown,
    }
}

/// Whose an object with these tags is, seen from an environment whose objects carry `ours`.
pub fn owner_by_tags(tags: &Tags, ours: &Tags) -> Owner {
    let of = |tags: &Tags, key: &str| tags.get(key).cloned().unwrap_or_default();
    let (environment, installation) = (of(tags, TAG_ENVIRONMENT), of(tags, TAG_MANAGED_BY));
    if environment.is_empty() && installation.is_empty() {
        Owner::Nobody
    } else if environment == of(ours, TAG_ENVIRONMENT) && installation == of(ours, TAG_MANAGED_BY) {
        Owner::Ours
    } else if environment == of(ours, TAG_ENVIRONMENT) && installation.is_empty()
        || installation == of(ours, TAG_MANAGED_BY) && environment.is_empty()
    {
        // One of the two tags was taken off: the other still says it is ours, and the tag step puts it back.
        Owner::Ours
    } else {
        Owner::Another { who: format!("environment {environment:?} of installation {installation:?}") }
    }
}

/// Plans one resource from what is known of it.
pub fn plan_resource(
    kind: &dyn ErasedKind,
    node: &Node,
    observed: &Observation<&SharedObject>,
    context: &PlanContext<'_>,
) -> ResourcePlan {
    if node.watch_only {
        return ResourcePlan::in_sync();
    }
    match observed {
        Observation::Unknown { why, .. } => ResourcePlan::wait(unknown_wait(&node.key, why)),
        Observation::Absent => plan_absent(kind, node, context),
        Observation::Present(object) => plan_present(kind, node, object, context),
    }
}

fn unknown_wait(key: &ResourceKey, why: &Unknown) -> Wait {
    let (reason, message) = match why {
        Unknown::NotObservedYet => ("NotObservedYet", format!("{key} has not been looked at yet")),
        Unknown::NotListed => ("NotListed", format!("{key} is missing from a listing; a direct read will tell")),
        Unknown::InFlight => ("InFlight", format!("a call that may have changed {key} has not been verified yet")),
        Unknown::Dependency => ("DependencyUnknown", format!("{key} cannot be read before what it depends on")),
        Unknown::Failed { class, message } => {
            ("ObserveFailed", format!("{key} could not be read ({class}): {message}"))
        }
    };
    Wait::new(WaitKind::Unknown, reason, message)
}

fn plan_absent(kind: &dyn ErasedKind, node: &Node, context: &PlanContext<'_>) -> ResourcePlan {
    if context.policy.adoption == Adoption::AdoptOnly {
        return ResourcePlan::wait(Wait::new(
            WaitKind::Blocked,
            "AdoptOnly",
            format!("{} does not exist, and policy.adoption is AdoptOnly", node.key),
        ));
    }
    if let Some(wait) = parent_wait(node, context) {
        return ResourcePlan::wait(wait);
    }
    kind.plan_absent(context, &*node.desired)
}

/// A node without tags is touched only when its parent is known to be ours.
fn parent_wait(node: &Node, context: &PlanContext<'_>) -> Option<Wait> {
    let parent = node.parent.as_ref()?;
    match context.outputs.owner(parent) {
        Owner::Ours => None,
        Owner::Nobody | Owner::Unknown => Some(Wait::new(
            WaitKind::Progressing,
            "ParentNotReady",
            format!("{parent}, which {} belongs with, is not there or not ours yet", node.key),
        )),
        Owner::Another { who } => Some(Wait::new(
            WaitKind::Blocked,
            "OwnedByAnother",
            format!("{parent}, which {} belongs with, is tagged for {who}", node.key),
        )),
    }
}

fn plan_present(kind: &dyn ErasedKind, node: &Node, object: &SharedObject, context: &PlanContext<'_>) -> ResourcePlan {
    let mut steps = Vec::new();
    match kind.traits().ownership {
        Ownership::Additive => {}
        Ownership::Parent => {
            if let Some(wait) = parent_wait(node, context) {
                return ResourcePlan::wait(wait);
            }
        }
        Ownership::Tags => {
            let Some(tags) = kind.tags(&**object) else {
                return ResourcePlan::wait(Wait::new(
                    WaitKind::Unknown,
                    "TagsUnknown",
                    format!("the tags of {} are not known, so neither is whose it is", node.key),
                ));
            };
            match owner_by_tags(tags, &node.tags) {
                Owner::Another { who } => {
                    return ResourcePlan::wait(Wait::new(
                        WaitKind::Blocked,
                        "OwnedByAnother",
                        format!("{} is tagged for {who}; it is not touched", node.key),
                    ));
                }
                Owner::Nobody if context.policy.adoption == Adoption::CreateOnly => {
                    return ResourcePlan::wait(Wait::new(
                        WaitKind::Blocked,
                        "ExistsAlready",
                        format!("{} exists already, and policy.adoption is CreateOnly", node.key),
                    ));
                }
                Owner::Nobody => steps.extend(tag_step(kind, node, object, tags, true)),
                Owner::Ours => steps.extend(tag_step(kind, node, object, tags, false)),
                Owner::Unknown => {}
            }
        }
    }
    let mut plan = kind.plan_present(context, &*node.desired, &**object);
    if !steps.is_empty() && !kind.taggable(&**object) {
        // What does not carry our marks is not changed; the kind's waits say what is the matter with it.
        plan.steps.clear();
        return plan;
    }
    steps.append(&mut plan.steps);
    plan.steps = steps;
    plan
}

/// The step that puts the declared tags and those of ownership on the object; other tags are left alone.
fn tag_step(kind: &dyn ErasedKind, node: &Node, object: &SharedObject, tags: &Tags, adopts: bool) -> Option<Step> {
    let missing: Tags =
        node.tags.iter().filter(|(k, v)| tags.get(*k) != Some(v)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if missing.is_empty() {
        return None;
    }
    let changes = missing
        .iter()
        .map(|(k, v)| {
            FieldChange::new(
                format!("tags[{k:?}]"),
                tags.get(k).map_or(Value::Null, |old| old.as_str().into()),
                v.as_str(),
            )
        })
        .collect();
    let reason = if adopts { "adopt: mark the object as ours" } else { "declared tags" };
    let body = kind.tag_step_body(&**object, &missing);
    Some(Step { adopts, ..Step::new("TagResource", Verb::Update, Risk::Safe, reason, body).changing(changes) })
}

/// One planned node.
#[derive(Debug, Clone)]
pub struct PlannedResource {
    /// Which object.
    pub key: ResourceKey,
    /// Where it is declared.
    pub path: String,
    /// What to do, what is waited for, what is left alone.
    pub plan: ResourcePlan,
    /// Whether it serves; `None` when it is absent or unknown.
    pub health: Option<Health>,
    /// Freshness of backups.
    pub backup: Option<Backup>,
    /// Whether it exists before us and is not marked as ours yet, or was adopted by this very generation.
    pub adopted_now: bool,
}

/// The plan of a whole environment, dependencies first.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentPlan {
    /// All nodes that are managed.
    pub resources: Vec<PlannedResource>,
}

/// What planning an environment needs besides graph and snapshot.
pub struct EnvironmentContext<'a> {
    /// The instant the plan is for.
    pub now: Timestamp,
    /// Name of the Environment.
    pub environment: &'a str,
    /// Its policy.
    pub policy: &'a Policy,
    /// What kinds asked to be remembered, by node.
    pub memory: &'a BTreeMap<ResourceKey, Value>,
    /// Nodes adopted by this very generation.
    pub adopted_now: &'a BTreeSet<ResourceKey>,
}

/// Plans every node of the graph against the snapshot.
pub fn plan_environment(
    registry: &Registry,
    graph: &Graph,
    snapshot: &Snapshot,
    context: &EnvironmentContext<'_>,
) -> EnvironmentPlan {
    let mut planner = Planner::new(registry, graph, snapshot);
    let resources = graph.nodes().iter().filter_map(|node| planner.plan(node, context)).collect();
    EnvironmentPlan { resources }
}

/// Plans nodes one after the other, in the graph's order. The pass uses it too, with a snapshot that it updates
/// between nodes by making a new planner.
pub struct Planner<'a> {
    outputs: SnapshotOutputs<'a>,
}

impl<'a> Planner<'a> {
    /// A planner over a snapshot.
    pub fn new(registry: &'a Registry, graph: &'a Graph, snapshot: &'a Snapshot) -> Self {
        Self { outputs: SnapshotOutputs { registry, graph, snapshot, changing: RefCell::default() } }
    }

    /// Plans a node. `None` for a node that is merely watched, or of a kind not served.
    pub fn plan(&mut self, node: &Node, context: &EnvironmentContext<'_>) -> Option<PlannedResource> {
        if node.watch_only {
            return None;
        }
        let kind = self.outputs.registry.of(&node.key)?;
        let observed = self.outputs.snapshot.get(&node.key);
        let unowned = match &observed {
            Observation::Present(object) if kind.traits().ownership == Ownership::Tags => {
                owner(kind, node, object) == Owner::Nobody
            }
            _ => false,
        };
        let adopted_now = unowned || context.adopted_now.contains(&node.key);
        let plan_context = PlanContext {
            now: context.now,
            key: &node.key,
            environment: context.environment,
            policy: context.policy,
            outputs: &self.outputs,
            memory: context.memory.get(&node.key),
            adopted_now,
        };
        let plan = plan_resource(kind, node, &observed, &plan_context);
        let (health, backup) = match &observed {
            Observation::Present(object) => (
                Some(kind.health(&plan_context, &*node.desired, &***object)),
                kind.backup(&plan_context, &*node.desired, &***object),
            ),
            Observation::Absent | Observation::Unknown { .. } => (None, None),
        };
        if plan.steps.iter().any(|step| !is_tag_only(step)) {
            self.outputs.changing.borrow_mut().insert(node.key.clone());
        }
        Some(PlannedResource { key: node.key.clone(), path: node.path.clone(), plan, health, backup, adopted_now })
    }

    /// Plans the removal of an object that is no longer declared. `tags` are those the environment's objects carry.
    /// What is not marked as ours is let go, never deleted.
    pub fn plan_removal(
        &self,
        key: &ResourceKey,
        object: &SharedObject,
        tags: &Tags,
        context: &EnvironmentContext<'_>,
    ) -> ResourcePlan {
        let Some(kind) = self.outputs.registry.of(key) else { return ResourcePlan::in_sync() };
        let owner = match kind.traits().ownership {
            Ownership::Tags => kind.tags(&**object).map_or(Owner::Unknown, |observed| owner_by_tags(observed, tags)),
            Ownership::Parent => self.owner_of_parent(kind, key, tags),
            Ownership::Additive => Owner::Ours,
        };
        let plan_context = PlanContext {
            now: context.now,
            key,
            environment: context.environment,
            policy: context.policy,
            outputs: &self.outputs,
            memory: context.memory.get(key),
            adopted_now: false,
        };
        let plan = kind.plan_delete(&plan_context, &**object);
        match owner {
            Owner::Ours => plan,
            // A kind that deletes nothing has nothing to ask.
            _ if kind.traits().ownership == Ownership::Parent && plan.is_in_sync() => plan,
            Owner::Unknown => ResourcePlan::wait(Wait::new(
                WaitKind::Unknown,
                "TagsUnknown",
                format!("whose {key} is is not known, so it is not deleted"),
            )),
            Owner::Nobody | Owner::Another { .. } => ResourcePlan::wait(Wait::new(
                WaitKind::Blocked,
                "NotOurs",
                format!("{key} is not marked as ours, so it is not deleted"),
            )),
        }
    }

    /// Whose the object is that one without tags belongs with. The parent may be on its way out too.
    fn owner_of_parent(&self, kind: &dyn ErasedKind, key: &ResourceKey, tags: &Tags) -> Owner {
        let Some(parent) = kind.parent_of(key) else { return Owner::Unknown };
        let (Some(kind), Observation::Present(object)) =
            (self.outputs.registry.of(&parent), self.outputs.snapshot.get(&parent))
        else {
            return Owner::Unknown;
        };
        kind.tags(&**object).map_or(Owner::Unknown, |observed| owner_by_tags(observed, tags))
    }
}

/// A step on tags alone changes no output that another node could depend on.
fn is_tag_only(step: &Step) -> bool {
    step.operation == "TagResource"
}
