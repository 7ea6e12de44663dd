//! What the pass knows: from the cache, and from direct reads of what is unknown or about to be touched.

use std::collections::BTreeSet;

use engine::conditions::Seen as SeenAs;
use engine::{EnvironmentPlan, Health};
use futures::StreamExt as _;
use model::{Observation, ResourceKey, SharedObject, Unknown};

use super::Pass;
use crate::look::Start;

/// Direct reads of one pass at once. Few: most passes read nothing.
const READS_AT_ONCE: usize = 8;

impl Pass<'_> {
    /// Takes what the cache knows.
    pub(super) fn load_snapshot(&mut self) {
        let nodes = self.document.graph.nodes().iter().map(|node| &node.key);
        let keys: BTreeSet<ResourceKey> = nodes.chain(self.leaving.keys()).cloned().collect();
        for key in keys {
            if let Some(seen) = self.shared.cache.get(&key) {
                self.seen_at.insert(key.clone(), seen.ticket);
                self.read_at.insert(key.clone(), seen.at);
                self.snapshot.set(key, seen.observation);
            }
        }
        // A crash left these open: whatever the cache says, only a direct read tells.
        for row in &self.unresolved {
            if let Some(key) = crate::keys::from_store(&row.resource) {
                let observation = Observation::Unknown { since: row.begun_at, why: Unknown::InFlight };
                self.snapshot.set(key, observation);
            }
        }
    }

    pub(super) fn known(&self, key: &ResourceKey) -> Observation<SharedObject> {
        self.snapshot.get(key).map(SharedObject::clone)
    }

    /// Where an object is to be read, by what the pass knows now.
    pub(super) fn start(&self, key: &ResourceKey) -> Start {
        if let Some(at) = self.moved.get(key) {
            return Start::At(Some(at.clone()));
        }
        let follows = match self.document.graph.get(key) {
            Some(node) => node.follows.as_ref(),
            None => self.leaving.get(key).and_then(|leaving| leaving.follows.as_ref()),
        };
        self.shared.start_of(follows, |followed| self.known(followed))
    }

    /// What was read elsewhere than it is to be read now is unknown.
    pub(super) fn refresh_followers(&mut self) {
        let document = std::sync::Arc::clone(&self.document);
        for node in document.graph.nodes().iter().filter(|node| node.follows.is_some()) {
            let (Observation::Present(_) | Observation::Absent) = self.snapshot.get(&node.key) else { continue };
            if let Start::At(at) = self.start(&node.key)
                && self.read_at.get(&node.key) != Some(&at)
            {
                self.snapshot.set(node.key.clone(), Observation::Unknown { since: self.now, why: Unknown::Dependency });
                self.tried.remove(&node.key);
                self.looked.remove(&node.key);
            }
        }
    }

    /// The objects that must be looked at directly before anything else.
    pub(super) fn to_look_at(&self, plan: &EnvironmentPlan) -> BTreeSet<ResourceKey> {
        let mut wanted = BTreeSet::new();
        for node in self.document.graph.nodes() {
            let want = match self.snapshot.get(&node.key) {
                Observation::Unknown { why: Unknown::NotListed | Unknown::InFlight, .. } => true,
                Observation::Unknown { why: Unknown::Dependency, .. } => self.start(&node.key) != Start::Unknown,
                Observation::Unknown { why: Unknown::NotObservedYet | Unknown::Failed { .. }, .. } => false,
                Observation::Present(_) | Observation::Absent => false,
            };
            if want {
                wanted.insert(node.key.clone());
            }
        }
        let progressing = plan.resources.iter().filter(|one| matches!(one.health, Some(Health::Progressing { .. })));
        wanted.extend(progressing.map(|one| one.key.clone()).filter(|key| self.older_than_a_poll(key)));
        wanted.extend(self.unresolved.iter().filter_map(|row| crate::keys::from_store(&row.resource)));
        wanted.extend(self.leaving.keys().filter(|key| !self.gone.contains(*key)).cloned());
        wanted.retain(|key| !self.tried.contains(key) && self.start(key) != Start::Unknown);
        wanted
    }

    /// What is on its way in AWS is looked at more often than sweeps do.
    fn older_than_a_poll(&self, key: &ResourceKey) -> bool {
        let poll = jiff::SignedDuration::try_from(engine::requeue::POLL).unwrap_or_default();
        self.shared.cache.get(key).is_none_or(|seen| self.now.duration_since(seen.observed_at) >= poll)
    }

    /// Looks at objects directly, several at once.
    pub(super) async fn look_at(&mut self, keys: BTreeSet<ResourceKey>) {
        let reads: Vec<_> = keys
            .into_iter()
            .filter_map(|key| match self.start(&key) {
                Start::At(at) => Some((key, at)),
                Start::Unknown => None,
            })
            .collect();
        let (shared, name) = (self.shared, self.name);
        let results: Vec<_> = futures::stream::iter(reads)
            .map(|(key, at)| async move {
                let result = shared.read(name, &key, at.clone()).await;
                (key, at, result)
            })
            .buffered(READS_AT_ONCE)
            .collect()
            .await;
        for (key, at, result) in results {
            self.tried.insert(key.clone());
            match result {
                Ok(observation) => {
                    self.read_errors.remove(&key);
                    if observation.is_unknown() {
                        self.looked.remove(&key);
                    } else {
                        self.looked.insert(key.clone());
                    }
                    self.read_at.insert(key.clone(), at);
                    self.snapshot.set(key, observation);
                }
                Err(error) => {
                    tracing::debug!(%key, %error, "direct read failed");
                    self.looked.remove(&key);
                    self.read_errors.insert(key, error);
                }
            }
        }
    }

    /// What is known of an object, in short.
    pub(super) fn seen_as(&self, key: &ResourceKey) -> SeenAs {
        match self.snapshot.get(key) {
            Observation::Present(_) => SeenAs::Present,
            Observation::Absent => SeenAs::Absent,
            Observation::Unknown { .. } => SeenAs::Unknown,
        }
    }
}
