//! What a pass would do: a plan of a stored or a given spec against fresh observations. Changes nothing, neither in AWS
//! nor in the store nor in the cache.

use std::collections::{BTreeMap, BTreeSet};

use engine::guard::{Guard, StepFacts, Verdict};
use engine::plan::EnvironmentContext;
use engine::{Snapshot, plan_environment};
use futures::StreamExt as _;
use model::env::{Metadata, Mode};
use model::{Observation, ResourceKey, SharedObject, Unknown};
use serde_json::{Value, json};
use store::{EnvironmentRow, OperatorMode};

use super::Document;
use super::plan::{gated_json, step_json};
use crate::holdings::Group;
use crate::keys;
use crate::look::Start;
use crate::shared::Shared;

const READS_AT_ONCE: usize = 8;

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
    let snapshot = observe(shared, &document).await;
    answer(shared, row.as_ref(), &document, &snapshot).await
}

async fn answer(
    shared: &Shared,
    row: Option<&EnvironmentRow>,
    document: &Document,
    snapshot: &Snapshot,
) -> Result<Value, store::Error> {
    let now = shared.clock.now();
    let (memory, adopted_now) = remembered(shared, row, document.generation).await?;
    let policy = &document.environment.spec.policy;
    let context = EnvironmentContext {
        now,
        environment: &document.environment.metadata.name,
        policy,
        memory: &memory,
        adopted_now: &adopted_now,
    };
    let plan = plan_environment(&shared.registry, &document.graph, snapshot, &context);
    let approved: Vec<String> = match row {
        Some(row) => {
            let approvals = shared.store.valid_approvals(row.uid, now).await?;
            approvals.into_iter().flat_map(|approval| approval.steps).collect()
        }
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
        paused: row.and_then(|row| super::load::pause_of(row, now)),
        cap: None,
        generation: document.generation,
        approved: &approved,
    };
    let resources: Vec<Value> = plan
        .resources
        .iter()
        .map(|resource| {
            let steps: Vec<Value> = resource
                .plan
                .steps
                .iter()
                .map(|step| {
                    let facts = StepFacts { adopted_now: resource.adopted_now, ..StepFacts::default() };
                    match guard.judge(&resource.key, step, &facts) {
                        Verdict::Allow => step_json(&resource.key, step, None),
                        Verdict::Hold(hold) => step_json(&resource.key, step, Some(&hold)),
                    }
                })
                .collect();
            json!({
                "kind": resource.key.kind,
                "identity": resource.key.identity,
                "region": resource.key.region,
                "path": resource.path,
                "inSync": resource.plan.steps.is_empty() && resource.plan.waits.is_empty(),
                "risk": resource.plan.risk(),
                "steps": steps,
                "waits": resource.plan.waits,
                "notes": resource.plan.notes,
            })
        })
        .collect();
    let steps = plan.resources.iter().map(|resource| resource.plan.steps.len()).sum::<usize>();
    let removed = removed(shared, row, document).await?;
    let gated = gated_json(&guard, &plan);
    Ok(json!({
        "generation": document.generation,
        "observedAt": now,
        "summary": { "resources": resources.len(), "steps": steps },
        "hash": gated.as_ref().map(|gated| gated["hash"].clone()),
        "gated": gated,
        "resources": resources,
        "removed": removed,
    }))
}

/// What kinds remember, and which objects this generation adopted.
async fn remembered(
    shared: &Shared,
    row: Option<&EnvironmentRow>,
    generation: i64,
) -> Result<(BTreeMap<ResourceKey, Value>, BTreeSet<ResourceKey>), store::Error> {
    let (mut memory, mut adopted) = (BTreeMap::new(), BTreeSet::new());
    let Some(row) = row else { return Ok((memory, adopted)) };
    for (key, resource) in shared.store.resources_of(row.uid).await? {
        let Some(key) = keys::from_store(&key) else { continue };
        if resource.report.get("adoptedGeneration").and_then(Value::as_i64) == Some(generation) {
            adopted.insert(key.clone());
        }
        if !resource.memory.is_null() {
            memory.insert(key, resource.memory);
        }
    }
    Ok((memory, adopted))
}

/// Objects that the spec no longer declares, and what becomes of them.
async fn removed(
    shared: &Shared,
    row: Option<&EnvironmentRow>,
    document: &Document,
) -> Result<Vec<Value>, store::Error> {
    let Some(row) = row else { return Ok(Vec::new()) };
    let rows = shared.store.resources_of(row.uid).await?;
    let gone = rows.keys().filter_map(keys::from_store);
    Ok(gone
        .filter(|key| document.graph.get(key).is_none())
        .map(|key| {
            json!({
                "kind": key.kind,
                "identity": key.identity,
                "region": key.region,
                "onRemove": document.environment.spec.policy.on_remove,
            })
        })
        .collect())
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
