//! Which steps the guard lets through, one rule a test.

use model::env::WindowSpec;
use model::{AwsAccountId, FieldChange, KindName, Region, ResourcePlan, Span};
use serde_json::Value;

use super::*;
use crate::plan::PlannedResource;

fn key() -> ResourceKey {
    ResourceKey {
        account: AwsAccountId::parse("123456789012").unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        kind: KindName::of("Thing"),
        identity: "one".into(),
    }
}

fn step(risk: Risk) -> Step {
    Step::new("PutThing", Verb::Update, risk, "differs", Value::Null).changing(vec![FieldChange::new("size", 1, 2)])
}

fn noon_on_sunday() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

struct Case {
    policy: Policy,
    windows: Windows,
    approved: Vec<Approved>,
    operator_mode: Mode,
    now: Timestamp,
}

impl Case {
    fn new(policy: Policy) -> Self {
        let windows = Windows::parse(&policy.windows).unwrap();
        Self { policy, windows, approved: Vec::new(), operator_mode: Mode::Enforce, now: noon_on_sunday() }
    }

    fn guard(&self) -> Guard<'_> {
        Guard {
            now: self.now,
            policy: &self.policy,
            windows: &self.windows,
            operator_mode: self.operator_mode,
            paused: None,
            cap: None,
            generation: 3,
            approved: &self.approved,
        }
    }

    fn approving(self, step: &Step) -> Self {
        self.approving_for(step, Apply::Immediately)
    }

    fn approving_for(mut self, step: &Step, apply: Apply) -> Self {
        self.approved.push(Approved { print: fingerprint(3, &key(), step), apply });
        self
    }

    fn reason(&self, risk: Risk, facts: &StepFacts) -> Option<HoldReason> {
        match self.guard().judge(&key(), &step(risk), facts) {
            Verdict::Allow => None,
            Verdict::Hold(hold) => Some(hold.reason),
        }
    }

    fn plain(&self, risk: Risk) -> Option<HoldReason> {
        self.reason(risk, &StepFacts::default())
    }
}

fn sundays_at_four() -> Vec<WindowSpec> {
    vec![WindowSpec { cron: "0 4 * * SUN".to_owned(), duration: Span::from_secs(3600), timezone: None }]
}

#[test]
fn safe_steps_run_at_once_and_others_wait_for_approval_by_default() {
    let case = Case::new(Policy::default());
    assert_eq!(case.plain(Risk::Safe), None);
    assert_eq!(case.plain(Risk::Disruptive), Some(HoldReason::ApprovalRequired));
    assert_eq!(case.plain(Risk::Destructive), Some(HoldReason::ApprovalRequired));
}

#[test]
fn an_approval_covers_the_step_as_it_was_shown() {
    let case = Case::new(Policy::default()).approving(&step(Risk::Destructive));
    assert_eq!(case.plain(Risk::Destructive), None);
    assert_eq!(case.plain(Risk::Disruptive), Some(HoldReason::ApprovalRequired), "another risk is another step");
    let guard = Guard { generation: 4, ..case.guard() };
    let verdict = guard.judge(&key(), &step(Risk::Destructive), &StepFacts::default());
    assert!(matches!(verdict, Verdict::Hold(_)), "a new generation voids it");
}

#[test]
fn what_policy_denies_no_approval_lets_through() {
    let policy = Policy { destructive: Destructive::Deny, ..Policy::default() };
    let case = Case::new(policy).approving(&step(Risk::Destructive));
    assert_eq!(case.plain(Risk::Destructive), Some(HoldReason::DeniedByPolicy));
    assert!(!case.guard().is_gated(&step(Risk::Destructive), false), "nor is it offered for approval");
    assert!(case.guard().is_gated(&step(Risk::Disruptive), false));
}

#[test]
fn disruptive_steps_wait_for_the_window_and_say_until_when() {
    let policy = Policy { disruptive: Disruptive::Window, windows: sundays_at_four(), ..Policy::default() };
    let mut case = Case::new(policy);
    let Verdict::Hold(hold) = case.guard().judge(&key(), &step(Risk::Disruptive), &StepFacts::default()) else {
        panic!("the window is closed");
    };
    assert_eq!(hold.reason, HoldReason::OutsideWindow);
    assert_eq!(hold.until, Some("2026-03-08T04:00:00Z".parse().unwrap()));
    case.now = "2026-03-08T04:30:00Z".parse().unwrap();
    assert_eq!(case.plain(Risk::Disruptive), None);
    assert_eq!(case.plain(Risk::Destructive), Some(HoldReason::ApprovalRequired), "a window is no approval");
}

#[test]
fn an_approved_step_waits_for_a_window_where_the_approval_says_so() {
    let policy = Policy { disruptive: Disruptive::Window, windows: sundays_at_four(), ..Policy::default() };
    let destructive = step(Risk::Destructive);
    let mut case = Case::new(policy).approving_for(&destructive, Apply::InWindow);
    let Verdict::Hold(hold) = case.guard().judge(&key(), &destructive, &StepFacts::default()) else {
        panic!("the window is closed");
    };
    assert_eq!((hold.reason, hold.until), (HoldReason::OutsideWindow, Some("2026-03-08T04:00:00Z".parse().unwrap())));
    case.now = "2026-03-08T04:30:00Z".parse().unwrap();
    assert_eq!(case.plain(Risk::Destructive), None);
    case.now = noon_on_sunday();
    let urgent = case.approving(&destructive);
    assert_eq!(urgent.plain(Risk::Destructive), None, "somebody approved it for now");
    assert_eq!(urgent.plain(Risk::Disruptive), Some(HoldReason::OutsideWindow), "which is about that step alone");
}

#[test]
fn unapproved_steps_are_those_that_no_approval_covers() {
    let plan = |steps: Vec<Step>| EnvironmentPlan {
        resources: vec![PlannedResource {
            key: key(),
            path: String::new(),
            plan: ResourcePlan { steps, ..ResourcePlan::default() },
            health: None,
            backup: None,
            adopted_now: false,
        }],
    };
    let case = Case::new(Policy::default()).approving_for(&step(Risk::Destructive), Apply::InWindow);
    assert!(!has_unapproved(&case.guard(), &plan(vec![step(Risk::Safe), step(Risk::Destructive)])));
    assert!(has_unapproved(&case.guard(), &plan(vec![step(Risk::Disruptive), step(Risk::Destructive)])));
}

#[test]
fn on_what_was_just_adopted_only_safe_steps_run() {
    let policy = Policy { disruptive: Disruptive::Immediately, ..Policy::default() };
    let case = Case::new(policy);
    assert_eq!(case.plain(Risk::Disruptive), None);
    let facts = StepFacts { adopted_now: true, ..StepFacts::default() };
    assert_eq!(case.reason(Risk::Safe, &facts), None);
    assert_eq!(case.reason(Risk::Disruptive, &facts), Some(HoldReason::ApprovalRequired));
}

#[test]
fn observing_and_pausing_hold_everything() {
    let mut case = Case::new(Policy { mode: Mode::Observe, ..Policy::default() });
    assert_eq!(case.plain(Risk::Safe), Some(HoldReason::ObserveMode));
    case = Case::new(Policy::default());
    case.operator_mode = Mode::Observe;
    assert_eq!(case.plain(Risk::Safe), Some(HoldReason::ObserveMode), "the red button");
    case.operator_mode = Mode::Enforce;
    let pause = Pause { owner: "ann".to_owned(), reason: "incident".to_owned(), until: None };
    let guard = Guard { paused: Some(pause), ..case.guard() };
    let verdict = guard.judge(&key(), &step(Risk::Safe), &StepFacts::default());
    assert!(matches!(verdict, Verdict::Hold(Hold { reason: HoldReason::Paused, .. })));
}

#[test]
fn the_cap_the_budget_and_writes_without_effect_hold_even_what_is_safe() {
    let case = Case::new(Policy::default());
    let facts = StepFacts { non_converging: Some("size".to_owned()), ..StepFacts::default() };
    assert_eq!(case.reason(Risk::Safe, &facts), Some(HoldReason::NonConverging));
    let facts = StepFacts { budget_until: Some(noon_on_sunday()), ..StepFacts::default() };
    assert_eq!(case.reason(Risk::Safe, &facts), Some(HoldReason::WriteBudget));
    let cap = Cap { message: "5 of 5".to_owned(), until: None };
    let guard = Guard { cap: Some(cap), ..case.guard() };
    let verdict = guard.judge(&key(), &step(Risk::Safe), &StepFacts::default());
    assert!(matches!(verdict, Verdict::Hold(Hold { reason: HoldReason::BlastRadiusCap, .. })));
}

#[test]
fn a_plans_hash_covers_its_gated_steps_alone() {
    let case = Case::new(Policy::default());
    let plan = |steps: Vec<Step>| EnvironmentPlan {
        resources: vec![PlannedResource {
            key: key(),
            path: String::new(),
            plan: ResourcePlan { steps, ..ResourcePlan::default() },
            health: None,
            backup: None,
            adopted_now: false,
        }],
    };
    let hash = |steps| plan_hash(&case.guard(), &plan(steps));
    assert_eq!(hash(vec![step(Risk::Safe)]), None);
    assert_eq!(hash(vec![step(Risk::Disruptive)]), hash(vec![step(Risk::Safe), step(Risk::Disruptive)]));
    assert_ne!(hash(vec![step(Risk::Disruptive)]), hash(vec![step(Risk::Destructive)]));
}
