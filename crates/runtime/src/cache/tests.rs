//! The cache's rules.

use std::sync::Arc;

use model::{AwsAccountId, Class, KindName, Region};

use super::*;

const STALE: Duration = Duration::from_secs(60);

fn key() -> ResourceKey {
    ResourceKey {
        account: AwsAccountId::parse("123456789012").unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        kind: KindName::of("Thing"),
        identity: "one".into(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn present(value: &str) -> Observation<SharedObject> {
    Observation::Present(Arc::new(value.to_owned()))
}

fn unknown(why: Unknown) -> Observation<SharedObject> {
    Observation::Unknown { since: at(0), why }
}

fn failed() -> Observation<SharedObject> {
    unknown(Unknown::Failed { class: Class::Transient, message: "lost".to_owned() })
}

/// A sweep that begins now.
fn sweep(cache: &Cache, second: i64, observation: Observation<SharedObject>) -> bool {
    let began = (cache.ticket(), at(second));
    sweep_begun(cache, began, observation)
}

fn sweep_begun(cache: &Cache, began: (Ticket, Timestamp), observation: Observation<SharedObject>) -> bool {
    !cache.swept(vec![Swept { key: key(), at: None, observation }], began, STALE).is_empty()
}

fn read(cache: &Cache, second: i64, observation: Observation<SharedObject>) -> bool {
    let began = (cache.ticket(), at(second));
    cache.read(&key(), None, observation, began)
}

fn shown(cache: &Cache) -> String {
    match cache.get(&key()).unwrap().observation {
        Observation::Absent => "absent".to_owned(),
        Observation::Present(value) => value.to_json().to_string(),
        Observation::Unknown { why, .. } => format!("{why:?}").split(' ').next().unwrap().to_owned(),
    }
}

#[test]
fn the_same_again_is_no_change_and_keeps_the_time_of_the_change() {
    let cache = Cache::default();
    assert!(sweep(&cache, 1, present("a")));
    assert!(!sweep(&cache, 2, present("a")));
    let seen = cache.get(&key()).unwrap();
    assert_eq!((seen.changed_at, seen.observed_at), (at(1), at(2)));
    assert!(sweep(&cache, 3, present("b")));
    let seen = cache.get(&key()).unwrap();
    assert_eq!((seen.changed_at, seen.changed_after), (at(3), Some(at(2))));
}

#[test]
fn a_sweep_that_began_before_the_last_direct_read_is_ignored() {
    let cache = Cache::default();
    sweep(&cache, 1, present("old"));
    let began = (cache.ticket(), at(2));
    read(&cache, 3, present("new"));
    assert!(!sweep_begun(&cache, began, present("old")));
    assert_eq!(shown(&cache), "\"new\"");
    assert!(sweep(&cache, 4, present("newer")), "a later one counts");
}

#[test]
fn only_a_direct_read_clears_what_is_in_flight() {
    let cache = Cache::default();
    sweep(&cache, 1, present("old"));
    cache.in_flight(&key(), at(2));
    assert!(!sweep(&cache, 3, present("old")), "a sweep that began after the mark may still be too early");
    assert_eq!(shown(&cache), "InFlight");
    read(&cache, 4, present("new"));
    assert_eq!(shown(&cache), "\"new\"");
}

#[test]
fn what_is_missing_from_a_listing_is_unknown_and_never_absent() {
    let cache = Cache::default();
    sweep(&cache, 1, present("a"));
    assert!(sweep(&cache, 2, unknown(Unknown::NotListed)));
    assert_eq!(shown(&cache), "NotListed");
    assert!(!sweep(&cache, 3, Observation::Absent), "a provider that says absent in a listing proves nothing");
    assert_eq!(shown(&cache), "NotListed");
}

#[test]
fn what_a_direct_read_found_absent_stays_absent_while_no_listing_has_it() {
    let cache = Cache::default();
    read(&cache, 1, Observation::Absent);
    assert!(!sweep(&cache, 2, unknown(Unknown::NotListed)));
    assert_eq!(shown(&cache), "absent");
    assert!(sweep(&cache, 3, present("back")));
    assert_eq!(shown(&cache), "\"back\"");
}

#[test]
fn a_failed_read_changes_nothing_until_what_is_known_is_too_old() {
    let cache = Cache::default();
    sweep(&cache, 0, present("a"));
    assert!(!sweep(&cache, 60, failed()));
    assert_eq!(shown(&cache), "\"a\"");
    assert_eq!(cache.get(&key()).unwrap().observed_at, at(0), "it is not taken for seen");
    assert!(sweep(&cache, 61, failed()));
    assert_eq!(shown(&cache), "Failed");
    assert!(!sweep(&cache, 70, failed()), "the same failure again wakes nobody");
}

#[test]
fn a_whole_sweep_that_fails_is_a_failure_of_each_key() {
    let cache = Cache::default();
    sweep(&cache, 0, present("a"));
    let error = ObserveError {
        class: Class::Throttled,
        operation: "x:Describe".to_owned(),
        code: "Throttling".to_owned(),
        message: "slow down".to_owned(),
        request_id: None,
    };
    let fail = |second| cache.sweep_failed(&[key()], &error, (cache.ticket(), at(second)), STALE);
    assert!(fail(30).is_empty());
    assert_eq!(fail(90), [key()]);
}

#[test]
fn an_act_does_not_hide_when_the_object_was_last_seen_before_a_change() {
    let cache = Cache::default();
    sweep(&cache, 1, present("a"));
    cache.in_flight(&key(), at(5));
    read(&cache, 6, present("b"));
    assert_eq!(cache.get(&key()).unwrap().changed_after, Some(at(1)));
}

#[test]
fn what_is_not_kept_is_forgotten() {
    let cache = Cache::default();
    sweep(&cache, 1, present("a"));
    cache.retain(|_| false);
    assert!(cache.get(&key()).is_none());
}
