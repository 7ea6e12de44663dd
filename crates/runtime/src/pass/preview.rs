//! What a pass would do: a plan of a stored or a given spec against fresh observations. Changes nothing, neither in AWS
//! nor in the store nor in the cache.

use std::collections::{BTreeMap, BTreeSet};

use engine::guard::Guard;
use engine::plan::EnvironmentContext;
use engine::{EnvironmentPlan, Snapshot};
use futures::StreamExt as _;
use model::env::{Metadata, Mode};
use model::{Observation, ResourceKey, SharedObject, Unknown};
use serde_json::{Value, json};
use store::{EnvironmentRow, ManagedResourceRow, OperatorMode};

use super::leave::{fate, leaving};
use super::plan::{approved, plan_json, whole};
use super::{Document, Leaving};
use crate::holdings::Group;
use crate::keys;
use crate::look::Start;
use crate::shared::Shared;

/// Calls to AWS on behalf of one request.
pub(super) const READS_AT_ONCE: usize = 8;

/// Answers a plan request: `{ "spec": … }` for a given spec, `{}` for the stored one.
pub(crate) async fn preview(shared: &Shared, environment: &str, body: &Value) -> Result<Value, store::Error> {
    let row = match shared.store.get_environment(environment).await {
        Ok(row) => Some(row),
        Err(store::Error::NotFound { .. }) if body.get("spec").is_some() => None,
        Err(error) => return Err(error),
    };
    let stored = row.as_ref().map_or(&Value::Null, |row| &row.spec);
    let spec = body.get("spec").unwrap_or(stored);
    let unchanged = spec == stored;
    let generation = row.as_ref().map_or(1, |row| row.generation + i64::from(!unchanged));
    let metadata = Metadata { name: environment.to_owned(), ..Metadata::default() };
    let read = Document::from_spec(&shared.registry, &shared.config.installation, metadata, spec, generation);
    let document = match read {
        Ok(document) => document,
        Err(error) => return Ok(json!({ "error": { "reason": "InvalidSpec", "message": error.to_string() } })),
    };
    let known = look(shared, row.as_ref(), &document).await?;
    answer(shared, row.as_ref(), &document, &known).await
}

/// What an answer rests on, besides the document.
pub(super) struct Known {
    rows: BTreeMap<ResourceKey, ManagedResourceRow>,
    /// The environment is on its way out.
    pub(super) deleting: bool,
    leaving: BTreeMap<ResourceKey, Leaving>,
    pub(super) snapshot: Snapshot,
}

/// Looks freshly at everything that is declared or on its way out.
pub(super) async fn look(
    shared: &Shared,
    row: Option<&EnvironmentRow>,
    document: &Document,
) -> Result<Known, store::Error> {
    let rows = match row {
        Some(row) => rows(shared, row).await?,
        None => BTreeMap::new(),
    };
    let deleting = row.is_some_and(|row| row.deletion_requested_at.is_some());
    let leaving = leaving(&document.graph, &rows, deleting);
    let mut snapshot = observe(shared, document).await;
    observe_leaving(shared, &leaving, &mut snapshot).await;
    Ok(Known { rows, deleting, leaving, snapshot })
}

/// What stands in the way of steps, as the guard sees it, and what is planned.
pub(super) struct Planned<'a> {
    pub(super) guard: Guard<'a>,
    pub(super) plan: EnvironmentPlan,
}

/// Plans, and hands both to `with`.
pub(super) async fn planned<T>(
    shared: &Shared,
    row: Option<&EnvironmentRow>,
    document: &Document,
    known: &Known,
    with: impl FnOnce(&Planned<'_>) -> T,
) -> Result<T, store::Error> {
    let now = shared.clock.now();
    let (memory, adopted_now) = remembered(&known.rows, document.generation);
    let policy = &document.environment.spec.policy;
    let context = EnvironmentContext {
        now,
        environment: &document.environment.metadata.name,
        policy,
        memory: &memory,
        adopted_now: &adopted_now,
    };
    let plan = whole(shared, document, &known.snapshot, known.deleting, known.leaving.keys(), &context);
    let approved = match row {
        Some(row) => approved(&shared.store.valid_approvals(row.uid, now).await?),
        None => Vec::new(),
    };
    let guard = Guard {
        now,
        policy,
        windows: &document.windows,
        operator_mode: match shared.store.get_operator().await?.mode {
            OperatorMode::Enforce => Mode::Enforce,
            OperatorMode::Observe => Mode::Observe,
        },
        paused: row.filter(|_| !known.deleting).and_then(|row| super::load::pause_of(row, now)),
        cap: None,
        generation: document.generation,
        approved: &approved,
    };
    Ok(with(&Planned { guard, plan }))
}

async fn rows(
    shared: &Shared,
    row: &EnvironmentRow,
) -> Result<BTreeMap<ResourceKey, ManagedResourceRow>, store::Error> {
    let stored = shared.store.resources_of(row.uid).await?;
    Ok(stored.into_iter().filter_map(|(key, resource)| Some((keys::from_store(&key)?, resource))).collect())
}

async fn answer(
    shared: &Shared,
    row: Option<&EnvironmentRow>,
    document: &Document,
    known: &Known,
) -> Result<Value, store::Error> {
    let shown = planned(shared, row, document, known, |planned| plan_json(&planned.guard, &planned.plan));
    let mut shown = shown.await?;
    shown["removed"] = Value::Array(removed(known, document));
    Ok(shown)
}

/// What kinds remember, and which objects this generation adopted.
fn remembered(
    rows: &BTreeMap<ResourceKey, ManagedResourceRow>,
    generation: i64,
) -> (BTreeMap<ResourceKey, Value>, BTreeSet<ResourceKey>) {
    let (mut memory, mut adopted) = (BTreeMap::new(), BTreeSet::new());
    for (key, resource) in rows {
        if resource.report.get("adoptedGeneration").and_then(Value::as_i64) == Some(generation) {
            adopted.insert(key.clone());
        }
        if !resource.memory.is_null() {
            memory.insert(key.clone(), resource.memory.clone());
        }
    }
    (memory, adopted)
}

/// Objects on their way out, and what becomes of them.
fn removed(known: &Known, document: &Document) -> Vec<Value> {
    let shown = |key: &ResourceKey| json!({ "kind": key.kind, "identity": key.identity, "region": key.region, "onRemove": fate(document, known.deleting, key) });
    known.leaving.keys().map(shown).collect()
}

/// Looks at every node: in bulk, followers after what they follow, and directly where a listing proves nothing.
async fn observe(shared: &Shared, document: &Document) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for followers in [false, true] {
        let mut groups: BTreeMap<Group, BTreeMap<ResourceKey, Option<String>>> = BTreeMap::new();
        for node in document.graph.nodes().iter().filter(|node| node.follows.is_some() == followers) {
            let known = |key: &ResourceKey| snapshot.get(key).map(SharedObject::clone);
            if let Start::At(at) = shared.start_of(node.follows.as_ref(), known) {
                groups.entry(Group::of(&node.key)).or_default().insert(node.key.clone(), at);
            }
        }
        let sweeps = groups.into_values().map(|keys| async move {
            let now = shared.clock.now();
            let result = shared.sweep(&keys, now).await;
            (keys, now, result)
        });
        let results: Vec<_> = futures::stream::iter(sweeps).buffer_unordered(READS_AT_ONCE).collect().await;
        let mut unlisted = BTreeMap::new();
        for (keys, now, result) in results {
            for (key, at) in keys {
                let observation = match &result {
                    Ok(observed) => observed.get(&key).cloned(),
                    Err(error) => {
                        let why = Unknown::Failed { class: error.class, message: error.to_string() };
                        Some(Observation::Unknown { since: now, why })
                    }
                };
                let missing = Observation::Unknown { since: now, why: Unknown::NotListed };
                let observation = observation.unwrap_or(missing);
                if matches!(observation, Observation::Absent | Observation::Unknown { why: Unknown::NotListed, .. }) {
                    unlisted.insert(key.clone(), at);
                }
                snapshot.set(key, observation);
            }
        }
        read_unlisted(shared, unlisted, &mut snapshot).await;
    }
    snapshot
}

/// Looks directly at objects on their way out, as a pass does; followers after what they follow.
async fn observe_leaving(shared: &Shared, leaving: &BTreeMap<ResourceKey, Leaving>, snapshot: &mut Snapshot) {
    for followers in [false, true] {
        let mut unread = BTreeMap::new();
        for (key, leaving) in leaving.iter().filter(|(_, leaving)| leaving.follows.is_some() == followers) {
            let unseen = matches!(snapshot.get(key), Observation::Unknown { why: Unknown::NotObservedYet, .. });
            let known = |key: &ResourceKey| snapshot.get(key).map(SharedObject::clone);
            if let (true, Start::At(at)) = (unseen, shared.start_of(leaving.follows.as_ref(), known)) {
                unread.insert(key.clone(), at);
            }
        }
        read_unlisted(shared, unread, snapshot).await;
    }
}

async fn read_unlisted(shared: &Shared, keys: BTreeMap<ResourceKey, Option<String>>, snapshot: &mut Snapshot) {
    let reads = keys.into_iter().map(|(key, at)| async move {
        let result = shared.read_only(&key, at, shared.clock.now()).await;
        (key, result)
    });
    let results: Vec<_> = futures::stream::iter(reads).buffer_unordered(READS_AT_ONCE).collect().await;
    for (key, result) in results {
        let observation = result.unwrap_or_else(|error| Observation::Unknown {
            since: shared.clock.now(),
            why: Unknown::Failed { class: error.class, message: error.to_string() },
        });
        snapshot.set(key, observation);
    }
}
