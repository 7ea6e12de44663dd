//! Which facts give which conditions.

use model::plan::Verb;
use model::{Effect, FieldChange, Risk, Step, Wait};
use serde_json::Value;

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn step() -> ResourcePlan {
    let step = Step::new("PutMetricAlarm", Verb::Update, Risk::Safe, "differs", Value::Null);
    ResourcePlan::step(step.changing(vec![FieldChange::new("threshold", 80, 90)]))
}

fn resource_of(plan: &ResourcePlan) -> ResourceFacts<'_> {
    ResourceFacts {
        name: "Alarm/cpu",
        seen: Seen::Present,
        since_write: true,
        plan,
        hold: None,
        error: None,
        health: Some(&Health::Ready),
        backup: None,
        agreed_before: true,
        leaving: false,
    }
}

fn all(resources: &[ResourceFacts<'_>]) -> Vec<Condition> {
    let facts = EnvironmentFacts {
        now: NOW,
        generation: 3,
        resources,
        paused: None,
        credentials: Credentials::Valid,
        invalid_spec: None,
        deleting: false,
        rolled_back: None,
    };
    environment(&[], &facts)
}

fn is(conditions: &[Condition], kind: ConditionType) -> String {
    let found = condition::find(conditions, kind).unwrap();
    format!("{} {}", found.status, found.reason)
}

#[test]
fn what_the_daemon_took_back_is_said_until_somebody_writes_anew() {
    let facts = |rolled_back| EnvironmentFacts {
        now: Timestamp::UNIX_EPOCH,
        generation: 3,
        resources: &[],
        paused: None,
        credentials: Credentials::Valid,
        invalid_spec: None,
        deleting: false,
        rolled_back,
    };
    let conditions = environment(&[], &facts(Some("change c1 failed")));
    assert_eq!(is(&conditions, ConditionType::RolledBack), "True ChangeRolledBack");
    let conditions = environment(&conditions, &facts(None));
    assert_eq!(is(&conditions, ConditionType::RolledBack), "False NotRolledBack");
}

#[test]
fn all_in_sync_is_ready_synced_and_nothing_else() {
    let plan = ResourcePlan::in_sync();
    let conditions = all(&[resource_of(&plan)]);
    let said: Vec<String> = conditions.iter().map(|c| format!("{} {} {}", c.kind, c.status, c.reason)).collect();
    assert_eq!(
        said,
        [
            "Ready True AllReady",
            "Synced True InSync",
            "Drifted False NoDrift",
            "Progressing False Idle",
            "Stalled False NotStalled",
            "Paused False NotPaused",
            "Blocked False NotBlocked",
            "BackupHealthy Unknown NoBackups",
            "CredentialsValid True Accepted",
            "RolledBack False NotRolledBack",
        ]
    );
    assert!(conditions.iter().all(|condition| condition.observed_generation == 3));
}

#[test]
fn synced_is_never_said_before_looking_after_the_write() {
    let plan = ResourcePlan::in_sync();
    let seen_before = ResourceFacts { since_write: false, ..resource_of(&plan) };
    assert_eq!(is(&all(&[seen_before]), ConditionType::Synced), "Unknown NotObserved");
    let unknown = ResourceFacts { seen: Seen::Unknown, health: None, ..resource_of(&plan) };
    let conditions = all(&[resource_of(&plan), unknown]);
    assert_eq!(is(&conditions, ConditionType::Synced), "Unknown NotObserved");
    assert_eq!(is(&conditions, ConditionType::Ready), "Unknown NotObserved");
    assert_eq!(is(&conditions, ConditionType::Drifted), "Unknown NotObserved");
}

#[test]
fn a_step_on_what_agreed_before_is_drift_and_on_what_did_not_is_none() {
    let plan = step();
    let conditions = all(&[resource_of(&plan)]);
    assert_eq!(is(&conditions, ConditionType::Drifted), "True Drift");
    assert_eq!(is(&conditions, ConditionType::Synced), "False OutOfSync");
    assert_eq!(
        condition::find(&conditions, ConditionType::Drifted).unwrap().message,
        "Alarm/cpu: PutMetricAlarm (threshold)"
    );
    let new = ResourceFacts { agreed_before: false, ..resource_of(&plan) };
    assert_eq!(is(&all(&[new]), ConditionType::Drifted), "False NoDrift");
}

#[test]
fn a_wait_keeps_synced_from_being_said() {
    let plan = ResourcePlan::wait(Wait::new(WaitKind::Progressing, "RolloutInProgress", "2 of 4 tasks"));
    let conditions = all(&[resource_of(&plan)]);
    assert_eq!(is(&conditions, ConditionType::Synced), "False RolloutInProgress");
    assert_eq!(is(&conditions, ConditionType::Progressing), "True RolloutInProgress");
}

#[test]
fn a_hold_is_blocked_and_non_convergence_is_stalled() {
    let plan = step();
    let hold = |reason| Hold { reason, message: "why".to_owned(), until: None };
    let window = hold(HoldReason::OutsideWindow);
    let conditions = all(&[ResourceFacts { hold: Some(&window), ..resource_of(&plan) }]);
    assert_eq!(is(&conditions, ConditionType::Blocked), "True OutsideWindow");
    assert_eq!(is(&conditions, ConditionType::Progressing), "False Idle");
    let stuck = hold(HoldReason::NonConverging);
    let conditions = all(&[ResourceFacts { hold: Some(&stuck), ..resource_of(&plan) }]);
    assert_eq!(is(&conditions, ConditionType::Stalled), "True NonConverging");
    assert_eq!(is(&conditions, ConditionType::Blocked), "False NotBlocked");
}

#[test]
fn an_error_stalls_only_when_it_needs_someone() {
    let plan = step();
    let error = |class| ActError {
        class,
        effect: Effect::NotApplied,
        operation: "cloudwatch:PutMetricAlarm".to_owned(),
        code: "Code".to_owned(),
        message: "said AWS".to_owned(),
        request_id: None,
    };
    for (class, wanted) in [
        (Class::Throttled, "False NotStalled"),
        (Class::Transient, "False NotStalled"),
        (Class::NotYet, "False NotStalled"),
        (Class::Conflict, "False NotStalled"),
        (Class::NotFound, "False NotStalled"),
        (Class::Quota, "True ActQuota"),
        (Class::Denied, "True ActDenied"),
        (Class::Invalid, "True ActInvalid"),
        (Class::Bug, "True ActBug"),
    ] {
        let error = error(class);
        let conditions = all(&[ResourceFacts { error: Some(&error), ..resource_of(&plan) }]);
        assert_eq!(is(&conditions, ConditionType::Stalled), wanted, "{class}");
        assert!(is(&conditions, ConditionType::Synced).starts_with("False Act"), "{class}");
    }
}

#[test]
fn what_is_absent_or_unhealthy_is_not_ready() {
    let plan = ResourcePlan::in_sync();
    let absent = ResourceFacts { seen: Seen::Absent, health: None, ..resource_of(&plan) };
    assert_eq!(is(&all(&[absent]), ConditionType::Ready), "False Missing");
    let rolling = Health::Progressing { reason: "RollingOut", message: "1 of 2".to_owned() };
    let conditions = all(&[ResourceFacts { health: Some(&rolling), ..resource_of(&plan) }]);
    assert_eq!(is(&conditions, ConditionType::Ready), "False RollingOut");
    assert_eq!(is(&conditions, ConditionType::Progressing), "True RollingOut");
    let failed = Health::Stalled { reason: "RolloutFailed", message: "crash".to_owned() };
    let conditions = all(&[ResourceFacts { health: Some(&failed), ..resource_of(&plan) }]);
    assert_eq!(is(&conditions, ConditionType::Stalled), "True RolloutFailed");
}

#[test]
fn old_backups_are_named() {
    let plan = ResourcePlan::in_sync();
    let backup = |healthy| Backup { newest: None, healthy, next: None, message: "newest is older than 26h".to_owned() };
    let (fresh, old) = (backup(true), backup(false));
    let of = |backup| ResourceFacts { backup: Some(backup), ..resource_of(&plan) };
    assert_eq!(is(&all(&[of(&fresh)]), ConditionType::BackupHealthy), "True Fresh");
    assert_eq!(is(&all(&[of(&fresh), of(&old)]), ConditionType::BackupHealthy), "False BackupTooOld");
}

#[test]
fn what_leaves_counts_neither_for_ready_nor_as_drift() {
    let plan = step();
    let leaving = ResourceFacts { leaving: true, seen: Seen::Present, ..resource_of(&plan) };
    let conditions = all(&[leaving]);
    assert_eq!(is(&conditions, ConditionType::Ready), "True AllReady");
    assert_eq!(is(&conditions, ConditionType::Drifted), "False NoDrift");
    assert_eq!(is(&conditions, ConditionType::Synced), "False OutOfSync");
}

#[test]
fn a_spec_that_cannot_be_used_is_stalled_and_not_synced() {
    let facts = EnvironmentFacts {
        now: NOW,
        generation: 1,
        resources: &[],
        paused: None,
        credentials: Credentials::Invalid("AccessDenied"),
        invalid_spec: Some("spec.x: unknown field"),
        deleting: false,
        rolled_back: None,
    };
    let conditions = environment(&[], &facts);
    assert_eq!(is(&conditions, ConditionType::Stalled), "True InvalidSpec");
    assert_eq!(is(&conditions, ConditionType::Synced), "False InvalidSpec");
    assert_eq!(is(&conditions, ConditionType::CredentialsValid), "False Rejected");
}

#[test]
fn many_resources_make_a_short_message() {
    let plan = step();
    let resources: Vec<_> = (0..8).map(|_| resource_of(&plan)).collect();
    let conditions = all(&resources);
    assert!(condition::find(&conditions, ConditionType::Synced).unwrap().message.ends_with("and 3 more"));
}
