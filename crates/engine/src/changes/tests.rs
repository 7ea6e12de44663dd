//! What becomes of changes, one rule a case.

use model::Span;
use model::env::{ChangesPolicy, Disruptive, Policy, RollbackMode, RollbackPolicy};

use super::*;
use crate::guard::{Hold, HoldReason};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn policy() -> ChangesPolicy {
    ChangesPolicy {
        rollback: RollbackPolicy { within: Span::from_secs(600), ..RollbackPolicy::default() },
        ..ChangesPolicy::default()
    }
}

fn found(policy: &ChangesPolicy) -> Found<'_> {
    Found {
        now: at(100),
        generation: 3,
        deleting: false,
        policy,
        gated: None,
        unapproved: false,
        complete: true,
        converged: false,
        hold: None,
        progressing: None,
        stalled: &[],
        unready: &[],
        last_act: None,
    }
}

/// Applied at second 0 as generation 3.
fn applied() -> Open<'static> {
    Open {
        author: "alice",
        origin: Origin::Posted,
        phase: Phase::Applying,
        generation: 3,
        plan_hash: None,
        expires_at: None,
        applied_at: at(0),
        base_revision: Some(2),
    }
}

/// Drift with the plan `h`, which lapses at second 1000.
fn drift() -> Open<'static> {
    Open {
        author: DRIFT,
        origin: Origin::Drift,
        phase: Phase::PendingApproval,
        plan_hash: Some("h"),
        expires_at: Some(at(1000)),
        base_revision: None,
        ..applied()
    }
}

fn failure(second: i64) -> Failure {
    Failure {
        resource: "EcsService/c/s".to_owned(),
        reason: "RolloutFailed".to_owned(),
        message: "tasks fail".to_owned(),
        since: at(second),
    }
}

/// In a word.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Stay { .. } => "Stay".to_owned(),
        Verdict::Wait { waiting, .. } => format!("Wait {}", waiting.reason),
        Verdict::AskApproval => "AskApproval".to_owned(),
        Verdict::Converged => "Converged".to_owned(),
        Verdict::Expired => "Expired".to_owned(),
        Verdict::Superseded(_) => "Superseded".to_owned(),
        Verdict::RollBack(_) => "RollBack".to_owned(),
        Verdict::Fail(_, why) => format!("Fail: {why}"),
    }
}

#[track_caller]
fn check(open: &Open<'_>, found: &Found<'_>, expected: &str) {
    assert_eq!(word(&settle(open, found)), expected);
}

#[test]
fn an_applied_change_ends_when_the_environment_has_converged_on_it() {
    let policy = policy();
    check(&applied(), &found(&policy), "Wait Converging");
    check(&applied(), &Found { progressing: Some(("Rollout", "1 of 2")), ..found(&policy) }, "Wait Rollout");
    check(&applied(), &Found { converged: true, ..found(&policy) }, "Converged");
    check(&applied(), &Found { converged: true, generation: 4, ..found(&policy) }, "Superseded");
    check(&applied(), &Found { converged: true, generation: 2, ..found(&policy) }, "Stay");
}

#[test]
fn a_baking_change_stays_under_watch_until_then() {
    let mut policy = policy();
    policy.rollback.bake = Span::from_secs(300);
    let verdict = settle(&applied(), &Found { converged: true, ..found(&policy) });
    let Verdict::Wait { waiting, until } = verdict else { panic!("{verdict:?}") };
    assert_eq!((waiting.reason.as_str(), until), ("UnderWatch", Some(at(300))));
    check(&applied(), &Found { converged: true, now: at(300), ..found(&policy) }, "Converged");
    let stalled = [failure(200)];
    check(&applied(), &Found { stalled: &stalled, now: at(200), ..found(&policy) }, "RollBack");
}

#[test]
fn a_guard_holds_it_and_says_until_when() {
    let policy = policy();
    let hold = Hold { reason: HoldReason::OutsideWindow, message: "closed".to_owned(), until: Some(at(5000)) };
    let verdict = settle(&applied(), &Found { hold: Some(&hold), ..found(&policy) });
    let Verdict::Wait { waiting, until } = verdict else { panic!("{verdict:?}") };
    assert_eq!((waiting.reason.as_str(), waiting.until, until), ("OutsideWindow", Some(at(5000)), Some(at(5000))));
    let unready = [failure(0)];
    let late = Found { hold: Some(&hold), unready: &unready, now: at(9000), ..found(&policy) };
    check(&applied(), &late, "Wait OutsideWindow");
}

#[test]
fn a_failure_that_began_with_the_change_is_taken_back() {
    let policy = policy();
    let (before, during, late) = ([failure(-5)], [failure(50)], [failure(700)]);
    let at_once = Timestamp::from_nanosecond(at(0).as_nanosecond() + 569).unwrap();
    let at_once = [Failure { since: at_once, ..failure(0) }];
    check(&applied(), &Found { stalled: &at_once, ..found(&policy) }, "Wait Converging");
    check(&applied(), &Found { stalled: &before, ..found(&policy) }, "Wait Converging");
    check(&applied(), &Found { stalled: &during, ..found(&policy) }, "RollBack");
    let late = Found { stalled: &late, now: at(800), ..found(&policy) };
    check(&applied(), &late, "Fail: it failed later than policy.changes.rollback.within");
    // A rollout that began in a window counts from there.
    check(&applied(), &Found { last_act: Some(at(650)), ..late }, "RollBack");
    check(&applied(), &Found { stalled: &during, unapproved: true, gated: Some("h"), ..found(&policy) }, "RollBack");
    check(&applied(), &Found { stalled: &during, generation: 4, ..found(&policy) }, "Superseded");
}

#[test]
fn what_is_not_ready_in_its_time_has_failed() {
    let policy = policy();
    let unready = [failure(0)];
    let verdict = settle(&applied(), &Found { unready: &unready, ..found(&policy) });
    assert!(matches!(verdict, Verdict::Wait { until: Some(end), .. } if end == at(600)), "{verdict:?}");
    check(&applied(), &Found { unready: &unready, now: at(600), ..found(&policy) }, "RollBack");
    let later = Found { unready: &unready, now: at(600), last_act: Some(at(300)), ..found(&policy) };
    check(&applied(), &later, "Wait Converging");
}

#[test]
fn not_every_failure_is_taken_back() {
    let mut policy = policy();
    let stalled = [failure(50)];
    let failing = Found { stalled: &stalled, ..found(&policy) };
    let back = Open { author: ROLLBACK, origin: Origin::Rollback, ..applied() };
    check(&back, &failing, "Fail: a rollback is not taken back");
    check(&Open { base_revision: None, ..applied() }, &failing, "Fail: there is no revision before it");
    policy.rollback.mode = RollbackMode::Never;
    let failing = Found { stalled: &stalled, ..found(&policy) };
    check(&applied(), &failing, "Fail: policy.changes.rollback.mode is Never");
}

#[test]
fn gated_steps_of_a_written_spec_wait_for_approval_and_lapse() {
    let policy = policy();
    let gated = Found { gated: Some("h"), unapproved: true, ..found(&policy) };
    check(&applied(), &gated, "AskApproval");
    let asked = Open { phase: Phase::PendingApproval, plan_hash: Some("h"), expires_at: Some(at(1000)), ..applied() };
    check(&asked, &gated, "Stay");
    check(&asked, &Found { now: at(1000), ..gated.clone() }, "Expired");
    check(&asked, &Found { gated: Some("other"), ..gated.clone() }, "AskApproval");
    let blind = Found { gated: Some("other"), complete: false, ..gated.clone() };
    check(&asked, &blind, "Stay");
    check(&asked, &Found { unapproved: false, ..gated }, "Wait Converging");
}

#[test]
fn a_change_about_drift_ends_with_the_drift() {
    let policy = policy();
    let gated = Found { gated: Some("h"), unapproved: true, ..found(&policy) };
    check(&drift(), &gated, "Stay");
    check(&drift(), &Found { now: at(1000), ..gated.clone() }, "Expired");
    check(&drift(), &Found { gated: Some("other"), ..gated.clone() }, "Superseded");
    check(&drift(), &Found { gated: Some("other"), complete: false, ..gated.clone() }, "Stay");
    check(&drift(), &found(&policy), "Superseded");
    check(&drift(), &Found { complete: false, ..found(&policy) }, "Stay");
    let approved = Open { phase: Phase::Applying, ..drift() };
    check(&approved, &Found { unapproved: false, ..gated.clone() }, "Wait Converging");
    check(&approved, &found(&policy), "Converged");
    check(&approved, &Found { generation: 4, ..found(&policy) }, "Superseded");
}

#[test]
fn a_deletion_ends_other_changes_and_waits_for_its_own_approval() {
    let policy = policy();
    let stalled = [failure(50)];
    let gated = Found {
        gated: Some("h"),
        unapproved: true,
        deleting: true,
        stalled: &stalled,
        unready: &stalled,
        now: at(9000),
        ..found(&policy)
    };
    check(&applied(), &gated, "Superseded");
    check(&drift(), &gated, "Superseded");
    let deletion = Open { origin: Origin::Deletion, base_revision: None, ..applied() };
    check(&deletion, &gated, "AskApproval");
    check(&deletion, &Found { unapproved: false, ..gated }, "Wait Converging");
}

#[test]
fn the_same_steps_are_not_asked_about_in_a_tight_loop() {
    let policy = policy();
    let gated = Found { gated: Some("h"), unapproved: true, now: at(10_000), ..found(&policy) };
    let last = |phase, second| Some(Closed { phase, at: at(second) });
    let may_open = |found: &Found<'_>, last| opens(found, last).is_some_and(|at| at <= found.now);
    assert!(may_open(&gated, None));
    assert!(!may_open(&Found { unapproved: false, ..gated.clone() }, None));
    assert!(!may_open(&Found { complete: false, ..gated.clone() }, None));
    assert!(!may_open(&gated, last(Phase::Rejected, -1_000_000)));
    assert!(!may_open(&gated, last(Phase::Withdrawn, -1_000_000)));
    assert!(!may_open(&gated, last(Phase::Expired, 9_000)));
    assert!(may_open(&gated, last(Phase::Expired, 10_000 - 86_400)));
    assert!(!may_open(&gated, last(Phase::Superseded, 9_990)));
    assert!(may_open(&gated, last(Phase::Superseded, 9_000)));
    assert!(may_open(&gated, last(Phase::Converged, 9_999)), "somebody approves each time");
}

#[test]
fn nobody_counts_twice_nor_the_author_where_a_second_person_is_asked_for() {
    let one = Requires::default();
    assert_eq!((one.approvals, one.second_person), (1, false));
    assert_eq!((one.missing("alice", ["alice"]), one.missing("alice", [])), (0, 1));
    let second = Requires { second_person: true, ..one };
    assert_eq!((second.missing("alice", ["alice"]), second.missing("alice", ["bob"])), (1, 0));
    assert_eq!(second.admit("alice", "alice"), Err(Refusal::Author));
    assert_eq!(second.admit(DRIFT, "alice"), Ok(()));
    let two = Requires { approvals: 2, second_person: true };
    assert_eq!(two.missing("alice", ["bob", "bob", "alice"]), 1);
    assert_eq!(two.missing("alice", ["bob", "carol"]), 0);
    assert_eq!(one.and(two), two);
}

#[test]
fn a_guarded_policy_is_loosened_only_by_its_own_rules() {
    let with = |approvals, second_person, disruptive| Policy {
        disruptive,
        changes: ChangesPolicy { approvals, second_person, ..ChangesPolicy::default() },
        ..Policy::default()
    };
    let ask = Disruptive::RequireApproval;
    let old = with(2, true, ask);
    assert_eq!(loosened(&old, &old), None);
    assert_eq!(loosened(&old, &with(3, true, ask)), None);
    assert_eq!(loosened(&old, &with(2, false, ask)), Some("spec.policy.changes.secondPerson"));
    assert_eq!(loosened(&old, &with(1, true, ask)), Some("spec.policy.changes.approvals"));
    assert_eq!(loosened(&old, &with(2, true, Disruptive::Immediately)), Some("spec.policy.disruptive"));
    let open = with(1, false, ask);
    assert_eq!(loosened(&open, &with(1, false, Disruptive::Immediately)), None, "nobody else is asked for anyway");
}

#[test]
fn approved_steps_wait_for_windows_where_policy_keeps_some() {
    assert_eq!(Apply::by_policy(&Policy::default()), Apply::Immediately);
    let policy = Policy { disruptive: Disruptive::Window, ..Policy::default() };
    assert_eq!(Apply::by_policy(&policy), Apply::InWindow);
}
