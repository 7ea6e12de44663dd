//! Planning copies of snapshots. Pure.

use engine::kind::Backup;
use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use jiff::{Timestamp, ToSpan};
use model::plan::Verb;
use model::{
    Environment, FieldChange, Note, Observation, ResourcePlan, Risk, Step, TAG_ENVIRONMENT, TAG_MANAGED_BY, Tags, Wait,
    WaitKind,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::desired::{self, is_scheduled};
use super::{Copy, Desired, Observed};

/// The kind.
pub struct RdsSnapshotCopy;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    CopyDBSnapshot {
        id: String,
        source: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kms_key_id: Option<String>,
        tags: Tags,
    },
    DeleteDBSnapshot {
        id: String,
    },
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

/// A snapshot that can be copied, as its node tells.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    id: String,
    arn: String,
    created_at: Option<Timestamp>,
    encrypted: bool,
    tags: Tags,
}

fn has_our_tags(desired: &Desired, tags: &Tags) -> bool {
    [TAG_ENVIRONMENT, TAG_MANAGED_BY]
        .iter()
        .all(|name| desired.tags.get(*name).is_some_and(|value| tags.get(*name) == Some(value)))
}

fn is_ours(desired: &Desired, copy: &Copy) -> bool {
    is_scheduled(&desired.prefix, &copy.id) && has_our_tags(desired, &copy.tags)
}

/// Ours, oldest first: names of one prefix are in the order of their slots.
fn ours<'a>(desired: &Desired, observed: &'a Observed) -> Vec<&'a Copy> {
    let mut ours: Vec<&Copy> = observed.copies.iter().filter(|c| is_ours(desired, c)).collect();
    ours.sort_by(|a, b| a.id.cmp(&b.id));
    ours
}

/// The newest of our snapshots that can be copied.
fn newest_source(context: &PlanContext<'_>, desired: &Desired) -> Observation<Option<Source>> {
    context.output(&desired.source, "available").map(|list| {
        let sources: Vec<Source> = Vec::deserialize(&list).unwrap_or_default();
        sources
            .into_iter()
            .filter(|s| is_scheduled(&desired.prefix, &s.id) && has_our_tags(desired, &s.tags))
            .max_by(|a, b| a.id.cmp(&b.id))
    })
}

fn delete(id: &str, reason: &str) -> Step {
    let body = Action::DeleteDBSnapshot { id: id.to_owned() }.body();
    let change = FieldChange::new(format!("copies[{id:?}]"), "present", Value::Null);
    Step::new("DeleteDBSnapshot", Verb::Delete, Risk::Safe, reason, body).changing(vec![change])
}

fn progress(copy: &Copy) -> Wait {
    let percent = copy.percent.filter(|n| *n > 0).map_or_else(|| ", queued".to_owned(), |n| format!(", {n} %"));
    let message = format!("the copy {} is {}{percent}", copy.id, copy.status);
    Wait::new(WaitKind::Progressing, "CopyInProgress", message)
}

/// What is to be done about the newest source.
fn due(context: &PlanContext<'_>, desired: &Desired, observed: &Observed, plan: &mut ResourcePlan) {
    let source = match newest_source(context, desired) {
        Observation::Present(Some(source)) => source,
        // There is nothing to copy yet.
        Observation::Present(None) | Observation::Absent => return,
        Observation::Unknown { .. } => {
            let message = format!("the snapshots of {} are not known now", desired.instance);
            plan.waits.push(Wait::new(WaitKind::Progressing, "DependencyUnknown", message));
            return;
        }
    };
    match observed.copies.iter().find(|c| c.id == source.id) {
        Some(copy) if !is_ours(desired, copy) => {
            let message = format!("{} exists in {} and is not marked as ours", source.id, context.key.region);
            plan.notes.push(Note::new("SnapshotNotOurs", message));
        }
        Some(copy) if copy.is_running() => plan.waits.push(progress(copy)),
        // It is there; or it failed, and is made anew once it is gone.
        Some(_) => {}
        None => copy(desired, observed, &source, plan),
    }
}

fn copy(desired: &Desired, observed: &Observed, source: &Source, plan: &mut ResourcePlan) {
    // An older one than what has been copied since was pruned here: it would only be pruned again.
    if ours(desired, observed).iter().any(|c| c.status != "failed" && c.id > source.id) {
        return;
    }
    if let Some(running) = observed.copies.iter().find(|c| c.is_running()) {
        plan.waits.push(progress(running));
        return;
    }
    if source.encrypted && desired.kms_key_id.is_none() {
        let message = format!(
            "{} is encrypted, and its copy needs a key of the target region: declare {}.kmsKeyId",
            source.id, desired.path
        );
        plan.waits.push(Wait::new(WaitKind::Stalled, "KeyNeeded", message));
        return;
    }
    let action = Action::CopyDBSnapshot {
        id: source.id.clone(),
        source: source.arn.clone(),
        kms_key_id: desired.kms_key_id.clone(),
        tags: desired.tags.clone(),
    };
    let change = FieldChange::new(format!("copies[{:?}]", source.id), Value::Null, source.arn.as_str());
    let reason = "the newest snapshot has no copy";
    let step = Step::new("CopyDBSnapshot", Verb::Create, Risk::Safe, reason, action.body());
    plan.steps.push(step.changing(vec![change]));
}

/// Failed ones, and what is beyond `keep`, oldest first and never the newest.
fn prune(desired: &Desired, observed: &Observed, plan: &mut ResourcePlan) {
    let all = ours(desired, observed);
    for failed in all.iter().filter(|c| c.status == "failed") {
        plan.steps.push(delete(&failed.id, "failed; it is copied anew while it is the newest"));
    }
    let available: Vec<&&Copy> = all.iter().filter(|c| c.is_available()).collect();
    let keep = usize::try_from(desired.keep).unwrap_or(usize::MAX).max(1);
    let surplus = available.len().saturating_sub(keep);
    let reason = format!("older than the {} to keep", desired.keep);
    plan.steps.extend(available.into_iter().take(surplus).map(|c| delete(&c.id, &reason)));
}

impl Kind for RdsSnapshotCopy {
    const NAME: &'static str = "RdsSnapshotCopy";
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
        prune(desired, observed, &mut plan);
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, _observed: &Observed) -> ResourcePlan {
        ResourcePlan::in_sync()
    }

    fn health(_context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> Health {
        match ours(desired, observed).last() {
            Some(last) if last.status == "failed" => {
                Health::Stalled { reason: "CopyFailed", message: format!("the copy {} has failed", last.id) }
            }
            Some(last) if last.is_running() => {
                Health::Progressing { reason: "CopyInProgress", message: progress(last).message }
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

    /// `copying`: names of the snapshots that are being copied now, and must stay until that is done.
    fn output(observed: &Observed, name: &str) -> Option<Output> {
        if name != "copying" {
            return None;
        }
        Some(observed.copies.iter().filter(|c| c.is_running()).map(|c| Value::from(c.source_id())).collect())
    }

    fn backup(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> Option<Backup> {
        let newest = ours(desired, observed).iter().filter(|c| c.is_available()).filter_map(|c| c.original_at).max();
        let source = newest_source(context, desired).present().cloned().flatten();
        let taken = source.as_ref().and_then(|s| s.created_at);
        // Without any copy, age counts from the first snapshot that there was to copy.
        let since = newest.or(taken);
        let healthy = match (desired.max_age_seconds, since) {
            (Some(most), Some(at)) => context.now.duration_since(at).as_secs() <= i64::from(most),
            // Whether there should be a snapshot by now is for the snapshots themselves to say.
            (Some(_), None) => true,
            (None, _) => newest.is_some() || source.is_none(),
        };
        let region = &context.key.region;
        let message = match (newest, taken) {
            (Some(copied), Some(taken)) if taken > copied => {
                let behind = taken.duration_since(copied).as_hours();
                format!("the newest copy in {region} is of {copied}, {behind} h behind the newest snapshot")
            }
            (Some(copied), _) => format!("the newest copy in {region} is of {copied}"),
            (None, _) => format!("there is no copy in {region} yet"),
        };
        let too_old = since.and_then(|at| at.checked_add(i64::from(desired.max_age_seconds?).seconds()).ok());
        let next = too_old.map(|at| at + 1.second()).filter(|at| *at > context.now);
        Some(Backup { newest, healthy, next, message })
    }
}
