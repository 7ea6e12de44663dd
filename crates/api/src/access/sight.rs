//! Which objects a list or a watch shows to somebody whose roles are for some environments only.
//!
//! What belongs to an environment is seen by the labels that it has now. They are kept in memory and brought up to the
//! version that is being told, from the same log, so that nothing is told by labels that hold no longer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use store::{EnvironmentFilter, LoggedEvent, PageRequest};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::policy::{Labels, Object, Scope};
use crate::error::{ApiError, ApiResult};
use crate::filter;
use crate::objects::{self, Kind};
use crate::state::ApiState;

/// Rows read at once.
const BATCH: u32 = 500;

/// An environment's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    labels: Labels,
    /// It was deleted: lists show nothing of it, watches tell the end of what belonged to it.
    gone: bool,
}

/// The labels of all environments, by uid: names are used again.
pub(crate) type AllKnown = BTreeMap<Uuid, Known>;

/// The labels of all environments as of a version of the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct LabelCache(Arc<Mutex<Option<AsOf>>>);

/// They, and the version.
type AsOf = (i64, Arc<AllKnown>);

impl LabelCache {
    /// The labels, not older than `version`.
    pub(crate) async fn at_least(&self, state: &ApiState, version: i64) -> ApiResult<Arc<AllKnown>> {
        let mut held = self.0.lock().await;
        if let Some((at, known)) = &*held
            && *at >= version
        {
            return Ok(Arc::clone(known));
        }
        let (at, known) = match held.take() {
            Some((at, known)) => match Self::follow(state, at, known).await {
                Err(error) if error.code() == http::StatusCode::GONE => Self::read(state).await?,
                followed => followed?,
            },
            None => Self::read(state).await?,
        };
        *held = Some((at, Arc::clone(&known)));
        Ok(known)
    }

    /// Applies what came after `at`.
    async fn follow(state: &ApiState, mut at: i64, mut known: Arc<AllKnown>) -> ApiResult<AsOf> {
        // Read first: entries up to here are seen by the reads that follow.
        let newest = state.store.resource_version().await?;
        loop {
            let entries = state.store.changes_since(at, &[Kind::Environment.name()], BATCH).await?;
            let full = entries.len() >= BATCH as usize;
            for entry in entries {
                at = entry.resource_version;
                let row: store::EnvironmentRow = serde_json::from_value(entry.object).map_err(ApiError::internal)?;
                let new = Known { labels: row.labels, gone: entry.event == LoggedEvent::Deleted };
                if known.get(&row.uid) != Some(&new) {
                    Arc::make_mut(&mut known).insert(row.uid, new);
                }
            }
            if !full {
                return Ok((at.max(newest), known));
            }
        }
    }

    async fn read(state: &ApiState) -> ApiResult<AsOf> {
        let (mut known, mut version) = (AllKnown::new(), None);
        let mut request = PageRequest { limit: Some(BATCH), after: None };
        loop {
            let page = state.store.list_environments(&EnvironmentFilter::default(), &request).await?;
            // The first page's: what changed since is applied when it is asked for.
            let at = *version.get_or_insert(page.resource_version);
            known.extend(page.items.into_iter().map(|row| (row.uid, Known { labels: row.labels, gone: false })));
            match page.next {
                Some(next) => request.after = Some(next),
                None => return Ok((at, Arc::new(known))),
            }
        }
    }
}

/// Who looks: what somebody may see.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    pub(crate) scope: Scope,
    /// When his credentials end.
    pub(crate) until: Option<jiff::Timestamp>,
    /// His name, where it was proved.
    pub(crate) user: Option<String>,
}

impl Default for Sight {
    fn default() -> Self {
        Self { scope: Scope::Everything, until: None, user: None }
    }
}

impl Sight {
    pub(crate) fn is_everything(&self) -> bool {
        self.scope.is_everything()
    }

    /// Whether an object may be told of.
    pub(crate) fn sees(&self, kind: Kind, object: &objects::Object, known: &AllKnown) -> bool {
        // The one namespace means nothing, and clients look for it.
        if self.is_everything() || kind == Kind::Namespace {
            return true;
        }
        if kind == Kind::Environment {
            return self.scope.permits_labels(&filter::labels(&object.shown));
        }
        object.environment.and_then(|uid| known.get(&uid)).is_some_and(|it| self.scope.permits_labels(&it.labels))
    }

    /// Whether an object may be listed.
    pub(crate) fn lists(&self, kind: Kind, object: &objects::Object, known: &AllKnown) -> bool {
        let gone = || object.environment.and_then(|uid| known.get(&uid)).is_some_and(|it| it.gone);
        self.sees(kind, object, known) && (self.is_everything() || kind == Kind::Environment || !gone())
    }

    /// Whether an environment came into sight, or out of it, since a version; `known` is how it is now.
    pub(crate) async fn changed_since(&self, state: &ApiState, mut at: i64, known: &AllKnown) -> ApiResult<bool> {
        let kind = Kind::Environment.name();
        let row = |object: Value| serde_json::from_value::<store::EnvironmentRow>(object).map_err(ApiError::internal);
        let mut looked_at = BTreeSet::new();
        loop {
            let entries = state.store.changes_since(at, &[kind], BATCH).await?;
            let full = entries.len() >= BATCH as usize;
            for entry in entries {
                at = entry.resource_version;
                let new = row(entry.object)?;
                // What was made since is told whole, and the first entry of another tells of how it was.
                if !looked_at.insert(new.uid) || entry.event == LoggedEvent::Added {
                    continue;
                }
                let before = state.store.logged_before(kind, &new.name, entry.resource_version).await?;
                let before = before.map(|before| row(before.object)).transpose()?;
                let seen = |labels: &Labels| self.scope.permits_labels(labels);
                let after = known.get(&new.uid).map(|after| &after.labels);
                match (before.filter(|before| before.uid == new.uid), after) {
                    (Some(before), Some(after)) if seen(&before.labels) == seen(after) => {}
                    // It was deleted: the ends of what belonged to it are told by its last labels.
                    (Some(before), None) if seen(&before.labels) == seen(&new.labels) => {}
                    // Otherwise, or where the log no longer knows.
                    _ => return Ok(true),
                }
            }
            if !full {
                return Ok(false);
            }
        }
    }

    /// Whether an environment that there was before came into sight, or out of it.
    pub(crate) fn changed(&self, before: &AllKnown, after: &AllKnown) -> bool {
        let seen = |known: &Known| self.scope.permits(Object::Of(&known.labels));
        before.iter().any(|(uid, old)| after.get(uid).is_some_and(|new| seen(old) != seen(new)))
    }
}

/// What is told of an object that somebody sees no longer: that it is gone, and nothing of what became of it.
pub(crate) fn farewell(object: &Value) -> Value {
    let metadata = |field: &str| object.pointer(&format!("/metadata/{field}")).cloned().unwrap_or_default();
    serde_json::json!({
        "apiVersion": object.get("apiVersion"),
        "kind": object.get("kind"),
        "metadata": {
            "name": metadata("name"),
            "uid": metadata("uid"),
            "resourceVersion": metadata("resourceVersion"),
            "creationTimestamp": metadata("creationTimestamp"),
        },
    })
}
