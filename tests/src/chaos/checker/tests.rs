//! Each rule can be broken, and is seen to be.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn call(number: u64, app: Option<&str>, operation: &str, input: Value) -> Call {
    Call {
        number,
        machine_at: at(number as i64),
        app: app.map(str::to_owned),
        service: "ecs".to_owned(),
        operation: operation.to_owned(),
        account: "1".to_owned(),
        region: "us-east-1".to_owned(),
        mutating: true,
        input,
        applied: true,
        error: None,
        faults: Vec::new(),
        lost: false,
    }
}

fn lease(second: i64, process: &str, epoch: i64, lasts: i64) -> Lease {
    Lease {
        at: at(second),
        process: process.to_owned(),
        account: "1".to_owned(),
        epoch,
        expires_at: at(second + lasts),
    }
}

fn intent(second: i64, process: &str, epoch: i64, step: &str) -> Intent {
    Intent {
        at: at(second),
        process: process.to_owned(),
        account: "1".to_owned(),
        environment: "prod".to_owned(),
        object: "EcsService/x".to_owned(),
        step: step.to_owned(),
        epoch,
    }
}

#[test]
fn a_snapshot_taken_twice_is_seen_and_one_taken_again_after_it_was_deleted_is_not() {
    let take = |number| call(number, Some("a1"), "CreateDBSnapshot", json!({ "DBSnapshotIdentifier": "s" }));
    assert_eq!(calls::duplicates(&[take(1), take(2)]).len(), 1);
    let delete = call(2, None, "DeleteDBSnapshot", json!({ "DBSnapshotIdentifier": "s" }));
    assert!(calls::duplicates(&[take(1), delete, take(3)]).is_empty());
    let mut refused = take(2);
    refused.applied = false;
    assert!(calls::duplicates(&[take(1), refused]).is_empty());
}

#[test]
fn a_call_repeated_with_the_token_of_the_first_makes_nothing_twice() {
    let create = |number, token: &str| {
        call(number, Some("a1"), "CreateSecret", json!({ "Name": "s", "ClientRequestToken": token }))
    };
    assert!(calls::duplicates(&[create(1, "x"), create(2, "x")]).is_empty());
    assert_eq!(calls::duplicates(&[create(1, "x"), create(2, "y")]).len(), 1);
}

#[test]
fn the_same_revision_twice_running_is_seen_and_another_between_excuses_it() {
    let register = |number, image: &str| {
        call(number, Some("a1"), "RegisterTaskDefinition", json!({ "family": "f", "image": image }))
    };
    assert_eq!(calls::duplicates(&[register(1, "x"), register(2, "x")]).len(), 1);
    assert!(calls::duplicates(&[register(1, "x"), register(2, "y"), register(3, "x")]).is_empty());
}

#[test]
fn a_deletion_by_a_daemon_is_seen_and_one_by_a_person_is_not() {
    let delete = |app| call(1, app, "DeleteService", json!({ "cluster": "c", "service": "s" }));
    assert_eq!(calls::deletions(&[delete(Some("a1"))]).len(), 1);
    assert!(calls::deletions(&[delete(None)]).is_empty());
}

#[test]
fn only_a_snapshot_that_failed_may_be_deleted_to_be_taken_again() {
    let mut take = call(1, Some("a1"), "CreateDBSnapshot", json!({ "DBSnapshotIdentifier": "s" }));
    let delete = call(2, Some("a1"), "DeleteDBSnapshot", json!({ "DBSnapshotIdentifier": "s" }));
    assert_eq!(calls::deletions(&[take.clone(), delete.clone()]).len(), 1);
    take.faults = vec!["failsLater".to_owned()];
    assert!(calls::deletions(&[take, delete]).is_empty());
}

#[test]
fn a_lease_taken_from_one_who_holds_it_is_seen() {
    assert_eq!(owners::one_at_a_time(&[lease(0, "a1", 1, 10), lease(5, "b1", 2, 10)]).len(), 1);
    assert!(owners::one_at_a_time(&[lease(0, "a1", 1, 4), lease(5, "b1", 2, 10)]).is_empty());
    // The same epoch under two owners would let the first one write.
    assert_eq!(owners::one_at_a_time(&[lease(0, "a1", 1, 4), lease(5, "b1", 1, 10)]).len(), 1);
}

#[test]
fn a_stale_owner_may_finish_the_call_it_had_checked_and_start_no_other() {
    let leases = [lease(0, "a1", 1, 10), lease(12, "b1", 2, 10)];
    let update = |number| call(number, Some("a1"), "UpdateService", json!({}));
    let checked = [intent(8, "a1", 1, "UpdateService")];
    assert!(owners::stale_calls(&[update(9)], &leases, &checked).is_empty());
    assert!(owners::stale_calls(&[update(13)], &leases, &checked).is_empty());
    assert_eq!(owners::late(&[update(9), update(13)], &leases).len(), 1);
    assert_eq!(owners::stale_calls(&[update(13), update(14)], &leases, &checked).len(), 1);
    assert_eq!(owners::stale_calls(&[update(13)], &leases, &[]).len(), 1, "no intent");
    let other = [intent(8, "a1", 1, "UpdateService"), intent(9, "a1", 1, "CreateService")];
    assert_eq!(owners::stale_calls(&[update(13)], &leases, &other).len(), 1, "not the last that was checked");
}

#[test]
fn an_intent_under_an_epoch_that_is_over_is_seen() {
    let leases = [lease(0, "a1", 1, 10), lease(12, "b1", 2, 10)];
    assert!(owners::stale_intents(&[intent(8, "a1", 1, "X"), intent(13, "b1", 2, "X")], &leases).is_empty());
    assert_eq!(owners::stale_intents(&[intent(13, "a1", 1, "X")], &leases).len(), 1);
}

fn revision(number: i64, author: &str, spec: Value) -> Revision {
    Revision { environment: "prod".to_owned(), number, generation: number, author: author.to_owned(), spec }
}

fn write(second: i64, author: &str, asked: Asked, told: Told) -> Write {
    Write {
        author: author.to_owned(),
        environment: "prod".to_owned(),
        sent_at: at(second),
        answered_at: at(second) + SignedDuration::from_millis(500),
        asked,
        told,
    }
}

fn patch(field: &str, value: i64) -> Asked {
    Asked::Merge { patch: json!({ "spec": { field: value } }), on: None }
}

fn accepted(generation: i64) -> Told {
    Told::Accepted { generation: Some(generation) }
}

fn history(told: Told) -> (Vec<Write>, Vec<Revision>, BTreeMap<String, i64>) {
    let writes = vec![
        write(0, "u.1", Asked::Create(json!({ "a": 1 })), accepted(1)),
        write(1, "u.2", patch("b", 2), accepted(2)),
        write(2, "u.3", patch("a", 3), told),
    ];
    let revisions = vec![
        revision(1, "u.1", json!({ "a": 1 })),
        revision(2, "u.2", json!({ "a": 1, "b": 2 })),
        revision(3, "u.3", json!({ "a": 3, "b": 2 })),
    ];
    let audited = ["u.1", "u.2", "u.3"].map(|author| (author.to_owned(), 1)).into();
    (writes, revisions, audited)
}

#[test]
fn writes_that_are_all_kept_break_no_rule() {
    let (writes, revisions, audited) = history(accepted(3));
    assert_eq!(writes::kept(&writes, &revisions, &audited), Vec::new());
    let (writes, revisions, audited) = history(Told::Unknown(String::new()));
    assert_eq!(writes::kept(&writes, &revisions, &audited), Vec::new());
}

#[test]
fn a_lost_a_mixed_a_refused_and_an_unasked_write_are_seen() {
    let (writes, mut revisions, audited) = history(accepted(3));
    revisions.pop();
    assert_eq!(writes::kept(&writes, &revisions, &audited).len(), 1, "lost");
    let (writes, mut revisions, audited) = history(accepted(3));
    revisions[2].spec = json!({ "a": 3 });
    assert_eq!(writes::kept(&writes, &revisions, &audited).len(), 1, "it took another's write with it");
    let (writes, revisions, audited) = history(Told::Refused(409, String::new()));
    assert_eq!(writes::kept(&writes, &revisions, &audited).len(), 1, "refused, and written all the same");
    let (mut writes, revisions, audited) = history(accepted(3));
    writes.pop();
    assert_eq!(writes::kept(&writes, &revisions, &audited).len(), 1, "by nobody");
    let (writes, revisions, mut audited) = history(accepted(3));
    audited.remove("u.2");
    assert_eq!(writes::kept(&writes, &revisions, &audited).len(), 1, "not in the trail");
    let (mut writes, revisions, audited) = history(accepted(3));
    writes[2].asked = Asked::Merge { patch: json!({ "spec": { "a": 3 } }), on: Some(1) };
    assert_eq!(writes::kept(&writes, &revisions, &audited).len(), 1, "over somebody else's");
}

#[test]
fn writes_in_another_order_than_they_were_accepted_in_are_seen() {
    let (mut writes, revisions, audited) = history(accepted(3));
    writes[2].sent_at = at(-10);
    writes[2].answered_at = at(-9);
    assert!(!writes::kept(&writes, &revisions, &audited).is_empty());
}

fn end() -> End {
    let conditions = ["Ready", "Synced"].map(|kind| json!({ "type": kind, "status": "True", "observedGeneration": 1 }));
    End {
        account: "1".to_owned(),
        document: json!({
            "metadata": { "name": "prod", "generation": 1 },
            "spec": {
                "cluster": { "name": "c" },
                "services": { "api": { "name": "api", "image": "i:1", "desiredCount": 2, "environment": { "A": "1" } } },
                "database": { "identifier": "db", "multiAz": true },
                "alarms": { "cpu": { "threshold": 80.0 } },
                "loadBalancer": { "listeners": [{ "port": 80 }] },
            },
            "status": { "conditions": conditions },
        }),
        aws: json!({
            "clusters": ["c"],
            "services": { "api": { "desiredCount": 2, "runningCount": 2, "runs": { "containerDefinitions": [
                { "image": "i:1", "environment": [{ "name": "A", "value": "1" }] }] } } },
            "definitions": { "api": 1 }, "logGroups": { "/ecs/api": {} },
            "alarms": { "cpu": { "Threshold": 80, "ActionsEnabled": true }, "TargetTracking-x": {} },
            "databases": { "db": { "MultiAZ": "true" } }, "snapshots": ["s"], "copies": ["s"], "listeners": [80],
        }),
        slots: 1,
    }
}

#[test]
fn an_end_as_declared_breaks_no_rule_and_every_difference_does() {
    assert_eq!(state::as_declared(&end()), Vec::new());
    for (place, value) in [
        ("/services/api/desiredCount", json!(3)),
        ("/services/api/runs/containerDefinitions/0/image", json!("i:2")),
        ("/services/api/runs/containerDefinitions/0/environment/0/value", json!("2")),
        ("/alarms/cpu/Threshold", json!(81)),
        ("/alarms/cpu/ActionsEnabled", json!(false)),
        ("/databases/db/MultiAZ", json!("false")),
        ("/snapshots", json!(["s", "t"])),
        ("/listeners", json!([80, 80])),
        ("/alarms", json!({ "cpu": { "Threshold": 80, "ActionsEnabled": true }, "other": {} })),
        ("/definitions", json!({ "api": 1, "other": 1 })),
    ] {
        let mut changed = end();
        *changed.aws.pointer_mut(place).unwrap() = value;
        assert!(!state::as_declared(&changed).is_empty(), "{place}");
    }
    let missed = End { slots: 2, ..end() };
    assert_eq!(state::as_declared(&missed), Vec::new());
    let mut missed = missed;
    missed.aws["copies"] = json!([]);
    assert!(!state::as_declared(&missed).is_empty(), "no copy of two slots");
    let mut stale = end();
    stale.document["metadata"]["generation"] = 2.into();
    assert!(!state::as_declared(&stale).is_empty(), "Synced of another generation");
}

#[test]
fn a_secret_found_anywhere_is_a_violation() {
    let evidence = Evidence { secrets: BTreeSet::from(["table events".to_owned()]), ..Evidence::default() };
    assert_eq!(judge(&evidence).len(), 1);
}

#[test]
fn a_take_over_counts_from_the_blow_and_only_if_the_struck_did_not_hold_on() {
    let leases = [lease(0, "a1", 1, 4), lease(6, "b1", 2, 4)];
    let struck = [(at(2), "1".to_owned(), "a1".to_owned())];
    assert_eq!(take_overs(&leases, &struck), [4.0]);
    let held = [lease(0, "a1", 1, 4), lease(3, "a1", 1, 4), lease(8, "b1", 2, 4)];
    assert!(take_overs(&held, &struck).is_empty());
}
