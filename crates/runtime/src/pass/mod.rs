//! One pass over one environment: observe → plan → guard → act → verify → record.
//!
//! It works on what the cache knows, looks directly at what is unknown and at what it is about to touch, carries out
//! the first step of a resource that the guard lets through, looks again, and plans anew, until nothing is left to do
//! now. It retries nothing, waits for nothing, and gets no hint of what changed.

mod act;
mod converge;
pub(crate) mod diagnose;
mod document;
mod events;
mod govern;
mod history;
mod leave;
mod load;
mod look;
mod plan;
mod posted;
pub(crate) mod preview;
mod recover;
mod report;
pub(crate) mod requested;
mod rollback;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::Snapshot;
use engine::graph::Follow;
use engine::guard::{Approved, Cap, Hold};
use jiff::Timestamp;
use model::env::Mode;
use model::{ActError, Class, Effect, ObserveError, ResourceKey, Step, Wait};
use serde_json::Value;
use store::{Approval, EnvironmentRow, JournalRow, ManagedResourceRow, NewEvent};
use telemetry::metrics::ReconcileResult;
use uuid::Uuid;

use crate::cache::Ticket;
use crate::holdings::EnvName;
use crate::shared::{Shard, Shared};

pub(crate) use document::Document;
pub(crate) use load::run;

/// What one pass leaves for the next of the same environment. Lost with the process: all of it can be found again.
#[derive(Debug)]
pub(crate) struct Memory {
    uid: Uuid,
    epoch: i64,
    document: Option<Arc<Document>>,
    /// Only what was observed after this was observed after the generation was written.
    written: Ticket,
    /// Which generation adopted an object.
    adopted: BTreeMap<ResourceKey, i64>,
    /// Objects that are not written to for a while.
    retries: BTreeMap<ResourceKey, Retry>,
    /// Writes of which no effect was seen yet. When it shows, or does not, the journal is told.
    suspects: BTreeMap<ResourceKey, Vec<Suspect>>,
    /// When drift was first seen.
    detected: BTreeMap<ResourceKey, Timestamp>,
    /// When a fresh look at everything was asked for last.
    look_asked: Option<Timestamp>,
    /// Who wrote the generation, and why.
    revision: Option<Written>,
}

/// Who wrote a generation, and why.
#[derive(Debug, Clone)]
struct Written {
    generation: i64,
    author: String,
    message: String,
}

/// A write that was carried out and of which no effect was seen yet.
#[derive(Debug, Clone)]
struct Suspect {
    /// Of the journal row.
    id: i64,
    generation: i64,
    print: String,
    step: Step,
    /// What the plan waited for beside it.
    waits: Vec<Wait>,
    request_id: Option<String>,
    /// It was planned again: the journal says so already.
    without_effect: bool,
    /// The same write, made again, had its effect, and that has been told.
    told: bool,
}

/// An object is not written to before a time, because a write failed or showed no effect.
#[derive(Debug, Clone)]
struct Retry {
    /// How often in a row a write failed.
    attempts: u32,
    /// How often in a row a write showed no effect.
    effect_waits: u32,
    not_before: Timestamp,
    /// `None`: it succeeded and showed no effect.
    error: Option<ActError>,
    /// The write, and the generation that asked for it.
    print: String,
    generation: i64,
}

impl Retry {
    /// As the journal knows it, after a crash.
    fn found(row: &JournalRow, not_before: Timestamp) -> Self {
        let print = history::print_of(row).to_owned();
        Self { attempts: 0, effect_waits: 1, not_before, error: None, print, generation: row.generation }
    }

    /// AWS may have carried it out, and be late to show it: whoever asks for the same again may get it twice.
    fn may_show(&self) -> bool {
        self.error.as_ref().is_none_or(|error| error.effect == Effect::Unknown)
    }

    /// Whether it holds a write back: any of its own generation, of a later one the same write.
    fn holds(&self, generation: i64, print: &str, now: Timestamp) -> bool {
        self.not_before > now && (self.generation == generation || self.print == print)
    }
}

/// What a pass says about its environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// The class of its gravest failure, of the pass as a whole.
    pub(crate) failure: Option<Class>,
    /// Work is left that can go on at once.
    pub(crate) more: bool,
    /// Something is under way in AWS.
    pub(crate) progressing: bool,
    /// The earliest known end of a wait or hold.
    pub(crate) until: Option<Timestamp>,
    /// The next edge of a window, when a step waits for one.
    pub(crate) window_edge: Option<Timestamp>,
    /// The environment is gone, or another replica's: nothing is to be looked at again.
    pub(crate) forget: bool,
}

impl Outcome {
    fn idle() -> Self {
        Self { failure: None, more: false, progressing: false, until: None, window_edge: None, forget: false }
    }

    fn failed(class: Class) -> Self {
        Self { failure: Some(class), ..Self::idle() }
    }

    fn forget() -> Self {
        Self { forget: true, ..Self::idle() }
    }

    /// In controller-runtime's words.
    pub(crate) fn result(&self) -> ReconcileResult {
        if self.failure.is_some() {
            ReconcileResult::Error
        } else if self.more {
            ReconcileResult::Requeue
        } else if self.progressing || self.until.is_some() {
            ReconcileResult::RequeueAfter
        } else {
            ReconcileResult::Success
        }
    }
}

/// An object on its way out, as its node was or is.
#[derive(Debug, Clone, Default)]
struct Leaving {
    needs: BTreeSet<ResourceKey>,
    follows: Option<Follow>,
}

/// Why a pass ends early.
#[derive(Debug, thiserror::Error)]
enum Halt {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] store::Error),
}

/// One pass.
struct Pass<'a> {
    shared: &'a Shared,
    shard: &'a Shard,
    name: &'a EnvName,
    row: EnvironmentRow,
    document: Arc<Document>,
    operator_mode: Mode,
    cap_limit: Option<u64>,
    rows: BTreeMap<ResourceKey, ManagedResourceRow>,
    memory: Memory,
    /// A user asked for it: what is held back for lack of effect is tried once more.
    requests: BTreeSet<Uuid>,
    now: Timestamp,

    snapshot: Snapshot,
    /// When what the pass took from the cache was seen.
    seen_at: BTreeMap<ResourceKey, Ticket>,
    /// Where each follower's observation was read.
    read_at: BTreeMap<ResourceKey, Option<String>>,
    /// Where an act said that its object is to be read from now on.
    moved: BTreeMap<ResourceKey, String>,
    /// Directly read in this pass.
    looked: BTreeSet<ResourceKey>,
    /// Tried to.
    tried: BTreeSet<ResourceKey>,
    read_errors: BTreeMap<ResourceKey, ObserveError>,

    /// Kinds' notes for the next pass.
    notes: BTreeMap<ResourceKey, Value>,
    unresolved: Vec<JournalRow>,
    approvals: Option<Vec<Approval>>,
    approved: Vec<Approved>,
    histories: BTreeMap<ResourceKey, Vec<JournalRow>>,
    /// This environment counts among those changed this hour.
    counted: bool,
    cap: Option<Cap>,
    holds: BTreeMap<ResourceKey, Hold>,

    /// Objects on their way out.
    leaving: BTreeMap<ResourceKey, Leaving>,
    /// Objects no longer managed.
    gone: BTreeSet<ResourceKey>,

    /// Not acted on again in this pass.
    stopped: BTreeSet<ResourceKey>,
    acts: BTreeMap<ResourceKey, u32>,
    last_acts: BTreeMap<ResourceKey, Value>,
    acted_prints: BTreeSet<String>,
    /// Drift and notes that have an event already.
    reported: BTreeSet<String>,
    events: Vec<NewEvent>,
    more: bool,
    /// The lease is too short for another call: nothing else is begun.
    short_of_time: bool,
}

impl Pass<'_> {
    fn deleting(&self) -> bool {
        self.row.deletion_requested_at.is_some()
    }

    /// The generation with which a resource was last in sync, as stored.
    fn synced_generation(&self, key: &ResourceKey) -> Option<i64> {
        self.rows.get(key)?.report.get("syncedGeneration")?.as_i64()
    }

    /// The generation since which an object is wanted as it is wanted now, if that is known: a release that did not note it
    /// may have stored the object.
    fn wanted_since(&self, key: &ResourceKey, desired: &Value) -> Option<i64> {
        match self.rows.get(key) {
            Some(row) if row.desired == *desired => row.report.get("wantedSince")?.as_i64(),
            _ => Some(self.row.generation),
        }
    }

    fn agreed_before(&self, key: &ResourceKey) -> bool {
        self.synced_generation(key) == Some(self.row.generation)
    }
}
