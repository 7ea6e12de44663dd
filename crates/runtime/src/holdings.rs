//! Which environments we look after, and which AWS objects that makes us look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::Graph;
use engine::graph::Follow;
use model::{AwsAccountId, KindName, Region, ResourceKey};

/// Name of an environment; the queue's key.
pub(crate) type EnvName = Arc<str>;

/// What is swept together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Group {
    /// Account.
    pub(crate) account: AwsAccountId,
    /// Region.
    pub(crate) region: Region,
    /// Kind.
    pub(crate) kind: KindName,
}

impl Group {
    /// The group of an object.
    pub(crate) fn of(key: &ResourceKey) -> Self {
        Self { account: key.account.clone(), region: key.region.clone(), kind: key.kind.clone() }
    }
}

/// One object that is looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    /// Where reading it starts.
    pub(crate) follows: Option<Follow>,
    /// The environments that declare or watch it.
    pub(crate) environments: BTreeSet<EnvName>,
}

#[derive(Default)]
struct Inner {
    graphs: BTreeMap<EnvName, (AwsAccountId, Arc<Graph>)>,
    groups: BTreeMap<Group, BTreeMap<ResourceKey, Watch>>,
}

/// The environments of the shards we own.
#[derive(Default)]
pub(crate) struct Holdings {
    inner: Mutex<Inner>,
}

impl Holdings {
    /// An environment is looked after with this graph from now on. Answers the groups with objects that nobody looked
    /// at before.
    pub(crate) fn set(&self, name: &EnvName, account: &AwsAccountId, graph: Arc<Graph>) -> BTreeSet<Group> {
        let mut inner = self.lock();
        let new =
            graph.nodes().iter().filter(|node| !inner.watched(&node.key)).map(|node| Group::of(&node.key)).collect();
        inner.drop_environment(name);
        for node in graph.nodes() {
            let watches = inner.groups.entry(Group::of(&node.key)).or_default();
            let watch = watches.entry(node.key.clone()).or_default();
            if watch.follows.is_none() {
                watch.follows.clone_from(&node.follows);
            }
            watch.environments.insert(Arc::clone(name));
        }
        inner.graphs.insert(Arc::clone(name), (account.clone(), graph));
        new
    }

    /// An environment is gone.
    pub(crate) fn remove(&self, name: &EnvName) {
        self.lock().drop_environment(name);
    }

    /// An account is another replica's now. Answers its environments.
    pub(crate) fn remove_account(&self, account: &AwsAccountId) -> Vec<EnvName> {
        let names = self.environments_of(account);
        let mut inner = self.lock();
        for name in &names {
            inner.drop_environment(name);
        }
        names
    }

    /// The environments of an account.
    pub(crate) fn environments_of(&self, account: &AwsAccountId) -> Vec<EnvName> {
        let inner = self.lock();
        inner.graphs.iter().filter(|(_, (of, _))| of == account).map(|(name, _)| Arc::clone(name)).collect()
    }

    /// Whether an environment is looked after.
    pub(crate) fn looks_after(&self, name: &str) -> bool {
        self.lock().graphs.contains_key(name)
    }

    /// The groups of an account.
    pub(crate) fn groups_of(&self, account: &AwsAccountId) -> Vec<Group> {
        self.lock().groups.keys().filter(|group| group.account == *account).cloned().collect()
    }

    /// The groups of an environment.
    pub(crate) fn groups_of_environment(&self, name: &str) -> BTreeSet<Group> {
        let inner = self.lock();
        let Some((_, graph)) = inner.graphs.get(name) else { return BTreeSet::new() };
        graph.nodes().iter().map(|node| Group::of(&node.key)).collect()
    }

    /// The objects of a group.
    pub(crate) fn watches(&self, group: &Group) -> BTreeMap<ResourceKey, Watch> {
        self.lock().groups.get(group).cloned().unwrap_or_default()
    }

    /// The environments that a change of an object concerns.
    pub(crate) fn holders(&self, key: &ResourceKey) -> BTreeSet<EnvName> {
        let inner = self.lock();
        inner
            .groups
            .get(&Group::of(key))
            .and_then(|watches| watches.get(key))
            .map(|w| w.environments.clone())
            .unwrap_or_default()
    }

    /// Whether anybody looks at an object.
    pub(crate) fn watched(&self, key: &ResourceKey) -> bool {
        self.lock().watched(key)
    }

    /// The groups with objects whose reading starts at one of these objects.
    pub(crate) fn followers(&self, keys: &BTreeSet<ResourceKey>) -> BTreeSet<Group> {
        let inner = self.lock();
        let follows = |watch: &Watch| watch.follows.as_ref().is_some_and(|follow| keys.contains(&follow.key));
        inner
            .groups
            .iter()
            .filter(|(_, watches)| watches.values().any(follows))
            .map(|(group, _)| group.clone())
            .collect()
    }

    /// The groups that the objects of a group follow.
    pub(crate) fn followed(&self, group: &Group) -> BTreeSet<Group> {
        let inner = self.lock();
        let Some(watches) = inner.groups.get(group) else { return BTreeSet::new() };
        watches.values().filter_map(|watch| watch.follows.as_ref()).map(|follow| Group::of(&follow.key)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn watched(&self, key: &ResourceKey) -> bool {
        self.groups.get(&Group::of(key)).is_some_and(|watches| watches.contains_key(key))
    }

    fn drop_environment(&mut self, name: &EnvName) {
        let Some((_, graph)) = self.graphs.remove(name) else { return };
        for node in graph.nodes() {
            let group = Group::of(&node.key);
            let Some(watches) = self.groups.get_mut(&group) else { continue };
            if let Some(watch) = watches.get_mut(&node.key) {
                watch.environments.remove(name);
                if watch.environments.is_empty() {
                    watches.remove(&node.key);
                }
            }
            if watches.is_empty() {
                self.groups.remove(&group);
            }
        }
    }
}
