//! Objects on their way out: items taken out of the document, and the whole environment when it is deleted.
//!
//! What is not marked as ours is let go, never deleted. An environment goes only when every object that its policy
//! deletes was read directly and found absent.

use std::collections::{BTreeMap, BTreeSet};

use engine::graph::Follow;
use engine::{EnvironmentPlan, Graph};
use jiff::Timestamp;
use model::env::OnDelete;
use model::plan::Verb;
use model::{Observation, ResourceKey, TAG_ENVIRONMENT, TAG_MANAGED_BY, Tags};
use serde::Deserialize as _;
use serde_json::{Value, json};
use store::{EnvironmentRow, ManagedResourceRow, NewEvent};

use super::{Document, Halt, Leaving, Outcome, Pass};

/// The engine's reason for an object that is not marked as ours.
const NOT_OURS: &str = "NotOurs";

impl Pass<'_> {
    /// Finds what is on its way out.
    pub(super) fn find_leaving(&mut self) {
        self.leaving = leaving(&self.document.graph, &self.rows, self.deleting());
        // Created by a pass that did not live to record it, and taken out of the document since.
        for row in self.unresolved.iter().filter(|row| row.body["verb"] == json!(Verb::Create)) {
            let key = crate::keys::from_store(&row.resource);
            if let Some(key) = key.filter(|key| self.document.graph.get(key).is_none()) {
                self.leaving.entry(key).or_default();
            }
        }
    }

    /// Whether an object may be removed now: what needs it goes first. True for what stays.
    pub(super) fn may_leave(&self, key: &ResourceKey) -> bool {
        if !self.leaving.contains_key(key) {
            return true;
        }
        !self
            .leaving
            .iter()
            .any(|(other, leaving)| other != key && !self.gone.contains(other) && leaving.needs.contains(key))
    }

    /// Strikes off what is gone, or is let go. Answers whether anything was.
    pub(super) fn settle_leaving(&mut self, plan: &EnvironmentPlan) -> bool {
        let open: BTreeSet<ResourceKey> =
            self.unresolved.iter().filter_map(|row| crate::keys::from_store(&row.resource)).collect();
        let keys: Vec<ResourceKey> =
            self.leaving.keys().filter(|key| !self.gone.contains(*key) && !open.contains(*key)).cloned().collect();
        let before = self.gone.len();
        for key in keys {
            if self.document.graph.get(&key).is_some_and(|node| node.existing) {
                self.let_go(&key, "the document names it as existing");
            } else if fate(&self.document, self.deleting(), &key) == OnDelete::Retain {
                self.let_go(&key, "it is no longer declared, and policy.onRemove is Retain");
            } else if self.shared.registry.of(&key).is_none() {
                self.let_go(&key, "this release does not know its kind");
            } else if self.looked.contains(&key) {
                self.settle_one(&key, plan);
            }
        }
        self.gone.len() > before
    }

    fn settle_one(&mut self, key: &ResourceKey, plan: &EnvironmentPlan) {
        match self.snapshot.get(key) {
            Observation::Absent => {
                if self.rows.contains_key(key) || self.acts.contains_key(key) {
                    self.event(key, "Normal", "Deleted", format!("{key} is gone"), json!({}));
                }
                self.gone.insert(key.clone());
            }
            Observation::Present(_) => {
                let Some(resource) = plan.resources.iter().find(|resource| resource.key == *key) else { return };
                if resource.plan.waits.iter().any(|wait| wait.reason == NOT_OURS) {
                    self.let_go(key, "it is not marked as ours, so it is not deleted");
                } else if resource.plan.steps.is_empty() && resource.plan.waits.is_empty() {
                    self.let_go(key, "there is nothing of it to delete");
                }
            }
            Observation::Unknown { .. } => {}
        }
    }

    fn let_go(&mut self, key: &ResourceKey, why: &str) {
        self.event(
            key,
            "Normal",
            "Orphaned",
            format!("{key} is no longer managed and stays as it is: {why}"),
            json!({}),
        );
        self.gone.insert(key.clone());
    }

    /// Whether everything that was to go has gone.
    pub(super) fn nothing_left(&self) -> bool {
        self.unresolved.is_empty() && self.leaving.keys().all(|key| self.gone.contains(key))
    }

    /// Deletion under `Retain`: everything is let go, and the environment goes at once.
    pub(super) async fn release(&mut self) -> Result<Outcome, Halt> {
        self.events.push(released(&self.row, self.now));
        self.remove().await
    }

    /// Everything is gone: so is the environment, unless others hold it.
    pub(super) async fn remove(&mut self) -> Result<Outcome, Halt> {
        if self.row.finalizers.iter().all(|name| name == store::FINALIZER) {
            self.environment_event("Normal", "Deleted", "the environment is deleted", json!({}));
        }
        self.shared.store.write_events(&self.events).await?;
        self.end_changes().await?;
        self.shared.store.remove_environment(self.row.uid, Some(&self.shard.fence)).await?;
        for request in &self.requests {
            self.shared.answer(*request, &json!({ "handled": true, "deleted": true })).await?;
        }
        Ok(Outcome::forget())
    }
}

/// What is on its way out: what is managed and no longer declared, and everything of an environment that is deleted.
pub(super) fn leaving(
    graph: &Graph,
    rows: &BTreeMap<ResourceKey, ManagedResourceRow>,
    deleting: bool,
) -> BTreeMap<ResourceKey, Leaving> {
    let claimed: BTreeSet<&ResourceKey> = graph.claims().map(|node| &node.key).collect();
    let undeclared = rows.iter().filter(|(key, _)| !claimed.contains(key));
    let mut leaving: BTreeMap<_, _> = undeclared.map(|(key, row)| (key.clone(), stored(&row.report))).collect();
    if deleting {
        leaving.extend(graph.claims().map(|node| {
            let ties = Leaving { needs: node.needs.iter().cloned().collect(), follows: node.follows.clone() };
            (node.key.clone(), ties)
        }));
    }
    leaving
}

/// What becomes of an object on its way out.
pub(super) fn fate(document: &Document, deleting: bool, key: &ResourceKey) -> OnDelete {
    if document.graph.get(key).is_some_and(|node| node.existing) {
        return OnDelete::Retain;
    }
    let policy = &document.environment.spec.policy;
    if deleting { policy.on_delete } else { policy.on_remove }
}

/// The event of an environment that is deleted under `Retain`.
pub(super) fn released(row: &EnvironmentRow, now: Timestamp) -> NewEvent {
    NewEvent {
        environment: row.name.clone(),
        environment_uid: Some(row.uid),
        regarding_kind: "Environment".to_owned(),
        regarding_identity: row.name.clone(),
        event_type: "Normal".to_owned(),
        reason: "Released".to_owned(),
        message: "the environment is deleted; its AWS objects stay as they are".to_owned(),
        details: json!({}),
        now,
    }
}

/// The tags that mark an environment's objects.
pub(super) fn ownership_tags(document: &Document, installation: &str) -> Tags {
    let mut tags = document.environment.spec.tags.clone();
    tags.insert(TAG_ENVIRONMENT.to_owned(), document.environment.metadata.name.clone());
    tags.insert(TAG_MANAGED_BY.to_owned(), installation.to_owned());
    tags
}

/// How a node was tied to others, as its resource's report says: the document does not say it any more.
fn stored(report: &Value) -> Leaving {
    let needs = report.get("needs").and_then(|needs| BTreeSet::deserialize(needs).ok()).unwrap_or_default();
    let follows = report.get("follows").and_then(|follows| {
        let key = ResourceKey::deserialize(follows.get("key")?).ok()?;
        let output = follows.get("output")?.as_str()?.to_owned();
        Some(Follow { key, output: output.into() })
    });
    Leaving { needs, follows }
}

/// The same, to be stored.
pub(super) fn follows_json(follows: Option<&Follow>) -> Value {
    follows.map_or(Value::Null, |follow| json!({ "key": follow.key, "output": follow.output }))
}
