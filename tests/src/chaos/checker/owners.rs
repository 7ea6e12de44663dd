//! One owner at a time; and who is no longer the owner at most finishes the one call that it had checked before.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Call, Intent, Lease, Violation, shown};

/// The last word on an account's lease before a time.
fn last_before<'a>(leases: &'a [Lease], account: &str, at: Timestamp) -> Option<&'a Lease> {
    let until = leases.partition_point(|lease| lease.at <= at);
    leases[..until].iter().rev().find(|lease| lease.account == account)
}

/// Nobody takes a lease that another still holds, and epochs grow.
pub(super) fn one_at_a_time(leases: &[Lease]) -> Vec<Violation> {
    let rule = "an account has one owner at a time";
    let mut present: BTreeMap<&str, &Lease> = BTreeMap::new();
    let mut violations = Vec::new();
    for lease in leases {
        let Some(before) = present.insert(&lease.account, lease) else { continue };
        let violation =
            |what: String| Violation { rule, what, at: Some(lease.at), process: Some(lease.process.clone()) };
        if before.process != lease.process {
            if before.expires_at > lease.at {
                let what = format!(
                    "{} takes {} while {} holds it until {}",
                    lease.process, lease.account, before.process, before.expires_at
                );
                violations.push(violation(what));
            }
            if lease.epoch <= before.epoch {
                violations.push(violation(format!(
                    "{} follows {} under epoch {}",
                    lease.process, before.process, lease.epoch
                )));
            }
        } else if lease.epoch < before.epoch {
            violations.push(violation(format!("the epoch of {} fell to {}", lease.account, lease.epoch)));
        }
    }
    violations
}

/// A call that arrives when its caller's lease has run out must have been checked while it held: an intent of the caller for
/// it stands in the journal from that time. Of each tenure and environment it is one at most.
pub(super) fn stale_calls(calls: &[Call], leases: &[Lease], intents: &[Intent]) -> Vec<Violation> {
    let rule = "who lost a lease finishes at most the one call it had checked";
    let mut late: BTreeMap<(String, i64, String), u32> = BTreeMap::new();
    let mut violations = Vec::new();
    for call in calls {
        let Some(process) = &call.app else { continue };
        let present = last_before(leases, &call.account, call.machine_at);
        if present.is_some_and(|lease| lease.process == *process && lease.expires_at >= call.machine_at) {
            continue;
        }
        // The last intent for such a call before it arrived.
        let checked = intents.iter().rev().find(|intent| {
            intent.at <= call.machine_at
                && intent.process == *process
                && intent.account == call.account
                && intent.step == call.operation
        });
        let Some(intent) = checked else {
            violations.push(Violation::of(rule, call, "a call under no lease, with no intent"));
            continue;
        };
        let count = late.entry((process.clone(), intent.epoch, intent.environment.clone())).or_default();
        *count += 1;
        if *count > 1 {
            let what = format!("call number {count} after epoch {} was over", intent.epoch);
            violations.push(Violation::of(rule, call, &what));
        }
        let newer = intents.iter().find(|other| {
            other.process == *process
                && other.environment == intent.environment
                && other.at > intent.at
                && other.at <= call.machine_at
        });
        if let Some(newer) = newer {
            let what = format!("it was not the last that was checked: {} {} was later", newer.step, newer.object);
            violations.push(Violation::of(rule, call, &what));
        }
    }
    violations
}

/// Nothing is noted under an epoch that is over: the store refuses it.
pub(super) fn stale_intents(intents: &[Intent], leases: &[Lease]) -> Vec<Violation> {
    intents
        .iter()
        .filter_map(|intent| {
            let present = last_before(leases, &intent.account, intent.at)?;
            let holds = present.process == intent.process && present.epoch == intent.epoch;
            (!holds).then(|| Violation {
                rule: "who lost a lease writes nothing into the store",
                what: format!(
                    "{} noted {} of {} under epoch {} at {}; the lease was {}'s, epoch {}",
                    intent.process, intent.step, intent.object, intent.epoch, intent.at, present.process, present.epoch
                ),
                at: Some(intent.at),
                process: Some(intent.process.clone()),
            })
        })
        .collect()
}

/// Calls that arrived after their caller's lease had run out, in lines: each allowed once, and worth a look.
pub fn late(calls: &[Call], leases: &[Lease]) -> Vec<String> {
    calls
        .iter()
        .filter(|call| {
            let present = last_before(leases, &call.account, call.machine_at);
            call.app.as_ref().is_some_and(|process| {
                !present.is_some_and(|lease| lease.process == *process && lease.expires_at >= call.machine_at)
            })
        })
        .map(shown)
        .collect()
}
