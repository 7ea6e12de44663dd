//! What a pass found, as it is stored: the environment's status, its managed resources, and events about what is new.
//!
//! Nothing here changes with time alone. Ages are joined when it is read, so that a pass that finds the same writes
//! nothing.

use engine::conditions::{self, EnvironmentFacts, ResourceFacts, Seen};
use engine::guard::Hold;
use engine::{EnvironmentPlan, Health, PlannedResource, requeue};
use jiff::{SignedDuration, Timestamp};
use model::condition::{self, Condition, ConditionStatus, ConditionType};
use model::{ActError, Effect, Observation, ObserveError, ResourceKey, ResourcePlan, Wait, WaitKind};
use serde::Deserialize as _;
use serde_json::{Value, json};
use store::{ChangeMove, NewEvent, PassRecord, ResourceUpsert};
use telemetry::metrics::EnvironmentGauges;

use super::govern::Outlook;
use super::leave::follows_json;
use super::plan::step_json;
use super::status::{gauges, said_of};
use super::{Outcome, Pass};
use crate::holdings::EnvName;
use crate::keys;
use crate::shared::Shared;

/// Waits on another object of the same environment: what ends them is that object's own wait or change.
const ON_ANOTHER: [&str; 5] =
    ["DependencyChanging", "DependencyNotReady", "DependencyUnknown", "ParentNotReady", "DependantsFirst"];

/// An environment that waits for a place under the blast-radius cap asks so often.
const CAP_POLL: SignedDuration = SignedDuration::from_mins(1);

/// What a pass records.
pub(super) struct Report {
    status: Value,
    resources: Vec<ResourceUpsert>,
    gone: Vec<store::ResourceKey>,
    events: Vec<NewEvent>,
    gauges: EnvironmentGauges,
    outlook: Outlook,
}

/// One resource with all that is said about it.
pub(super) struct Entry {
    pub(super) key: ResourceKey,
    pub(super) name: String,
    pub(super) resource: PlannedResource,
    pub(super) hold: Option<Hold>,
    pub(super) error: Option<ActError>,
    pub(super) retry_at: Option<Timestamp>,
    pub(super) seen: Seen,
    pub(super) since_write: bool,
    pub(super) agreed_before: bool,
    pub(super) leaving: bool,
}

impl Entry {
    pub(super) fn facts(&self) -> ResourceFacts<'_> {
        ResourceFacts {
            name: &self.name,
            seen: self.seen,
            since_write: self.since_write,
            plan: &self.resource.plan,
            hold: self.hold.as_ref(),
            error: self.error.as_ref(),
            health: self.resource.health.as_ref(),
            backup: self.resource.backup.as_ref(),
            agreed_before: self.agreed_before,
            leaving: self.leaving,
        }
    }
}

impl Report {
    /// What matters to changes of what was found.
    pub(super) fn outlook(&self) -> &Outlook {
        &self.outlook
    }

    pub(super) fn record<'a>(&'a self, pass: &Pass<'_>, changes: &'a [ChangeMove]) -> PassRecord<'a> {
        PassRecord {
            uid: pass.row.uid,
            generation: pass.row.generation,
            status: &self.status,
            resources: &self.resources,
            gone: &self.gone,
            events: &self.events,
            changes,
            now: pass.now,
        }
    }

    pub(super) fn publish(&self, shared: &Shared, name: &EnvName) {
        shared.metrics.environments.set(name, self.gauges.clone());
    }

    /// The answer to a reconcile request that this pass handled.
    pub(super) fn answer(&self) -> Value {
        json!({ "handled": true, "status": self.status })
    }
}

impl Pass<'_> {
    /// Puts together all that is said, and when the environment is worth looking at again.
    pub(super) fn report(&mut self, plan: &EnvironmentPlan) -> (Report, Outcome) {
        let entries = self.entries(plan);
        for entry in &entries {
            self.drift_of(entry);
            self.note_events(&entry.key, &entry.resource.plan.notes);
        }
        let resources: Vec<ResourceUpsert> = entries.iter().map(|entry| self.resource(entry)).collect();
        let facts: Vec<ResourceFacts<'_>> = entries.iter().map(Entry::facts).collect();
        let pause = self.pause();
        let credentials = self.shared.credentials.get(&self.shard.account);
        let conditions = conditions::environment(
            &old_conditions(&self.row.status["conditions"]),
            &EnvironmentFacts {
                now: self.now,
                generation: self.row.generation,
                resources: &facts,
                paused: pause.as_ref(),
                credentials: said_of(&credentials),
                invalid_spec: None,
                deleting: self.deleting(),
                rolled_back: self.rolled_back(),
            },
        );
        self.environment_transitions(&old_conditions(&self.row.status["conditions"]), &conditions);
        let outcome = self.outcome(&entries, pause.and_then(|pause| pause.until));
        let outlook = self.outlook(&entries, &conditions, &resources);
        let status = self.status(plan, &entries, &conditions);
        let gauges = gauges(&entries, &conditions);
        let report = Report {
            status,
            resources,
            gone: self.gone.iter().map(keys::to_store).collect(),
            events: std::mem::take(&mut self.events),
            gauges,
            outlook,
        };
        (report, outcome)
    }

    fn entries(&self, plan: &EnvironmentPlan) -> Vec<Entry> {
        let mut entries: Vec<Entry> = plan.resources.iter().map(|resource| self.entry(resource.clone())).collect();
        // What leaves and is not known to be there has no plan, and is still to be shown.
        for key in self.leaving.keys().filter(|key| !self.gone.contains(*key)) {
            if plan.resources.iter().any(|resource| resource.key == *key) || !self.rows.contains_key(key) {
                continue;
            }
            let message = format!("{key} is to be deleted, and not known now");
            entries.push(self.entry(PlannedResource {
                key: key.clone(),
                path: String::new(),
                plan: ResourcePlan::wait(Wait::new(WaitKind::Unknown, "NotObserved", message)),
                health: None,
                backup: None,
                adopted_now: false,
            }));
        }
        entries
    }

    fn entry(&self, mut resource: PlannedResource) -> Entry {
        let key = resource.key.clone();
        let leaving = self.leaving.contains_key(&key);
        let retry = self.memory.retries.get(&key).filter(|_| !resource.plan.steps.is_empty());
        if let Some(retry) = retry.filter(|retry| retry.error.is_none()) {
            let message = "it was written, and AWS does not show the effect yet";
            resource
                .plan
                .waits
                .push(Wait::new(WaitKind::Progressing, "NotEffectiveYet", message).until(retry.not_before));
        }
        if !resource.plan.steps.is_empty() && !self.may_leave(&key) {
            let message = "what needs it is deleted first";
            resource.plan.waits.push(Wait::new(WaitKind::Progressing, "DependantsFirst", message));
        }
        let error = retry.and_then(|retry| retry.error.clone());
        let error = error.or_else(|| self.read_errors.get(&key).map(as_act_error));
        Entry {
            name: key.to_string(),
            hold: self.holds.get(&key).cloned(),
            error,
            retry_at: retry.map(|retry| retry.not_before),
            seen: self.seen_as(&key),
            since_write: self.seen_since_write(&key),
            agreed_before: self.agreed_before(&key),
            leaving,
            key,
            resource,
        }
    }

    /// Drift that this pass did not repair has its event too; drift that is gone is forgotten.
    fn drift_of(&mut self, entry: &Entry) {
        if entry.facts().drifted() {
            for step in &entry.resource.plan.steps {
                self.drift_seen(&entry.key, step);
            }
        } else if entry.seen != Seen::Unknown {
            self.memory.detected.remove(&entry.key);
            self.memory.retries.retain(|key, _| *key != entry.key || !entry.resource.plan.steps.is_empty());
        }
    }

    /// One managed resource as it is stored. Events about what is new on the way.
    fn resource(&mut self, entry: &Entry) -> ResourceUpsert {
        let facts = entry.facts();
        let row = self.rows.get(&entry.key);
        let old = old_conditions(row.map_or(&Value::Null, |row| &row.conditions));
        let conditions = conditions::resource(&old, &facts, self.row.generation, self.now);
        let node = self.document.graph.get(&entry.key);
        let generation = self.row.generation;
        let synced = if facts.in_sync() { Some(generation) } else { self.synced_generation(&entry.key) };
        let steps: Vec<Value> = entry
            .resource
            .plan
            .steps
            .iter()
            .enumerate()
            .map(|(n, step)| step_json(&entry.key, step, entry.hold.as_ref().filter(|_| n == 0)))
            .collect();
        let needs: Vec<&ResourceKey> = node.map(|node| node.needs.iter().collect()).unwrap_or_default();
        let last_act = self.last_acts.get(&entry.key).cloned();
        let desired = node.map_or(Value::Null, |node| node.desired.to_json());
        let report = json!({
            "path": entry.resource.path,
            "observation": observation_json(&self.snapshot.get(&entry.key)),
            "risk": entry.resource.plan.risk(),
            "hold": entry.hold,
            "waits": entry.resource.plan.waits,
            "notes": entry.resource.plan.notes,
            "error": entry.error,
            "retryAt": entry.retry_at,
            "adoptedGeneration": self.memory.adopted.get(&entry.key),
            "syncedGeneration": synced,
            "wantedSince": node.and_then(|_| self.wanted_since(&entry.key, &desired)),
            "needs": if node.is_some() { json!(needs) } else { row.map_or(json!([]), |row| row.report["needs"].clone()) },
            "follows": match node {
                Some(node) => follows_json(node.follows.as_ref()),
                None => row.map_or(Value::Null, |row| row.report["follows"].clone()),
            },
            "leaving": entry.leaving,
            "lastAct": last_act.or_else(|| row.map(|row| row.report["lastAct"].clone())),
        });
        let upsert = ResourceUpsert {
            name: keys::resource_name(&self.row.name, &entry.key),
            key: keys::to_store(&entry.key),
            desired,
            observed: match self.snapshot.get(&entry.key) {
                Observation::Present(object) => object.to_json(),
                Observation::Absent => Value::Null,
                // What was last seen stays to be shown; the report says that it is not known now.
                Observation::Unknown { .. } => row.map_or(Value::Null, |row| row.observed.clone()),
            },
            diff: Value::Array(steps),
            conditions: json!(conditions),
            report,
            memory: entry.resource.plan.remember.clone().or_else(|| self.notes.get(&entry.key).cloned()),
        };
        self.transitions(entry, &old, &conditions);
        upsert
    }

    /// Events for what has just become blocked or stalled.
    fn transitions(&mut self, entry: &Entry, old: &[Condition], new: &[Condition]) {
        for kind in [ConditionType::Blocked, ConditionType::Stalled] {
            let Some(now) = condition::find(new, kind).filter(|now| now.status == ConditionStatus::True) else {
                continue;
            };
            let before = condition::find(old, kind);
            if before.is_some_and(|old| old.status == ConditionStatus::True && old.reason == now.reason) {
                continue;
            }
            // A stall is named by its cause; an act that failed has had its event.
            let reason = match kind {
                ConditionType::Stalled if now.reason.starts_with("Act") => continue,
                ConditionType::Stalled => now.reason.as_str(),
                _ => "Blocked",
            };
            let details = json!({
                "condition": kind,
                "reason": now.reason,
                "until": entry.hold.as_ref().and_then(|hold| hold.until),
            });
            self.event(&entry.key, "Warning", reason, now.message.clone(), details);
        }
    }

    /// Events for what has just become bad for the environment as a whole.
    fn environment_transitions(&mut self, old: &[Condition], new: &[Condition]) {
        for kind in [ConditionType::BackupHealthy, ConditionType::CredentialsValid] {
            let is_false = |list| condition::find(list, kind).filter(|c| c.status == ConditionStatus::False);
            if let (None, Some(now)) = (is_false(old), is_false(new)) {
                let reason = match kind {
                    ConditionType::CredentialsValid => "CredentialsRejected",
                    _ => now.reason.as_str(),
                };
                let details = json!({ "condition": kind, "reason": now.reason });
                self.environment_event("Warning", reason, &now.message, details);
            }
        }
    }

    fn outcome(&self, entries: &[Entry], pause_ends: Option<Timestamp>) -> Outcome {
        let waits = || entries.iter().flat_map(|entry| &entry.resource.plan.waits);
        // A back-off that began in this pass may have ended before it; nothing else comes back to the object then.
        let acted = |entry: &&Entry| self.acts.contains_key(&entry.key) && self.stopped.contains(&entry.key);
        let tried_again = entries.iter().filter(acted).filter_map(|entry| entry.retry_at);
        let ends = waits()
            .filter_map(|wait| wait.until)
            .chain(entries.iter().filter_map(|entry| entry.hold.as_ref()?.until))
            .chain(entries.iter().filter_map(|entry| entry.retry_at))
            // A backup that the calendar makes due.
            .chain(entries.iter().filter_map(|entry| entry.resource.backup.as_ref()?.next))
            .chain(pause_ends)
            // When a place under the cap becomes free nobody says.
            .chain(self.cap.as_ref().and_then(|_| self.now.checked_add(CAP_POLL).ok()))
            .filter(|at| *at > self.now)
            .chain(tried_again)
            // The lease is renewed in a moment.
            .chain(self.short_of_time.then_some(self.now))
            .min();
        let polled = |wait: &Wait| {
            wait.kind == WaitKind::Progressing && wait.until.is_none() && !ON_ANOTHER.contains(&&*wait.reason)
        };
        let on_its_way = |entry: &Entry| matches!(entry.resource.health, Some(Health::Progressing { .. }));
        let window = engine::guard::HoldReason::OutsideWindow;
        let held_by_window = entries.iter().any(|entry| entry.hold.as_ref().is_some_and(|hold| hold.reason == window));
        Outcome {
            failure: requeue::gravest(self.read_errors.values().map(|error| error.class)),
            more: self.more,
            progressing: waits().any(polled) || entries.iter().any(on_its_way),
            until: ends,
            window_edge: held_by_window.then(|| self.document.windows.next_edge(self.now)).flatten(),
            forget: false,
        }
    }
}

/// Stored conditions; one that another release wrote and this one cannot read begins anew.
pub(super) fn old_conditions(stored: &Value) -> Vec<Condition> {
    let all = stored.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|condition| Condition::deserialize(condition).ok()).collect()
}

fn as_act_error(error: &ObserveError) -> ActError {
    ActError {
        class: error.class,
        effect: Effect::NotApplied,
        operation: error.operation.clone(),
        code: error.code.clone(),
        message: error.message.clone(),
        request_id: error.request_id.clone(),
    }
}

fn observation_json(observation: &Observation<&model::SharedObject>) -> Value {
    match observation {
        Observation::Absent => json!({ "state": "Absent" }),
        Observation::Present(_) => json!({ "state": "Present" }),
        Observation::Unknown { since, why } if *since == Timestamp::MIN => json!({ "state": "Unknown", "why": why }),
        Observation::Unknown { since, why } => json!({ "state": "Unknown", "since": since, "why": why }),
    }
}
