//! The one guard: whether a planned step may be carried out now, and if not, why and until when.

use jiff::Timestamp;
use model::env::{Destructive, Disruptive, Mode, Policy};
use model::plan::Verb;
use model::schedule::{WindowState, Windows};
use model::{ResourceKey, Risk, Step};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::changes::Apply;
use crate::plan::EnvironmentPlan;

/// What holds for all steps of one environment at one moment.
#[derive(Debug, Clone)]
pub struct Guard<'a> {
    /// The moment.
    pub now: Timestamp,
    /// The environment's policy.
    pub policy: &'a Policy,
    /// Its windows, parsed.
    pub windows: &'a Windows,
    /// The whole installation's mode: the red button.
    pub operator_mode: Mode,
    /// Reconciliation is paused.
    pub paused: Option<Pause>,
    /// The environment is not among those that may still be changed this hour.
    pub cap: Option<Cap>,
    /// The generation the plan is for.
    pub generation: i64,
    /// The steps that were approved and have not expired.
    pub approved: &'a [Approved],
}

/// A step that was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// Its fingerprint.
    pub print: String,
    /// When it may run.
    pub apply: Apply,
}

/// Reconciliation is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Who paused it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Until when; `None` until resumed.
    pub until: Option<Timestamp>,
}

/// The blast-radius cap is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    /// For people: `5 of 5 environments were changed in the last hour`.
    pub message: String,
    /// When the next one may be changed.
    pub until: Option<Timestamp>,
}

/// What holds for one step besides.
#[derive(Debug, Clone, Default)]
pub struct StepFacts {
    /// The object was adopted by this very generation.
    pub adopted_now: bool,
    /// The same write was without effect too often: the field it keeps trying to change.
    pub non_converging: Option<String>,
    /// The object's write budget is used up until then.
    pub budget_until: Option<Timestamp>,
}

/// Whether a step may be carried out now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may not.
    Hold(Hold),
}

/// Why a step is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Which guard.
    pub reason: HoldReason,
    /// For people.
    pub message: String,
    /// Until when, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Which guard holds a step.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::IntoStaticStr,
)]
pub enum HoldReason {
    /// The environment or the installation only observes.
    ObserveMode,
    /// Reconciliation is paused.
    Paused,
    /// It waits for an approval.
    ApprovalRequired,
    /// Policy never allows it.
    DeniedByPolicy,
    /// It waits for a window.
    OutsideWindow,
    /// Too many environments were changed this hour.
    BlastRadiusCap,
    /// The same write had no effect three times running.
    NonConverging,
    /// The object was written to too often.
    WriteBudget,
}

impl Guard<'_> {
    /// Whether the step may be carried out now.
    pub fn judge(&self, key: &ResourceKey, step: &Step, facts: &StepFacts) -> Verdict {
        let hold = |reason, message: String, until| Verdict::Hold(Hold { reason, message, until });
        if self.operator_mode == Mode::Observe {
            return hold(HoldReason::ObserveMode, "the whole installation only observes".to_owned(), None);
        }
        if self.policy.mode == Mode::Observe {
            return hold(HoldReason::ObserveMode, "policy.mode is Observe".to_owned(), None);
        }
        if let Some(pause) = &self.paused {
            return hold(HoldReason::Paused, format!("paused by {}: {}", pause.owner, pause.reason), pause.until);
        }
        if let Some(field) = &facts.non_converging {
            return hold(
                HoldReason::NonConverging,
                format!(
                    "{} wrote {field} three times without effect; change the spec or reconcile to try again",
                    step.operation
                ),
                None,
            );
        }
        if let Some(until) = facts.budget_until {
            return hold(HoldReason::WriteBudget, format!("{key} was written to too often"), Some(until));
        }
        if self.is_denied(step) {
            return hold(
                HoldReason::DeniedByPolicy,
                format!("{} is Destructive, and policy.destructive is Deny", step.operation),
                None,
            );
        }
        let approval = self.needs_approval(step, facts).then(|| self.approval_of(key, step));
        if approval == Some(None) {
            let why = if facts.adopted_now { " on an object that was just adopted" } else { "" };
            return hold(
                HoldReason::ApprovalRequired,
                format!("{} is {}{why}: it waits for an approval", step.operation, step.risk),
                None,
            );
        }
        let in_window = match approval {
            Some(approved) => approved == Some(Apply::InWindow),
            None => self.needs_window(step),
        };
        if in_window && let WindowState::Closed { opens } = self.windows.state(self.now) {
            let approved = if approval.is_some() { " and approved" } else { "" };
            let message = match opens {
                Some(at) => {
                    format!("{} is {}{approved}: it waits for the window that opens at {at}", step.operation, step.risk)
                }
                None => format!("{} is {}, and no window ever opens", step.operation, step.risk),
            };
            return hold(HoldReason::OutsideWindow, message, opens);
        }
        if let Some(cap) = &self.cap {
            return hold(HoldReason::BlastRadiusCap, cap.message.clone(), cap.until);
        }
        Verdict::Allow
    }

    fn needs_approval(&self, step: &Step, facts: &StepFacts) -> bool {
        match step.risk {
            Risk::Safe => false,
            Risk::Disruptive => facts.adopted_now || self.policy.disruptive == Disruptive::RequireApproval,
            Risk::Destructive => true,
        }
    }

    /// What needs no approval waits for a window where policy says so.
    fn needs_window(&self, step: &Step) -> bool {
        step.risk == Risk::Disruptive && self.policy.disruptive == Disruptive::Window
    }

    /// When an approved step may run: whoever approved it has said so. Of two approvals the one that waits for less
    /// counts.
    fn approval_of(&self, key: &ResourceKey, step: &Step) -> Option<Apply> {
        let print = fingerprint(self.generation, key, step);
        let mut all = self.approved.iter().filter(|approved| approved.print == print).map(|approved| approved.apply);
        let first = all.next()?;
        Some(if first == Apply::Immediately || all.any(|apply| apply == Apply::Immediately) {
            Apply::Immediately
        } else {
            Apply::InWindow
        })
    }

    /// Whether policy never allows the step, approved or not.
    fn is_denied(&self, step: &Step) -> bool {
        step.risk == Risk::Destructive && self.policy.destructive == Destructive::Deny
    }

    /// Whether the step is one that an approval of the plan covers. What policy denies is not to be approved.
    pub fn is_gated(&self, step: &Step, adopted_now: bool) -> bool {
        !self.is_denied(step) && self.needs_approval(step, &StepFacts { adopted_now, ..StepFacts::default() })
    }
}

/// What an approval covers of a step: generation, object, operation, fields with both values, risk. A step that
/// looks different in any of these is not approved.
pub fn fingerprint(generation: i64, key: &ResourceKey, step: &Step) -> String {
    let verb: &'static str = match step.verb {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Delete => "delete",
    };
    let text = json!([
        generation,
        key.account,
        key.region,
        key.kind,
        key.identity,
        step.operation,
        verb,
        step.risk,
        step.changes
    ])
    .to_string();
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Whether some gated step of a plan is not approved.
pub fn has_unapproved(guard: &Guard<'_>, plan: &EnvironmentPlan) -> bool {
    gated_fingerprints(guard, plan).iter().any(|print| guard.approved.iter().all(|approved| approved.print != *print))
}

/// The hash of a plan: over the generation and the gated steps only, so that a task that starts or stops does not
/// void an approval. `None` when nothing is gated.
pub fn plan_hash(guard: &Guard<'_>, plan: &EnvironmentPlan) -> Option<String> {
    let mut prints = gated_fingerprints(guard, plan);
    if prints.is_empty() {
        return None;
    }
    prints.sort();
    let mut digest = Sha256::new();
    for print in &prints {
        digest.update(print.as_bytes());
    }
    Some(hex::encode(digest.finalize())[..32].to_owned())
}

/// The fingerprints of all gated steps of a plan: what an approval of it stores.
pub fn gated_fingerprints(guard: &Guard<'_>, plan: &EnvironmentPlan) -> Vec<String> {
    plan.resources
        .iter()
        .flat_map(|resource| {
            resource
                .plan
                .steps
                .iter()
                .filter(|step| guard.is_gated(step, resource.adopted_now))
                .map(|step| fingerprint(guard.generation, &resource.key, step))
        })
        .collect()
}

#[cfg(test)]
mod tests;
