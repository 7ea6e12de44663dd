//! Planning manual snapshots. Pure.

use engine::kind::Backup;
use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use jiff::{Timestamp, ToSpan};
use model::plan::Verb;
use model::{
    Environment, FieldChange, Note, Observation, ResourcePlan, Risk, Step, TAG_ENVIRONMENT, TAG_MANAGED_BY, Tags, Wait,
    WaitKind,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::desired::{self, slot_of};
use super::{Desired, Observed, Snapshot};

/// The kind.
pub struct RdsSnapshot;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    CreateDBSnapshot { id: String, tags: Tags },
    DeleteDBSnapshot { id: String },
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

fn delete(id: &str, reason: &str) -> Step {
    let body = Action::DeleteDBSnapshot { id: id.to_owned() }.body();
    let change = FieldChange::new(format!("snapshots[{id:?}]"), "present", Value::Null);
    Step::new("DeleteDBSnapshot", Verb::Delete, Risk::Safe, reason, body).changing(vec![change])
}

/// In which an instance takes snapshots. (RDS API Reference, CreateDBSnapshot, InvalidDBInstanceState.)
const TAKES_SNAPSHOTS: [&str; 2] = ["available", "storage-optimization"];

/// Ours are those that carry both ownership tags and a name that the schedule makes: a snapshot that somebody took by
/// hand may have inherited the instance's tags.
fn is_ours(desired: &Desired, snapshot: &Snapshot) -> bool {
    let tag = |name: &str| desired.tags.get(name).is_some_and(|value| snapshot.tags.get(name) == Some(value));
    slot_of(&desired.prefix, &snapshot.id).is_some() && tag(TAG_ENVIRONMENT) && tag(TAG_MANAGED_BY)
}

/// Ours, oldest slot first.
fn ours<'a>(desired: &Desired, observed: &'a Observed) -> Vec<&'a Snapshot> {
    let mut ours: Vec<&Snapshot> = observed.snapshots.iter().filter(|s| is_ours(desired, s)).collect();
    ours.sort_by_key(|s| slot_of(&desired.prefix, &s.id));
    ours
}

fn newest(desired: &Desired, observed: &Observed) -> Option<Timestamp> {
    ours(desired, observed).iter().filter(|s| s.is_available()).filter_map(|s| s.created_at).max()
}

/// When the instance was created, as its own node says.
fn instance_created(context: &PlanContext<'_>, desired: &Desired) -> Option<Timestamp> {
    let created = context.output(&desired.instance_key, "createdAt");
    created.present().and_then(Value::as_str).and_then(|text| text.parse().ok())
}

/// What is to be done about the last slot.
fn due(context: &PlanContext<'_>, desired: &Desired, observed: &Observed, plan: &mut ResourcePlan) {
    let Some(slot) = desired.schedule.last_at(context.now) else { return };
    let id = desired.id_of(slot);
    let slot_name = slot_of(&desired.prefix, &id);
    let all = ours(desired, observed);
    match observed.snapshots.iter().find(|s| s.id == id) {
        Some(taken) if !is_ours(desired, taken) => {
            let message = format!("{id} exists and is not marked as ours; the slot {slot} counts as taken");
            plan.notes.push(Note::new("SnapshotNotOurs", message));
            return;
        }
        // Taken anew once the failed one is gone.
        Some(taken) if taken.status == "failed" => return,
        Some(taken) if !taken.is_available() => {
            let percent = taken.percent.map(|n| format!(", {n} %")).unwrap_or_default();
            let message = format!("{id} is {}{percent}", taken.status);
            plan.waits.push(Wait::new(WaitKind::Progressing, "SnapshotInProgress", message));
            return;
        }
        Some(_) => return,
        None => {}
    }
    // A slot that is older than what has been taken since (a clock that was set back) is not made up for.
    if all.iter().any(|s| slot_of(&desired.prefix, &s.id) > slot_name) {
        return;
    }
    let status = match context.output(&desired.instance_key, "status") {
        Observation::Present(status) => status.as_str().unwrap_or_default().to_owned(),
        Observation::Absent | Observation::Unknown { .. } => {
            let message = format!("{id} is due, and {} is not known now", desired.instance_key);
            plan.waits.push(Wait::new(WaitKind::Progressing, "DependencyNotReady", message));
            return;
        }
    };
    // A slot from before the instance is not due. While the time is not known the instance is being created.
    if instance_created(context, desired).is_none_or(|created| slot < created) {
        return;
    }
    if let Some(running) = observed.snapshots.iter().find(|s| s.status == "creating") {
        let message = format!("{id} is due, and {} is being taken", running.id);
        plan.waits.push(Wait::new(WaitKind::Progressing, "SnapshotInProgress", message));
    } else if !TAKES_SNAPSHOTS.contains(&&*status) {
        let message = format!("{id} is due, and {} is {status}", desired.instance);
        plan.waits.push(Wait::new(WaitKind::Progressing, "InstanceBusy", message));
    } else {
        let body = Action::CreateDBSnapshot { id: id.clone(), tags: desired.tags.clone() }.body();
        let change = FieldChange::new(format!("snapshots[{id:?}]"), Value::Null, slot.to_string());
        let reason = format!("the slot {slot} has no snapshot");
        plan.steps.push(Step::new("CreateDBSnapshot", Verb::Create, Risk::Safe, reason, body).changing(vec![change]));
    }
}

/// Names of snapshots that are being copied now; `Err` when that is not known.
fn being_copied(context: &PlanContext<'_>, desired: &Desired) -> Result<Vec<String>, Wait> {
    let mut names = Vec::new();
    for key in &desired.copies {
        match context.output(key, "copying") {
            Observation::Present(list) => {
                names.extend(list.as_array().into_iter().flatten().filter_map(|n| n.as_str().map(str::to_owned)));
            }
            Observation::Absent => {}
            Observation::Unknown { .. } => {
                let message = format!("what {key} copies is not known now, so nothing is pruned");
                return Err(Wait::new(WaitKind::Progressing, "CopiesUnknown", message));
            }
        }
    }
    Ok(names)
}

/// Failed ones, and what is beyond `keep`, oldest first.
fn prune(context: &PlanContext<'_>, desired: &Desired, observed: &Observed, plan: &mut ResourcePlan) {
    let all = ours(desired, observed);
    for failed in all.iter().filter(|s| s.status == "failed") {
        plan.steps.push(delete(&failed.id, "failed; its slot is taken anew while it is the last"));
    }
    let available: Vec<&&Snapshot> = all.iter().filter(|s| s.is_available()).collect();
    // Never below `keep`, and never the newest, whatever `keep` is.
    let keep = usize::try_from(desired.keep).unwrap_or(usize::MAX).max(1);
    let surplus = available.len().saturating_sub(keep);
    if surplus == 0 {
        return;
    }
    match being_copied(context, desired) {
        Err(wait) => plan.waits.push(wait),
        Ok(copying) => {
            let old = available.into_iter().take(surplus).filter(|s| !copying.contains(&s.id));
            plan.steps.extend(old.map(|s| delete(&s.id, &format!("older than the {} to keep", desired.keep))));
        }
    }
}

impl Kind for RdsSnapshot {
    const NAME: &'static str = "RdsSnapshot";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Slow, ownership: Ownership::Parent, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        Self::plan_present(context, desired, &Observed::default())
    }

    fn plan_present(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        let mut plan = ResourcePlan::default();
        due(context, desired, observed, &mut plan);
        prune(context, desired, observed, &mut plan);
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, _observed: &Observed) -> ResourcePlan {
        ResourcePlan::in_sync()
    }

    fn health(_context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> Health {
        match ours(desired, observed).last() {
            Some(last) if last.status == "failed" => {
                Health::Stalled { reason: "SnapshotFailed", message: format!("{} has failed", last.id) }
            }
            Some(last) if !last.is_available() => {
                Health::Progressing { reason: "SnapshotInProgress", message: format!("{} is {}", last.id, last.status) }
            }
            _ => Health::Ready,
        }
    }

    fn tags(_observed: &Observed) -> Option<&Tags> {
        None
    }

    fn tag_step_body(_observed: &Observed, _set: &Tags) -> Value {
        Value::Null
    }

    /// `available`: those that can be copied, by name.
    fn output(observed: &Observed, name: &str) -> Option<Output> {
        if name != "available" {
            return None;
        }
        let shown = |s: &Snapshot| json!({ "id": s.id, "arn": s.arn, "createdAt": s.created_at, "encrypted": s.encrypted, "tags": s.tags });
        Some(observed.snapshots.iter().filter(|s| s.is_available()).map(shown).collect())
    }

    fn backup(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> Option<Backup> {
        let newest = newest(desired, observed);
        let due = desired.schedule.next_after(context.now);
        let told = due.map(|at| format!("; the next is due at {at}")).unwrap_or_default();
        // An instance that is younger than `maxAge` cannot have had its first snapshot too late.
        let since = newest.or_else(|| instance_created(context, desired));
        let healthy = match desired.max_age_seconds {
            Some(most) => since.is_some_and(|at| context.now.duration_since(at).as_secs() <= i64::from(most)),
            None => newest.is_some(),
        };
        let message = match newest {
            Some(at) => format!("the newest snapshot is of {at}{told}"),
            None => format!("there is no snapshot yet{told}"),
        };
        let too_old = since.and_then(|at| at.checked_add(i64::from(desired.max_age_seconds?).seconds()).ok());
        let next = due.into_iter().chain(too_old.map(|at| at + 1.second())).filter(|at| *at > context.now).min();
        Some(Backup { newest, healthy, next, message })
    }
}
