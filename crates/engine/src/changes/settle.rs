//! What becomes of an open change after a pass.
//!
//! A change that was applied ends in one of these ways: the environment converged on it; it failed, and was taken back
//! or not; another generation came; nobody approved its steps in time. Each call answers one move, made from the level
//! that was found and not from what was done before: a crash between two moves leads to the same next one.

use jiff::{SignedDuration, Timestamp};
use model::Span;
use model::env::{ChangesPolicy, RollbackMode};
use serde::{Deserialize, Serialize};

use super::{Origin, Phase, ROLLBACK, Waiting};
use crate::guard::Hold;

/// Steps that look the same are not asked about again within this time, whatever became of the change before: drift
/// that comes and goes with every sweep opens no change with every sweep.
const COOL_DOWN: SignedDuration = SignedDuration::from_mins(10);

/// An open change, as far as it matters here.
#[derive(Debug, Clone)]
pub struct Open<'a> {
    /// Who made it.
    pub author: &'a str,
    /// How it came about.
    pub origin: Origin,
    /// Where it stands.
    pub phase: Phase,
    /// The generation that its spec became, or whose steps it is about.
    pub generation: i64,
    /// Hash of the plan that it shows.
    pub plan_hash: Option<&'a str>,
    /// When it lapses, if nobody approves.
    pub expires_at: Option<Timestamp>,
    /// When it was applied.
    pub applied_at: Timestamp,
    /// The revision before it.
    pub base_revision: Option<i64>,
}

/// A resource that a change broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// `EcsService/cluster/api-gateway`.
    pub resource: String,
    /// CamelCase, of the condition that says so.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a pass found.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// The instant of the pass.
    pub now: Timestamp,
    /// The generation that it worked on.
    pub generation: i64,
    /// The environment is being deleted.
    pub deleting: bool,
    /// The policy of that generation.
    pub policy: &'a ChangesPolicy,
    /// Hash of the gated steps, approved or not.
    pub gated: Option<&'a str>,
    /// Some gated step is not approved, and would run if it were.
    pub unapproved: bool,
    /// Every object was looked at: a step that is not planned is not missing for want of a look.
    pub complete: bool,
    /// Ready and Synced are True.
    pub converged: bool,
    /// The first step that is held, and why.
    pub hold: Option<&'a Hold>,
    /// What is under way: reason and message.
    pub progressing: Option<(&'a str, &'a str)>,
    /// What a change of this generation touched, or rests on what it touched, and is stalled.
    pub stalled: &'a [Failure],
    /// What a change of this generation touched and is not ready.
    pub unready: &'a [Failure],
    /// When a step of this generation was carried out last.
    pub last_act: Option<Timestamp>,
}

/// What becomes of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It stays as it is.
    Stay {
        /// When time alone makes a difference.
        until: Option<Timestamp>,
    },
    /// It is applied, and waits.
    Wait {
        /// For what.
        waiting: Waiting,
        /// When time alone makes a difference.
        until: Option<Timestamp>,
    },
    /// Its gated steps, as they are planned now, wait for approval; approvals of other steps are void.
    AskApproval,
    /// Done.
    Converged,
    /// Nobody approved in time.
    Expired,
    /// It is about what is no more. Why.
    Superseded(&'static str),
    /// It failed and is to be taken back.
    RollBack(Vec<Failure>),
    /// It failed and stays. Why it is not taken back.
    Fail(Vec<Failure>, &'static str),
}

/// What becomes of an open change whose spec is written, or that is about steps alone.
pub fn settle(open: &Open<'_>, found: &Found<'_>) -> Verdict {
    if open.generation > found.generation {
        // The pass worked on the spec before: the next one will see.
        return Verdict::Stay { until: None };
    }
    if open.generation < found.generation {
        return Verdict::Superseded("a later revision is the spec now");
    }
    if found.deleting && open.origin != Origin::Deletion {
        return Verdict::Superseded("the environment is being deleted");
    }
    if open.origin.is_about_steps() { settle_steps(open, found) } else { settle_revision(open, found) }
}

fn settle_revision(open: &Open<'_>, found: &Found<'_>) -> Verdict {
    // What is being deleted serves nobody, and cannot be taken back.
    let judged = if open.origin == Origin::Deletion { &[] } else { found.stalled };
    // What stalled in the very pass that wrote it is what it is to mend. Stored times are whole microseconds.
    let later = |failure: &&Failure| failure.since.as_microsecond() > open.applied_at.as_microsecond();
    let stalled: Vec<Failure> = judged.iter().filter(later).cloned().collect();
    let deadline = after(open.applied_at.max(found.last_act.unwrap_or(open.applied_at)), found.policy.rollback.within);
    if !stalled.is_empty() {
        let late = stalled.iter().all(|failure| failure.since > deadline);
        return failed(open, found, stalled, late);
    }
    if found.unapproved {
        return ask(open, found);
    }
    let baked = after(open.applied_at, found.policy.rollback.bake);
    if found.converged {
        return if found.now < baked {
            let waiting = Waiting {
                reason: "UnderWatch".to_owned(),
                message: "converged, and still under watch".to_owned(),
                until: Some(baked),
            };
            Verdict::Wait { waiting, until: Some(baked) }
        } else {
            Verdict::Converged
        };
    }
    if let Some(hold) = found.hold {
        let waiting = Waiting { reason: hold.reason.to_string(), message: hold.message.clone(), until: hold.until };
        return Verdict::Wait { waiting, until: hold.until };
    }
    if !found.unready.is_empty() && !found.deleting && found.now >= deadline {
        return failed(open, found, found.unready.to_vec(), false);
    }
    let until = (!found.unready.is_empty() && !found.deleting).then_some(deadline);
    let (reason, message) = found.progressing.unwrap_or(("Converging", "the environment is not converged yet"));
    Verdict::Wait { waiting: Waiting { reason: reason.to_owned(), message: message.to_owned(), until: None }, until }
}

fn settle_steps(open: &Open<'_>, found: &Found<'_>) -> Verdict {
    let same = open.plan_hash == found.gated;
    if found.unapproved && (same || !found.complete) {
        return lapse(open, found);
    }
    if !found.complete {
        return lapse(open, found);
    }
    if found.unapproved {
        return Verdict::Superseded("what differs is not what it was; another change is about that");
    }
    match (open.phase, found.gated) {
        (Phase::Applying, None) => Verdict::Converged,
        (_, None) => Verdict::Superseded("what differed is as declared again"),
        // Approved, by whatever way: the rest is a wait like any other.
        (_, Some(_)) => {
            let waiting = match (found.hold, found.progressing) {
                (Some(hold), _) => {
                    Waiting { reason: hold.reason.to_string(), message: hold.message.clone(), until: hold.until }
                }
                (None, Some((reason, message))) => {
                    Waiting { reason: reason.to_owned(), message: message.to_owned(), until: None }
                }
                (None, None) => Waiting {
                    reason: "Converging".to_owned(),
                    message: "its steps are to follow".to_owned(),
                    until: None,
                },
            };
            let until = waiting.until;
            Verdict::Wait { waiting, until }
        }
    }
}

/// Gated steps without approval.
fn ask(open: &Open<'_>, found: &Found<'_>) -> Verdict {
    let asked = open.phase == Phase::PendingApproval && open.plan_hash.is_some();
    // What is not planned for want of a look voids no approval.
    if asked && (open.plan_hash == found.gated || !found.complete) { lapse(open, found) } else { Verdict::AskApproval }
}

fn lapse(open: &Open<'_>, found: &Found<'_>) -> Verdict {
    let lapses = open.expires_at.filter(|_| open.phase != Phase::Applying);
    match lapses {
        Some(at) if at <= found.now => Verdict::Expired,
        until => Verdict::Stay { until },
    }
}

fn failed(open: &Open<'_>, found: &Found<'_>, failures: Vec<Failure>, late: bool) -> Verdict {
    if open.origin == Origin::Rollback || open.author == ROLLBACK {
        return Verdict::Fail(failures, "a rollback is not taken back");
    }
    if found.policy.rollback.mode == RollbackMode::Never {
        return Verdict::Fail(failures, "policy.changes.rollback.mode is Never");
    }
    if late {
        return Verdict::Fail(failures, "it failed later than policy.changes.rollback.within");
    }
    if open.base_revision.is_none() {
        return Verdict::Fail(failures, "there is no revision before it");
    }
    Verdict::RollBack(failures)
}

/// A change that ended, about the very steps that are planned now.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    /// How.
    pub phase: Phase,
    /// When.
    pub at: Timestamp,
}

/// Whether an open change with this verdict is about the gated steps of its environment.
pub fn covers(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Stay { .. } | Verdict::AskApproval | Verdict::RollBack(_))
}

/// From when on a change may be opened about gated steps that no open one is about; `None`: not at all. `last` is the last
/// one about the same steps. What somebody rejected or withdrew is not asked again.
pub fn opens(found: &Found<'_>, last: Option<Closed>) -> Option<Timestamp> {
    if !found.unapproved || !found.complete {
        return None;
    }
    let Some(last) = last else { return Some(found.now) };
    match last.phase {
        Phase::Rejected | Phase::Withdrawn => None,
        Phase::Expired => Some(after(last.at, found.policy.expire_after)),
        // Somebody has approved it: each time is another.
        Phase::Converged => Some(found.now),
        Phase::Pending
        | Phase::PendingApproval
        | Phase::Applying
        | Phase::Failed
        | Phase::RolledBack
        | Phase::Superseded => Some(last.at.saturating_add(COOL_DOWN).unwrap_or(Timestamp::MAX)),
    }
}

fn after(at: Timestamp, span: Span) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(span.as_secs().into())).unwrap_or(Timestamp::MAX)
}
