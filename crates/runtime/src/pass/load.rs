//! The beginning and the end of a pass: what it needs is read, and what it found is recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::Snapshot;
use engine::guard::Pause;
use model::env::{Mode, OnDelete};
use model::{AwsAccountId, Class, ResourceKey};
use serde_json::json;
use store::{EnvironmentRow, OperatorMode, OperatorRow, StatusOutcome};
use telemetry::ErrorChain;

use super::document::{Document, InvalidSpec};
use super::{Halt, Memory, Outcome, Pass, Retry, Written, history};
use crate::holdings::{EnvName, Group};
use crate::keys;
use crate::queue::Priority;
use crate::shared::{CredentialState, Shard, Shared, lock};

/// So many journal rows tell which objects were adopted by steps whose pass did not live to record it.
const JOURNAL_LOOK_BACK: u32 = 500;

/// Runs one pass over an environment. Never fails: all it learns is in the outcome.
pub(crate) async fn run(shared: &Shared, name: &EnvName) -> Outcome {
    let row = match shared.store.get_environment(name).await {
        Ok(row) => row,
        Err(store::Error::NotFound { .. }) => {
            let requests = shared.take_requests(name);
            let answer =
                json!({ "error": { "reason": "NotFound", "message": format!("there is no environment {name}") } });
            for request in requests {
                if let Err(error) = shared.answer(request, &answer).await {
                    tracing::warn!(error = %ErrorChain(&error), "a request was not answered");
                }
            }
            return Outcome::forget();
        }
        Err(error) => return store_failed(&error),
    };
    let shard = AwsAccountId::parse(&row.account).ok().and_then(|account| shared.shards.get(&account));
    let Some(shard) = shard else {
        shared.take_requests(name);
        return Outcome::forget();
    };
    let ours = row.finalizers.iter().any(|finalizer| finalizer == store::FINALIZER);
    let result = if row.deletion_requested_at.is_some() && !ours {
        finalised(shared, &shard, name, &row).await
    } else {
        pass(shared, &shard, name, row).await
    };
    match result {
        Ok(outcome) => outcome,
        Err(Halt::Store(store::Error::StaleEpoch { .. })) => {
            // Whoever owns the shard now goes on. If it is still us, soon.
            Outcome { failure: Some(Class::Conflict), ..Outcome::idle() }
        }
        Err(Halt::Store(store::Error::NotFound { kind: "Environment", .. })) => Outcome::forget(),
        Err(Halt::Store(error)) => store_failed(&error),
    }
}

/// A deletion of which our part is done, or was taken from us: AWS stays as it is. The environment goes when nobody else
/// holds it.
async fn finalised(shared: &Shared, shard: &Shard, name: &EnvName, row: &EnvironmentRow) -> Result<Outcome, Halt> {
    if row.finalizers.is_empty() {
        shared.store.remove_environment(row.uid, Some(&shard.fence)).await?;
    }
    for request in shared.take_requests(name) {
        shared.answer(request, &json!({ "handled": true, "deleted": true })).await?;
    }
    Ok(Outcome::forget())
}

fn store_failed(error: &store::Error) -> Outcome {
    tracing::warn!(error = %ErrorChain(error), "the pass ends: the store failed");
    Outcome::failed(Class::Transient)
}

async fn pass(shared: &Shared, shard: &Shard, name: &EnvName, row: EnvironmentRow) -> Result<Outcome, Halt> {
    let mut memory = remembered(shared, shard, name, &row).await?;
    let document = match document(shared, shard, name, &row, &mut memory) {
        Ok(document) => document,
        Err(error) => return invalid(shared, shard, name, &row, memory, &error).await,
    };
    let requests = shared.take_requests(name);
    let mut pass = match Pass::load(shared, shard, name, row, document, &mut memory, requests.clone()).await {
        Ok(pass) => pass,
        Err(halt) => {
            shared.keep_memory(name, memory);
            shared.keep_requests(name, requests);
            return Err(halt);
        }
    };
    let result = pass.work().await;
    let memory = std::mem::replace(&mut pass.memory, Memory::new(pass.row.uid, shard.fence.epoch));
    // A shard that is lost was forgotten, and is not to be remembered again.
    if !shard.stop.is_cancelled() {
        shared.keep_memory(name, memory);
    }
    if result.is_err() {
        // Not handled: the next pass is to answer them.
        shared.keep_requests(name, requests);
    }
    result
}

impl Memory {
    /// The generation that the last pass worked on.
    pub(crate) fn generation(&self) -> Option<i64> {
        self.document.as_ref().map(|document| document.generation)
    }

    fn new(uid: uuid::Uuid, epoch: i64) -> Self {
        Self {
            uid,
            epoch,
            document: None,
            written: crate::cache::Ticket::default(),
            adopted: BTreeMap::new(),
            retries: BTreeMap::new(),
            suspects: BTreeMap::new(),
            detected: BTreeMap::new(),
            look_asked: None,
            revision: None,
        }
    }
}

/// The memory of the last pass; or a new one, with what the journal knows.
async fn remembered(shared: &Shared, shard: &Shard, name: &EnvName, row: &EnvironmentRow) -> Result<Memory, Halt> {
    if let Some(memory) = shared.take_memory(name)
        && memory.uid == row.uid
        && memory.epoch == shard.fence.epoch
    {
        return Ok(memory);
    }
    let mut memory = Memory::new(row.uid, shard.fence.epoch);
    let journal = shared.store.mutations_of(row.uid, JOURNAL_LOOK_BACK).await?;
    // Oldest first: of each object the last write counts.
    for entry in journal.iter().rev() {
        if let Some(key) = keys::from_store(&entry.resource) {
            match history::to_await(entry, shared.config.effect_poll, shared.clock.now()) {
                Some(not_before) => memory.retries.insert(key, Retry::found(entry, not_before)),
                None => memory.retries.remove(&key),
            };
        }
    }
    let adoptions = journal
        .iter()
        .filter(|entry| history::adopts(entry) && entry.outcome != Some(store::MutationOutcome::NotApplied));
    for entry in adoptions {
        if let Some(key) = keys::from_store(&entry.resource) {
            let generation = memory.adopted.entry(key).or_insert(entry.generation);
            *generation = (*generation).max(entry.generation);
        }
    }
    Ok(memory)
}

/// The document of the row's generation; read once, and looked after by the observer from then on.
fn document(
    shared: &Shared,
    shard: &Shard,
    name: &EnvName,
    row: &EnvironmentRow,
    memory: &mut Memory,
) -> Result<Arc<Document>, InvalidSpec> {
    if let Some(document) = memory.document.as_ref().filter(|document| document.generation == row.generation) {
        return Ok(Arc::clone(document));
    }
    // A new generation: what was seen before it was written does not count, and old failures may have lost their cause.
    // What AWS may be about to show is still to be waited for, or the same would be made twice.
    memory.written = shared.cache.ticket();
    memory.retries.retain(|_, retry| retry.may_show());
    memory.look_asked = None;
    memory.document = None;
    let taken_over = lock(&shared.taken_over).remove(name);
    let document = match taken_over {
        // What was seen since the shard was taken over was seen after this generation was written.
        Some((uid, before, document)) if uid == row.uid && document.generation == row.generation => {
            memory.written = before;
            document
        }
        _ => Arc::new(Document::read(&shared.registry, &shared.config.installation, row)?),
    };
    let new = shared.holdings.set(name, &shard.account, Arc::clone(&document.graph));
    shared.wishes.soon(new);
    shared.cache.retain(|key| shared.holdings.watched(key));
    memory.document = Some(Arc::clone(&document));
    Ok(document)
}

/// A stored spec that this release cannot use: said in the status; nothing is touched.
async fn invalid(
    shared: &Shared,
    shard: &Shard,
    name: &EnvName,
    row: &EnvironmentRow,
    memory: Memory,
    error: &InvalidSpec,
) -> Result<Outcome, Halt> {
    tracing::warn!(environment = %name, %error, "the stored spec cannot be used");
    if row.deletion_requested_at.is_some() && retains(&row.spec) {
        // Nothing of it would be deleted: what the rest of the spec says does not matter.
        shared.store.write_events(&[super::leave::released(row, shared.clock.now())]).await?;
        shared.store.remove_environment(row.uid, Some(&shard.fence)).await?;
        for request in shared.take_requests(name) {
            shared.answer(request, &json!({ "handled": true, "deleted": true })).await?;
        }
        return Ok(Outcome::forget());
    }
    shared.keep_memory(name, memory);
    shared.store.write_events(super::events::unusable(row, &error.0, shared.clock.now()).as_slice()).await?;
    let status = super::status::invalid_status(shared, shard, row, &error.0);
    let write = store::StatusWrite { uid: row.uid, generation: row.generation, status: &status };
    shared.store.write_status(write, &shard.fence).await?;
    for request in shared.take_requests(name) {
        shared.answer(request, &json!({ "handled": true, "status": status })).await?;
    }
    Ok(Outcome::idle())
}

/// Whether a spec that cannot be used as a whole says for sure that its deletion lets everything go.
fn retains(spec: &serde_json::Value) -> bool {
    let rule = spec.get("policy").and_then(|policy| policy.get("onDelete"));
    rule.is_none_or(|rule| *rule == json!(OnDelete::Retain))
}

impl<'a> Pass<'a> {
    async fn load(
        shared: &'a Shared,
        shard: &'a Shard,
        name: &'a EnvName,
        row: EnvironmentRow,
        document: Arc<Document>,
        // Left as it is when the store fails.
        memory: &mut Memory,
        requests: BTreeSet<uuid::Uuid>,
    ) -> Result<Self, Halt> {
        let operator = shared.store.get_operator().await?;
        let cap_limit = cap_limit(shared, &operator).await?;
        let stored = shared.store.resources_of(row.uid).await?;
        let unresolved = shared.store.unresolved_mutations(row.uid).await?;
        let mut rows = BTreeMap::new();
        let mut notes = BTreeMap::new();
        for (key, resource) in stored {
            let Some(key) = keys::from_store(&key) else { continue };
            if !resource.memory.is_null() {
                notes.insert(key.clone(), resource.memory.clone());
            }
            if let Some(generation) = resource.report.get("adoptedGeneration").and_then(serde_json::Value::as_i64) {
                let known = memory.adopted.entry(key.clone()).or_insert(generation);
                *known = (*known).max(generation);
            }
            rows.insert(key, resource);
        }
        if !requests.is_empty() {
            memory.retries.clear();
        }
        if memory.revision.as_ref().is_none_or(|written| written.generation != row.generation) {
            memory.revision = match shared.store.get_revision(&row.name, row.revision).await {
                Ok(revision) => {
                    Some(Written { generation: row.generation, author: revision.author, message: revision.message })
                }
                Err(store::Error::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            };
        }
        let now = shared.clock.now();
        let memory = std::mem::replace(memory, Memory::new(row.uid, shard.fence.epoch));
        let mut pass = Self {
            shared,
            shard,
            name,
            row,
            document,
            operator_mode: match operator.mode {
                OperatorMode::Enforce => Mode::Enforce,
                OperatorMode::Observe => Mode::Observe,
            },
            cap_limit,
            rows,
            memory,
            requests,
            now,
            snapshot: Snapshot::default(),
            seen_at: BTreeMap::new(),
            read_at: BTreeMap::new(),
            moved: BTreeMap::new(),
            looked: BTreeSet::new(),
            tried: BTreeSet::new(),
            read_errors: BTreeMap::new(),
            notes,
            unresolved,
            approvals: None,
            approved: Vec::new(),
            histories: BTreeMap::new(),
            counted: false,
            cap: None,
            holds: BTreeMap::new(),
            leaving: BTreeMap::new(),
            gone: BTreeSet::new(),
            stopped: BTreeSet::new(),
            acts: BTreeMap::new(),
            last_acts: BTreeMap::new(),
            acted_prints: BTreeSet::new(),
            reported: BTreeSet::new(),
            events: Vec::new(),
            more: false,
            short_of_time: false,
        };
        pass.find_leaving();
        pass.load_snapshot();
        Ok(pass)
    }

    /// Converges, records, answers.
    async fn work(&mut self) -> Result<Outcome, Halt> {
        self.hear_annotation();
        if self.deleting() && self.document.environment.spec.policy.on_delete == OnDelete::Retain {
            return self.release().await;
        }
        let plan = self.converge().await?;
        if self.deleting() && self.nothing_left() {
            return self.remove().await;
        }
        self.consume_approvals(&plan).await?;
        if self.nothing_known() {
            // The status says so already: it was written with the spec.
            let mut outcome = Outcome::idle();
            self.ask_for_a_look(&mut outcome);
            return Ok(outcome);
        }
        let (report, mut outcome) = self.report(&plan);
        let governed = self.govern(&plan, report.outlook()).await?;
        let record = report.record(self, &governed.moves);
        let recorded = self.shared.store.record_pass(&record, &self.shard.fence).await?;
        if let StatusOutcome::Superseded { .. } = recorded.status {
            outcome.more = true;
        }
        report.publish(self.shared, self.name);
        outcome.until = [outcome.until, governed.until].into_iter().flatten().min();
        outcome.more |= self.write_spec(governed.spec).await?;
        self.ask_for_a_look(&mut outcome);
        for request in &self.requests {
            self.shared.answer(*request, &report.answer()).await?;
        }
        Ok(outcome)
    }

    /// `Synced` needs every object looked at after the spec was written: if some were not, the observer is asked for a
    /// look at those. While looks fail that is not asked for again at once.
    fn ask_for_a_look(&mut self, outcome: &mut Outcome) {
        let missing = self.document.graph.claims().filter(|node| !self.seen_since_write(&node.key));
        let groups: BTreeSet<Group> = missing.map(|node| Group::of(&node.key)).collect();
        if groups.is_empty() || self.shared.wishes.is_waiting(self.name) {
            return;
        }
        let patience = jiff::SignedDuration::try_from(self.shared.config.hot_period).unwrap_or_default();
        let again = self.memory.look_asked.and_then(|asked| asked.checked_add(patience).ok());
        if let Some(again) = again.filter(|again| *again > self.now) {
            outcome.until = Some(outcome.until.map_or(again, |until| until.min(again)));
            return;
        }
        self.memory.look_asked = Some(self.now);
        self.shared.wishes.fresh(self.name, groups, self.memory.written, Priority::User, None);
    }

    /// Whether nobody has looked at anything yet, and nothing else is to be said.
    fn nothing_known(&self) -> bool {
        let graph = &self.document.graph;
        self.requests.is_empty()
            && !self.deleting()
            && self.leaving.is_empty()
            && graph.claims().next().is_some()
            && graph.claims().all(|node| self.shared.cache.get(&node.key).is_none())
            && matches!(
                self.shared.credentials.get(&self.shard.account),
                CredentialState::NotChecked | CredentialState::Valid
            )
    }

    /// Whether what is known of an object was seen after the generation was written.
    pub(super) fn seen_since_write(&self, key: &ResourceKey) -> bool {
        self.looked.contains(key) || self.seen_at.get(key).is_some_and(|seen| *seen > self.memory.written)
    }

    /// The pause, unless it has ended. A deletion goes on in spite of it.
    pub(super) fn pause(&self) -> Option<Pause> {
        pause_of(&self.row, self.now).filter(|_| !self.deleting())
    }
}

/// An environment's pause, unless it has ended.
pub(super) fn pause_of(row: &EnvironmentRow, now: jiff::Timestamp) -> Option<Pause> {
    let pause = row.pause.as_ref().filter(|pause| pause.until.is_none_or(|until| until > now))?;
    Some(Pause { owner: pause.owner.clone(), reason: pause.reason.clone(), until: pause.until })
}

/// How many environments may be changed within an hour.
async fn cap_limit(shared: &Shared, operator: &OperatorRow) -> Result<Option<u64>, Halt> {
    let count = operator.caps.count.map(i64::unsigned_abs).or(shared.config.cap_count);
    let Some(share) = operator.caps.share.or(shared.config.cap_share) else { return Ok(count) };
    let all = shared.store.count_environments().await?;
    // A share that allows none would stop small installations for good.
    let by_share = ((all as f64 * share).floor() as u64).max(u64::from(share > 0.0));
    Ok(Some(count.map_or(by_share, |count| count.min(by_share))))
}
