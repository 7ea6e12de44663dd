//! The suite every kind passes, and what is this kind's own.

use engine::Kind;
use jiff::{Timestamp, ToSpan};
use model::Risk;

use super::{Desired, LogGroup, Observed};
use crate::testing::context;

testkit::kind_suite!(
    LogGroup,
    json!({ "spec": { "serviceDefaults": { "logs": { "retentionDays": 60 } } } }),
    json!({ "spec": { "services": { "event-service": { "logs": { "retentionDays": 14 } } } } }),
);

fn observed(retention_days: Option<u32>, age_days: i64) -> Observed {
    let now: Timestamp = crate::testing::now();
    Observed {
        arn: "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/eventchain-event-service".to_owned(),
        retention_days,
        created_at: Some(now.checked_sub((24 * age_days).hours()).unwrap()),
        empty: false,
        tags: None,
    }
}

fn risk(desired: u32, live: Option<u32>, age_days: i64) -> Option<Risk> {
    let desired = Desired { name: "x".to_owned(), retention_days: Some(desired), tags: model::Tags::default() };
    LogGroup::plan_present(&context(), &desired, &observed(live, age_days)).risk()
}

#[test]
fn a_longer_retention_is_safe() {
    assert_eq!(risk(60, Some(30), 400), Some(Risk::Safe));
}

#[test]
fn a_shorter_retention_destroys_what_is_older() {
    assert_eq!(risk(30, Some(60), 400), Some(Risk::Destructive));
    assert_eq!(risk(30, None, 400), Some(Risk::Destructive), "without retention events are kept for ever");
}

#[test]
fn a_shorter_retention_of_a_young_group_destroys_nothing() {
    assert_eq!(risk(30, Some(60), 10), Some(Risk::Safe));
    assert_eq!(risk(30, Some(60), 16), Some(Risk::Destructive), "events may be back-dated by 14 days");
}

#[test]
fn a_retention_that_is_not_declared_is_left_alone() {
    let desired = Desired { name: "x".to_owned(), retention_days: None, tags: model::Tags::default() };
    assert!(LogGroup::plan_present(&context(), &desired, &observed(Some(60), 400)).is_in_sync());
}
