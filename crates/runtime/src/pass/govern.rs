//! What becomes of the environment's open changes after a pass. The engine decides; here is what it needs to know, and how
//! its verdicts are written: together with the pass's record, under the lease's epoch, each from the version that was
//! read. A crash before that leaves the changes as they were, and the next pass finds the same.

use std::collections::BTreeSet;

use engine::EnvironmentPlan;
use engine::changes::{self, Apply, Closed, DRIFT, Failure, Found, Open, Origin, Phase, ROLLBACK, Requires, Verdict};
use engine::conditions::Seen;
use engine::guard::{self, Guard, Hold};
use jiff::{SignedDuration, Timestamp};
use model::condition::{self, Condition, ConditionStatus, ConditionType};
use model::env::Mode;
use model::{Class, Observation, ResourceKey, Unknown};
use serde_json::{Value, json};
use store::{ChangeMove, ChangeRow, ChangeUpdate, ChangeWrite, NewChange, NewEvent, ResourceUpsert};

use super::plan::{approved, plan_json};
use super::report::{Entry, old_conditions};
use super::{Halt, Pass, history};
use crate::keys;

/// So many journal rows tell what a generation touched.
const JOURNAL_LOOK_BACK: u32 = 500;
/// So many steps are named in a sentence.
const MOST_NAMED: usize = 3;

/// What a pass found, as far as it matters to changes.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    complete: bool,
    converged: bool,
    hold: Option<Hold>,
    progressing: Option<(String, String)>,
    troubles: Vec<Trouble>,
}

/// A resource that does not serve as it should.
#[derive(Debug)]
struct Trouble {
    key: ResourceKey,
    /// What it rests on.
    needs: BTreeSet<ResourceKey>,
    /// Its own step is stuck.
    stuck: Option<Failure>,
    /// What exists does not serve, and makes no progress.
    ailing: Option<Failure>,
    /// It does not serve, or not yet.
    unready: Option<Failure>,
}

/// What is to be written about changes.
#[derive(Debug, Default)]
pub(super) struct Governed {
    /// With the pass's record.
    pub(super) moves: Vec<ChangeMove>,
    /// After it: the next spec.
    pub(super) spec: Option<NextSpec>,
    /// When time alone makes a difference.
    pub(super) until: Option<Timestamp>,
}

/// A spec that the daemon writes: a failed change taken back, or a change whose plan was not known when it was posted.
#[derive(Debug)]
pub(super) enum NextSpec {
    Back(Box<ChangeRow>, Vec<Failure>),
    Posted(Box<ChangeRow>, Box<super::document::NewVersion>, Value),
}

impl Pass<'_> {
    /// Why the present spec is one that the daemon took back to, if it is.
    pub(super) fn rolled_back(&self) -> Option<&str> {
        let written = self.memory.revision.as_ref().filter(|written| written.generation == self.row.generation)?;
        (written.author == ROLLBACK).then_some(written.message.as_str())
    }

    /// What of all that was found matters to changes.
    pub(super) fn outlook(&self, entries: &[Entry], conditions: &[Condition], resources: &[ResourceUpsert]) -> Outlook {
        let is_true =
            |kind| condition::find(conditions, kind).is_some_and(|found| found.status == ConditionStatus::True);
        let looked_at = |entry: &Entry| {
            entry.seen != Seen::Unknown
                || matches!(self.snapshot.get(&entry.key), Observation::Unknown { why: Unknown::Failed { .. }, .. })
        };
        Outlook {
            complete: entries.iter().all(looked_at),
            converged: is_true(ConditionType::Ready) && is_true(ConditionType::Synced),
            hold: entries.iter().find_map(|entry| entry.hold.clone()),
            progressing: entries.iter().find_map(|entry| {
                let facts = entry.facts();
                let (reason, message) = facts.stalled().or_else(|| facts.progressing())?;
                Some((reason, format!("{}: {message}", entry.name)))
            }),
            troubles: entries.iter().zip(resources).filter_map(|(entry, row)| self.trouble(entry, row)).collect(),
        }
    }

    fn trouble(&self, entry: &Entry, row: &ResourceUpsert) -> Option<Trouble> {
        if entry.leaving {
            return None;
        }
        let conditions = old_conditions(&row.conditions);
        let failure = |kind, status| {
            let found = condition::find(&conditions, kind).filter(|found| found.status == status)?;
            Some(Failure {
                resource: entry.name.clone(),
                reason: found.reason.clone(),
                message: found.message.clone(),
                since: found.last_transition_time,
            })
        };
        let stalled = failure(ConditionType::Stalled, ConditionStatus::True);
        let ailing = matches!(entry.resource.health, Some(engine::Health::Stalled { .. }));
        let refused = entry.error.as_ref().map(|error| error.class);
        // A missing permission, a quota, or AWS's own trouble is nothing that the change did.
        let others = refused.is_some_and(|class| class != Class::Invalid)
            || entry.hold.as_ref().is_some_and(|hold| hold.reason == engine::guard::HoldReason::NonConverging);
        let unready = failure(ConditionType::Ready, ConditionStatus::False);
        let trouble = Trouble {
            key: entry.key.clone(),
            needs: self
                .document
                .graph
                .get(&entry.key)
                .map(|node| node.needs.iter().cloned().collect())
                .unwrap_or_default(),
            stuck: stalled.clone().filter(|_| !others),
            ailing: stalled.filter(|_| ailing && !others),
            unready: unready.filter(|_| !others),
        };
        (trouble.stuck.is_some() || trouble.unready.is_some()).then_some(trouble)
    }

    /// Decides about the open changes.
    pub(super) async fn govern(&mut self, plan: &EnvironmentPlan, outlook: &Outlook) -> Result<Governed, Halt> {
        let open = self.shared.store.open_changes(self.row.uid).await?;
        // Read after the changes: what a change says was approved is among them.
        let hash = guard::plan_hash(&self.guard(), plan);
        let approvals = match hash {
            Some(_) => approved(&self.shared.store.valid_approvals(self.row.uid, self.now).await?),
            None => Vec::new(),
        };
        let guard = Guard { approved: &approvals, ..self.guard() };
        let enforced = guard.operator_mode == Mode::Enforce && guard.policy.mode == Mode::Enforce;
        let unapproved = enforced && guard.paused.is_none() && guard::has_unapproved(&guard, plan);
        if open.is_empty() && !unapproved {
            return Ok(Governed::default());
        }
        let touched = self.touched(&open).await?;
        let (stalled, unready) = touched.failures(&outlook.troubles);
        let found = Found {
            now: self.now,
            generation: self.row.generation,
            deleting: self.deleting(),
            policy: &self.document.environment.spec.policy.changes,
            gated: hash.as_deref(),
            unapproved,
            complete: outlook.complete,
            converged: outlook.converged,
            hold: outlook.hold.as_ref(),
            progressing: outlook.progressing.as_ref().map(|(reason, message)| (reason.as_str(), message.as_str())),
            stalled: &stalled,
            unready: &unready,
            last_act: touched.last_act,
        };
        let mut governed = Governed::default();
        let mut covered = false;
        for row in &open {
            let Some(change) = as_open(row) else {
                self.posted(row, &mut governed).await?;
                continue;
            };
            let verdict = changes::settle(&change, &found);
            // One about these very steps that ends now is judged by the next pass, when it is written.
            covered |= changes::covers(&verdict) || row.plan_hash == hash;
            self.carry_out(row, verdict, (&guard, plan), &mut governed);
        }
        if !covered && let Some(hash) = &hash {
            let last = self.shared.store.last_closed_change(self.row.uid, hash).await?;
            let last = last.and_then(|row| Some(Closed { phase: row.phase.parse().ok()?, at: row.finished_at? }));
            match changes::opens(&found, last) {
                Some(at) if at <= self.now => governed.moves.push(self.open_for_steps((&guard, plan), hash)),
                later => governed.until = [governed.until, later].into_iter().flatten().min(),
            }
        }
        Ok(governed)
    }

    /// What the present generation touched, if a change of it is open.
    async fn touched(&self, open: &[ChangeRow]) -> Result<Touched, Halt> {
        if !open.iter().any(|row| row.generation == Some(self.row.generation)) {
            return Ok(Touched::default());
        }
        let rows = self.shared.store.mutations_of(self.row.uid, JOURNAL_LOOK_BACK).await?;
        let of_it = rows.iter().filter(|row| row.generation == self.row.generation);
        let mut touched = Touched::default();
        for row in of_it {
            let Some(key) = keys::from_store(&row.resource) else { continue };
            if row.outcome != Some(store::MutationOutcome::NotApplied) {
                touched.last_act = touched.last_act.max(Some(row.begun_at));
                if history::creates(row) {
                    touched.made.insert(key.clone());
                }
            }
            touched.keys.insert(key);
        }
        // A repair of drift under this generation is nothing that it asked for, whatever comes of it.
        let own = self.asked_for();
        touched.keys.retain(|key| own.contains(key));
        Ok(touched)
    }

    /// The objects that this generation wants otherwise than the one before, and what rests on those.
    fn asked_for(&self) -> BTreeSet<ResourceKey> {
        let mut own = BTreeSet::new();
        // What a node needs stands before it.
        for node in self.document.graph.nodes() {
            let wanted_since = self.wanted_since(&node.key, &node.desired.to_json());
            if wanted_since == Some(self.row.generation) || node.needs.iter().any(|key| own.contains(key)) {
                own.insert(node.key.clone());
            }
        }
        own
    }

    fn carry_out(
        &self,
        row: &ChangeRow,
        verdict: Verdict,
        (guard, plan): (&Guard<'_>, &EnvironmentPlan),
        governed: &mut Governed,
    ) {
        let mut look_at = |at: Option<Timestamp>| governed.until = [governed.until, at].into_iter().flatten().min();
        let made = match verdict {
            Verdict::Stay { until } => {
                look_at(until);
                return;
            }
            Verdict::Wait { waiting, until } => {
                look_at(until);
                // Its steps were approved: from now on it is carried out.
                let applied_at = row.applied_at.is_none().then_some(self.now);
                let phase = Some(Phase::Applying.to_string());
                let update =
                    ChangeUpdate { phase, applied_at, waiting: Some(json!(waiting)), ..ChangeUpdate::default() };
                (update, Vec::new())
            }
            Verdict::AskApproval => {
                let shown = plan_json(guard, plan);
                let again = row.phase == Phase::PendingApproval.to_string() && row.plan_hash.is_some();
                self.asked(row, shown, again)
            }
            Verdict::Converged => {
                let message = format!("{} converged", about(row));
                self.ended(
                    row,
                    Phase::Converged,
                    json!({ "reason": "Converged" }),
                    self.told("Normal", "ChangeConverged", message),
                )
            }
            Verdict::Expired => {
                let message = format!("{} lapsed: nobody approved it in time", about(row));
                let outcome = json!({ "reason": "Expired", "message": "nobody approved it in time" });
                self.ended(row, Phase::Expired, outcome, self.told("Warning", "ChangeExpired", message))
            }
            Verdict::Superseded(why) => {
                let message = format!("{} is superseded: {why}", about(row));
                let outcome = json!({ "reason": "Superseded", "message": why });
                self.ended(row, Phase::Superseded, outcome, self.told("Normal", "ChangeSuperseded", message))
            }
            Verdict::Fail(failures, why) => self.failed_change(row, &failures, why),
            Verdict::RollBack(failures) => {
                governed.spec = Some(NextSpec::Back(Box::new(row.clone()), failures));
                return;
            }
        };
        governed.moves.push(moved(row, made.0, made.1));
    }

    /// A change whose gated steps wait for approval.
    pub(super) fn asked(&self, row: &ChangeRow, plan: Value, again: bool) -> (ChangeUpdate, Vec<NewEvent>) {
        let policy = &self.document.environment.spec.policy.changes;
        let recorded =
            serde_json::from_value::<Requires>(row.requires.clone()).ok().filter(|_| row.requires.is_object());
        let requires = recorded.map_or(Requires::of(policy), |recorded| recorded.and(Requires::of(policy)));
        let expires_at = self.lapses();
        let hash = plan["hash"].as_str().unwrap_or_default().to_owned();
        let message =
            format!("{} waits for {} of plan {hash}: {}", about(row), requires.told(&row.author), named_steps(&plan));
        let event = if again {
            let message = format!("the plan is another one, so earlier approvals are void; {message}");
            self.told("Warning", "ChangePlanChanged", message)
        } else {
            self.told("Warning", "ApprovalNeeded", message)
        };
        let waiting = json!({
            "reason": "ApprovalRequired",
            "message": format!("{} missing", requires.told(&row.author)),
            "until": expires_at,
        });
        let update = ChangeUpdate {
            phase: Some(Phase::PendingApproval.to_string()),
            plan: Some(plan),
            plan_hash: Some(hash),
            approvals: Some(json!([])),
            requires: Some(json!(requires)),
            waiting: Some(waiting),
            expires_at: Some(expires_at),
            ..ChangeUpdate::default()
        };
        (update, vec![event])
    }

    /// A change that failed and stays.
    pub(super) fn failed_change(
        &self,
        row: &ChangeRow,
        failures: &[Failure],
        why: &str,
    ) -> (ChangeUpdate, Vec<NewEvent>) {
        let cause = cause(failures);
        let message = format!("{} failed and is not taken back ({why}): {cause}", about(row));
        let outcome = json!({
            "reason": failures.first().map_or("Failed", |failure| failure.reason.as_str()),
            "message": cause,
            "notRolledBack": why,
            "evidence": failures,
        });
        self.ended(row, Phase::Failed, outcome, self.told("Warning", "ChangeFailed", message))
    }

    pub(super) fn ended(
        &self,
        _row: &ChangeRow,
        phase: Phase,
        outcome: Value,
        event: NewEvent,
    ) -> (ChangeUpdate, Vec<NewEvent>) {
        let update = ChangeUpdate {
            phase: Some(phase.to_string()),
            outcome: Some(outcome),
            waiting: Some(Value::Null),
            finished_at: Some(self.now),
            ..ChangeUpdate::default()
        };
        (update, vec![event])
    }

    /// A change about gated steps that no other change is about.
    fn open_for_steps(&self, (guard, plan): (&Guard<'_>, &EnvironmentPlan), hash: &str) -> ChangeMove {
        let gated = plan
            .resources
            .iter()
            .filter(|resource| resource.plan.steps.iter().any(|step| guard.is_gated(step, resource.adopted_now)));
        let drifted = |key: &ResourceKey| self.agreed_before(key) && !self.leaving.contains_key(key);
        let is_drift = gated.map(|resource| &resource.key).all(drifted);
        let shown = plan_json(guard, plan);
        let (origin, author, what) = if is_drift {
            (Origin::Drift, DRIFT, "repair drift")
        } else {
            let author = self.memory.revision.as_ref().map_or("unknown", |written| &written.author);
            (Origin::Steps, author, "carry out what the spec says")
        };
        let policy = &self.document.environment.spec.policy;
        let steps = named_steps(&shown);
        let new = NewChange {
            name: format!("{}-{:011x}-{}", self.row.name, self.now.as_millisecond().max(0), &hash[..hash.len().min(5)]),
            environment: self.row.name.clone(),
            environment_uid: Some(self.row.uid),
            phase: Phase::PendingApproval.to_string(),
            origin: Some(origin.to_string()),
            apply: Some(Apply::by_policy(policy).to_string()),
            author: author.to_owned(),
            message: format!("{what}: {steps}"),
            patch: json!({}),
            plan: shown,
            plan_hash: Some(hash.to_owned()),
            requires: json!(Requires::of(&policy.changes)),
            outcome: Value::Null,
            generation: Some(self.row.generation),
            expires_at: Some(self.lapses()),
            ..NewChange::default()
        };
        let requires = Requires::of(&policy.changes).told(author);
        let message =
            format!("change {} by {author}, to {what}, waits for {requires} of plan {hash}: {steps}", new.name);
        let event = self.told("Warning", "ApprovalNeeded", message);
        ChangeMove { write: ChangeWrite::Open(Box::new(new)), events: vec![event] }
    }

    /// When a change that nobody approves lapses.
    fn lapses(&self) -> Timestamp {
        let after = self.document.environment.spec.policy.changes.expire_after.as_secs();
        self.now.saturating_add(SignedDuration::from_secs(after.into())).unwrap_or(Timestamp::MAX)
    }

    /// The environment goes, and with it what was open about it.
    pub(super) async fn end_changes(&self) -> Result<(), Halt> {
        let open = self.shared.store.open_changes(self.row.uid).await?;
        let moves: Vec<ChangeMove> = open
            .iter()
            .map(|row| {
                let (phase, reason) = match row.origin.as_deref().and_then(|origin| origin.parse().ok()) {
                    Some(Origin::Deletion) => (Phase::Converged, "Converged"),
                    _ => (Phase::Superseded, "EnvironmentDeleted"),
                };
                let outcome = json!({ "reason": reason, "message": "the environment is deleted" });
                let event =
                    self.told("Normal", "ChangeSuperseded", format!("{} ends with its environment", about(row)));
                let (update, events) = self.ended(row, phase, outcome, event);
                moved(row, update, if phase == Phase::Converged { Vec::new() } else { events })
            })
            .collect();
        self.shared.store.move_changes(&moves, &self.shard.fence, self.now).await?;
        Ok(())
    }

    /// An event about the environment, for a move that may turn out not to be made.
    pub(super) fn told(&self, event_type: &str, reason: &str, message: String) -> NewEvent {
        NewEvent {
            environment: self.row.name.clone(),
            environment_uid: Some(self.row.uid),
            regarding_kind: "Environment".to_owned(),
            regarding_identity: self.row.name.clone(),
            event_type: event_type.to_owned(),
            reason: reason.to_owned(),
            message,
            details: json!({}),
            now: self.now,
        }
    }
}

/// What a generation touched.
#[derive(Debug, Default)]
struct Touched {
    keys: BTreeSet<ResourceKey>,
    /// What it made. That never served before, and may wait for a person (a secret, for its value): it breaks nothing.
    made: BTreeSet<ResourceKey>,
    last_act: Option<Timestamp>,
}

impl Touched {
    /// The troubles that it may have caused: what stalls, and what is not ready.
    fn failures(&self, troubles: &[Trouble]) -> (Vec<Failure>, Vec<Failure>) {
        let mut stalled = Vec::new();
        let mut unready = Vec::new();
        for trouble in troubles.iter().filter(|trouble| !self.made.contains(&trouble.key)) {
            if self.keys.contains(&trouble.key) {
                stalled.extend(trouble.stuck.clone());
                unready.extend(trouble.unready.clone());
            } else if !self.keys.is_disjoint(&trouble.needs) {
                stalled.extend(trouble.ailing.clone());
            }
        }
        (stalled, unready)
    }
}

/// An open change whose spec is written, or that is about steps alone; `None` for one that was only posted.
fn as_open(row: &ChangeRow) -> Option<Open<'_>> {
    Some(Open {
        author: &row.author,
        origin: row.origin.as_deref().and_then(|origin| origin.parse().ok()).unwrap_or(Origin::Direct),
        phase: row.phase.parse().unwrap_or(Phase::Applying),
        generation: row.generation?,
        plan_hash: row.plan_hash.as_deref(),
        expires_at: row.expires_at,
        applied_at: row.applied_at.unwrap_or(row.created_at),
        base_revision: row.base_revision,
    })
}

/// A move from the version that was read.
pub(super) fn moved(row: &ChangeRow, update: ChangeUpdate, events: Vec<NewEvent>) -> ChangeMove {
    let write = ChangeWrite::Update { name: row.name.clone(), version: row.resource_version, update: Box::new(update) };
    ChangeMove { write, events }
}

/// `change prod-… (revision 3, by alice)`.
pub(super) fn about(row: &ChangeRow) -> String {
    match row.revision {
        Some(revision) => format!("change {} (revision {revision}, by {})", row.name, row.author),
        None => format!("change {} (by {})", row.name, row.author),
    }
}

/// What went wrong, in a sentence.
pub(super) fn cause(failures: &[Failure]) -> String {
    let one = |failure: &Failure| format!("{}: {}: {}", failure.resource, failure.reason, failure.message);
    let mut all: Vec<String> = failures.iter().take(MOST_NAMED).map(one).collect();
    if failures.len() > MOST_NAMED {
        all.push(format!("and {} more", failures.len() - MOST_NAMED));
    }
    all.join("; ")
}

/// The gated steps of a plan, in a sentence.
pub(super) fn named_steps(plan: &Value) -> String {
    let gated = plan.pointer("/gated/gated").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |step: &Value, field: &str| step[field].as_str().unwrap_or_default().to_owned();
    let one =
        |step: &Value| format!("{} of {} ({})", text(step, "operation"), text(step, "resource"), text(step, "risk"));
    let mut all: Vec<String> = gated.iter().take(MOST_NAMED).map(one).collect();
    if gated.len() > MOST_NAMED {
        all.push(format!("and {} more", gated.len() - MOST_NAMED));
    }
    all.join(", ")
}
