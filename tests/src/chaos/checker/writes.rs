//! No accepted write is lost, none is mixed with another, none happens that nobody asked for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Asked, End, Revision, Told, Violation, Write};

const RULE: &str = "no accepted write is lost";

/// RFC 7386.
fn merged(mut target: Value, patch: &Value) -> Value {
    let Value::Object(fields) = patch else { return patch.clone() };
    if !target.is_object() {
        target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(into) = &mut target {
        for (name, value) in fields {
            if value.is_null() {
                into.remove(name);
            } else {
                let before = into.remove(name).unwrap_or(Value::Null);
                into.insert(name.clone(), merged(before, value));
            }
        }
    }
    target
}

/// The fields in which two documents differ, with both values.
fn differences(path: &str, should: &Value, is: &Value, out: &mut Vec<String>) {
    match (should, is) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let (a, b) = (a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null));
                differences(&format!("{path}.{name}"), a, b, out);
            }
        }
        // 80 and 80.0 are one number.
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        _ if should == is => {}
        _ => out.push(format!("{path}: {is} instead of {should}")),
    }
}

/// Every accepted write is a revision, once, with what was asked for laid over the revision before it and nothing else; in
/// the order in which they were accepted; and every revision is somebody's write.
pub(super) fn kept(writes: &[Write], revisions: &[Revision], audited: &BTreeMap<String, i64>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut say = |what: String| violations.push(Violation::new(RULE, what));
    let by_author: BTreeMap<&str, &Write> = writes.iter().map(|write| (write.author.as_str(), write)).collect();
    let mut of_author: BTreeMap<&str, Vec<&Revision>> = BTreeMap::new();
    for revision in revisions {
        of_author.entry(&revision.author).or_default().push(revision);
    }
    for write in writes {
        let found = of_author.get(write.author.as_str()).map_or(&[][..], Vec::as_slice);
        let name = format!("{} of {} ({:?})", write.author, write.environment, write.told);
        match (&write.told, found.len()) {
            (Told::Accepted { .. }, 1) | (Told::Refused(..), 0) | (Told::Unknown(_), 0 | 1) => {}
            (Told::Accepted { .. }, 0) => say(format!("{name} is in no revision: {:?}", write.asked)),
            (_, count) => say(format!("{name} is in {count} revisions")),
        }
        if let (Told::Accepted { generation: Some(told) }, [revision], Asked::Merge { .. } | Asked::Replace { .. }) =
            (&write.told, found, &write.asked)
            && *told != revision.generation
        {
            say(format!("{name} was told generation {told}, and is generation {}", revision.generation));
        }
        if matches!(write.told, Told::Accepted { .. })
            && found.len() == 1
            && audited.get(&write.author).copied().unwrap_or_default() == 0
        {
            say(format!("{name} is not in the audit trail"));
        }
    }
    violations.extend(revisions.windows(2).flat_map(|pair| follows(&pair[0], &pair[1], &by_author)));
    for revision in revisions.iter().filter(|revision| !by_author.contains_key(revision.author.as_str())) {
        let what = format!("revision {} of {} is by {}", revision.number, revision.environment, revision.author);
        violations.push(Violation::new("nothing is written that nobody asked for", what));
    }
    violations.extend(in_order(writes, &of_author));
    violations
}

/// A revision is its write, laid over the one before.
fn follows(before: &Revision, revision: &Revision, writes: &BTreeMap<&str, &Write>) -> Vec<Violation> {
    if before.environment != revision.environment {
        return Vec::new();
    }
    let mut violations = Vec::new();
    let name = format!("revision {} of {} by {}", revision.number, revision.environment, revision.author);
    if revision.number != before.number + 1 || revision.generation != before.generation + 1 {
        let what = format!(
            "{name}, generation {}, follows {}, generation {}",
            revision.generation, before.number, before.generation
        );
        violations.push(Violation::new(RULE, what));
    }
    let Some(write) = writes.get(revision.author.as_str()) else { return violations };
    let (should, on) = match &write.asked {
        Asked::Create(_) => return violations,
        Asked::Merge { patch, on } => (merged(before.spec.clone(), &patch["spec"]), *on),
        Asked::Posted(patch) => (merged(before.spec.clone(), &patch["spec"]), None),
        Asked::Replace { spec, on } => (spec.clone(), *on),
    };
    let mut wrong = Vec::new();
    differences("spec", &should, &revision.spec, &mut wrong);
    if !wrong.is_empty() {
        violations.push(Violation::new(RULE, format!("{name} is not what was asked for: {}", wrong.join("; "))));
    }
    if on.is_some_and(|on| on != before.generation) {
        let what = format!("{name} was written on condition of generation {on:?}, over {}", before.generation);
        violations.push(Violation::new(RULE, what));
    }
    violations
}

/// What was accepted before something else was sent is before it.
fn in_order(writes: &[Write], of_author: &BTreeMap<&str, Vec<&Revision>>) -> Vec<Violation> {
    let mut placed: Vec<(&Write, &Revision)> = writes
        .iter()
        .filter(|write| matches!(write.told, Told::Accepted { .. }))
        // A posted change may be accepted before it is the spec.
        .filter(|write| !matches!(write.asked, Asked::Posted(_)))
        .filter_map(|write| Some((write, *of_author.get(write.author.as_str())?.first()?)))
        .collect();
    placed.sort_by_key(|(_, revision)| (revision.environment.clone(), revision.number));
    let mut violations = Vec::new();
    for (index, (later, at)) in placed.iter().enumerate() {
        for (earlier, before) in &placed[..index] {
            if before.environment == at.environment && later.answered_at < earlier.sent_at {
                let what = format!(
                    "{} was accepted before {} was sent, and is revision {} after {}",
                    later.author, earlier.author, at.number, before.number
                );
                violations.push(Violation::new(RULE, what));
            }
        }
    }
    violations
}

/// The spec is the last revision.
pub(super) fn last(end: &End, revisions: &[Revision]) -> Vec<Violation> {
    let name = end.document["metadata"]["name"].as_str().unwrap_or_default();
    let Some(last) = revisions.iter().rfind(|revision| revision.environment == name) else {
        return vec![Violation::new(RULE, format!("{name} has no revision"))];
    };
    let mut wrong = Vec::new();
    differences("spec", &last.spec, &end.document["spec"], &mut wrong);
    if last.generation != end.document["metadata"]["generation"].as_i64().unwrap_or_default() {
        wrong.push(format!("generation {} instead of {}", end.document["metadata"]["generation"], last.generation));
    }
    wrong.into_iter().map(|what| Violation::new(RULE, format!("{name}: {what}"))).collect()
}
