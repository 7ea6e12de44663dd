//! Server-side apply: what holds of it whatever is applied by whom.

use fuzzing::{target, within};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{LIMIT, guide};
use crate::apply::{FieldSet, Managed, Operation, Writer, applied_set, merge, without_nulls};

fn now() -> Timestamp {
    Timestamp::from_second(1_795_600_000).expect("a time")
}

#[test]
fn what_is_applied_twice_is_applied_once() {
    let words = ["listeners", "port", "copyTo", "region", "finalizers", "manager", "apply", "update", "force"];
    target!("apply", &words, |text: &str| {
        let Ok(Value::Array(steps)) = serde_json::from_str::<Value>(text) else { return };
        within(LIMIT, || {
            let (mut document, mut managed) = (guide(), Managed::default());
            for step in steps.iter().take(8).filter(|step| step.is_object()) {
                (document, managed) = taken(step, document, managed);
                assert_eq!(Managed::read(&managed.to_json()), Some(managed.clone()), "it is read as it is written");
            }
        });
    });
}

/// One write of the object: an apply or an update by some manager.
fn taken(step: &Value, document: Value, managed: Managed) -> (Value, Managed) {
    let manager = step.get("manager").and_then(Value::as_str).unwrap_or("m");
    if let Some(new) = step.get("update") {
        let writer = Writer::new(Operation::Update, manager);
        let managed = managed.updated(&writer, &document, new, now());
        return (new.clone(), managed);
    }
    let Some(wanted) = step.get("apply").filter(|wanted| wanted.is_object()) else { return (document, managed) };
    let force = step.get("force") == Some(&json!(true));
    let writer = Writer::new(Operation::Apply, manager);
    let Some((new, after)) = applied(&writer, wanted, &document, &managed, force) else { return (document, managed) };
    let again = applied(&writer, wanted, &new, &after, force).expect("it was applied before");
    assert_eq!(again.0, new, "another document the second time");
    assert_eq!(again.1, after, "other owners the second time");
    (new, after)
}

fn applied(
    writer: &Writer,
    wanted: &Value,
    document: &Value,
    managed: &Managed,
    force: bool,
) -> Option<(Value, Managed)> {
    let mut wanted = wanted.clone();
    without_nulls(&mut wanted);
    let stated = applied_set(&wanted);
    assert_eq!(FieldSet::from_json(&stated.to_json()), Some(stated.clone()), "a set is read as it is written");
    let mut merged = document.clone();
    merge(&mut merged, &wanted).ok()?;
    let new = managed.pruned(writer, &stated, document, merged);
    let after = managed.clone().applied(writer, &stated, (document, &new), force, now()).ok()?;
    Some((new, after))
}

#[test]
fn managed_fields_of_clients_are_read_or_refused() {
    let words = ["f:spec", "k:{\"port\":80}", "v:\"x\"", ".", "FieldsV1", "Apply", "Update", "k:{", "x:"];
    target!("managed_fields", &words, |text: &str| {
        let Ok(value) = serde_json::from_str::<Value>(text) else { return };
        within(LIMIT, || {
            let Some(managed) = Managed::read(&value) else { return };
            assert_eq!(Managed::read(&managed.to_json()), Some(managed.clone()));
            let writer = Writer::new(Operation::Update, "m");
            managed.updated(&writer, &guide(), &json!({ "spec": {} }), now());
        });
    });
}

/// A megabyte of the smallest items: what a client may send must not keep the server busy.
#[test]
fn many_items_and_many_fields_take_bounded_time() {
    let many = 10_000;
    let listeners: Vec<Value> = (0..many).map(|port| json!({ "port": port })).collect();
    let labels: Map<String, Value> = (0..many).map(|n| (format!("l{n}"), json!("x"))).collect();
    let wanted = json!({ "metadata": { "labels": labels }, "spec": { "loadBalancer": { "listeners": listeners } } });
    within(LIMIT, || {
        let writer = Writer::new(Operation::Apply, "m");
        let (new, managed) = applied(&writer, &wanted, &guide(), &Managed::default(), true).expect("it is applied");
        let other = Writer::new(Operation::Update, "other");
        managed.updated(&other, &new, &guide(), now());
    });
}
