//! Fuzz targets of what this crate parses, and of what it says about what it does not accept.

use std::collections::BTreeSet;
use std::time::Duration;

use fuzzing::{CANARY, target, tells, within};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::env::{Environment, EnvironmentSpec};
use crate::ids::{AwsAccountId, Region};
use crate::parse::parse;
use crate::problem::{Problems, Reason, join};
use crate::quantity::Span;
use crate::schedule::{CronSchedule, DailyWindow, WeeklyWindow};
use crate::validate::{validate, validate_update};
use crate::{diff, merge};

/// Far more than any of these inputs needs.
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn every_document_is_read_or_refused_with_all_its_problems() {
    let words = ["External", "managedByAws", "environment", "secrets", "300s", "Window", "arn:aws:iam::1:role/x"];
    target!("spec", &words, |text: &str| {
        let Ok(document) = serde_json::from_str::<Value>(text) else { return };
        within(LIMIT, || {
            let (read, mut problems) = parse::<Environment>(document.clone());
            if let Some(environment) = &read {
                problems.extend(validate(environment));
                problems.extend(validate_update(environment, environment));
                stays_as_it_is(environment);
            }
            assert!(read.is_some() || !problems.is_empty(), "refused without a reason");
            if tells(text) {
                tells_no_value(&document, &problems);
            }
            names_places(&document, &problems);
        });
    });
}

/// What was read is written as it will be read again.
fn stays_as_it_is(environment: &Environment) {
    let written = serde_json::to_value(environment).expect("it can be written");
    let (again, problems) = parse::<Environment>(written.clone());
    assert!(problems.is_empty(), "what we wrote is refused: {problems}");
    let again = again.expect("it is read");
    assert_eq!(&again, environment);
    assert_eq!(serde_json::to_value(&again).expect("it can be written"), written);
}

fn tells_no_value(document: &Value, problems: &Problems) {
    for problem in problems.list() {
        assert!(!tells(&problem.message), "{}: {}", problem.path, problem.message);
        // Names stand in paths; the canary is none unless a text was edited into one.
        assert!(!tells(&problem.path) || holds_name(document), "{}", problem.path);
    }
}

fn holds_name(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| tells(name) || holds_name(value)),
        Value::Array(items) => items.iter().any(holds_name),
        _ => false,
    }
}

/// Each problem is at a place that is there, or names what is missing there.
fn names_places(document: &Value, problems: &Problems) {
    let mut places = BTreeSet::from([".".to_owned(), String::new()]);
    collect("", document, &mut places);
    for problem in problems.list() {
        let parent = parent(&problem.path);
        let is_there = places.contains(&problem.path);
        let is_missing = problem.reason == Reason::FieldValueRequired || places.contains(parent);
        // What a service inherits is told where the service would say otherwise.
        let is_inherited = problem.reason == Reason::FieldValueDuplicate && problem.path.ends_with(".logs.group");
        assert!(is_there || is_missing || is_inherited, "{} is nowhere: {}", problem.path, problem.message);
    }
}

fn collect(path: &str, value: &Value, places: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = join(path, name);
                collect(&inner, value, places);
                places.insert(inner);
            }
        }
        Value::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                let inner = format!("{path}[{n}]");
                collect(&inner, value, places);
                places.insert(inner);
            }
        }
        _ => {}
    }
}

fn parent(path: &str) -> &str {
    path.rfind(['.', '[']).map_or("", |at| &path[..at])
}

#[test]
fn a_merge_patch_applied_twice_is_applied_once() {
    target!("merge", &[], |text: &str| {
        let Ok(Value::Array(pair)) = serde_json::from_str::<Value>(text) else { return };
        let [old, patch, ..] = pair.as_slice() else { return };
        let mut once = old.clone();
        merge::apply(&mut once, patch);
        let mut twice = once.clone();
        merge::apply(&mut twice, patch);
        assert_eq!(once, twice);
        // Documents hold no null: a patch cannot write one.
        let (old, new) = (without_nulls(old), without_nulls(patch));
        if old.is_object() && new.is_object() {
            let mut made = old.clone();
            if let Some(patch) = merge::between(&old, &new) {
                merge::apply(&mut made, &patch);
            }
            assert_eq!(made, new);
        }
    });
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
        }
        other => other.clone(),
    }
}

#[test]
fn a_diff_shows_no_plain_value() {
    target!("diff", &["environment", "services"], |text: &str| {
        let Ok(Value::Array(pair)) = serde_json::from_str::<Value>(text) else { return };
        let [old, new, ..] = pair.as_slice() else { return };
        // Only what can be stored is compared.
        let (Some(mut old), Some(mut new)) = (stored(old), stored(new)) else { return };
        for (side, value) in [(&mut old, "first"), (&mut new, "second")] {
            let services = side.pointer_mut("/services").and_then(Value::as_object_mut);
            for service in services.into_iter().flat_map(|services| services.values_mut()) {
                if let Some(Value::Object(variables)) = service.get_mut("environment") {
                    variables.values_mut().for_each(|place| *place = json!(format!("{CANARY} {value}")));
                }
            }
        }
        if !tells(text) {
            let shown = diff::fields(&old, &new).to_string();
            assert!(!tells(&shown), "{shown}");
            assert_eq!(diff::fields(&old, &old), json!([]));
        }
    });
}

fn stored(spec: &Value) -> Option<Value> {
    let (read, problems) = parse::<EnvironmentSpec>(spec.clone());
    read.filter(|_| problems.is_empty()).and_then(|spec| serde_json::to_value(spec).ok())
}

#[test]
fn quantities_and_schedules_are_shown_as_they_are_read() {
    let words =
        ["*/5", "SUN#2", "L", "W", "@daily", "0-59/7", "99999999999999999999d", "LW", "MON-FRI", "24:00", "jan"];
    target!("schedules", &words, |text: &str| {
        if let Ok(span) = Span::parse(text) {
            assert_eq!(Span::parse(&span.to_string()).map(Span::as_secs), Ok(span.as_secs()));
        }
        if let Ok(window) = DailyWindow::parse(text) {
            assert_eq!(DailyWindow::parse(&window.to_string()), Ok(window));
        }
        if let Ok(window) = WeeklyWindow::parse(text) {
            assert_eq!(WeeklyWindow::parse(&window.to_string()), Ok(window));
            assert!(window.is_open(window.opens_after(now())));
        }
        for id in [AwsAccountId::parse(text).map(|id| id.to_string()), Region::parse(text).map(|id| id.to_string())] {
            assert!(id.is_err() || id.as_deref() == Ok(text));
        }
        within(LIMIT, || schedule(text));
    });
}

fn now() -> Timestamp {
    Timestamp::from_second(1_795_600_000).expect("a time")
}

fn schedule(text: &str) {
    let (text, zone) = text.split_once('|').unwrap_or((text, "UTC"));
    let Ok(schedule) = CronSchedule::parse(text, zone) else { return };
    let (last, next) = (schedule.last_at(now()), schedule.next_after(now()));
    assert!(last.is_none_or(|last| last <= now()), "{last:?}");
    assert!(next.is_none_or(|next| next > now()), "{next:?}");
    schedule.more_than_daily(now());
}
