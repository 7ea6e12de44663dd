//! Finalizers: what must happen before an environment may go. The daemon's own goes when its work is done; others are
//! put there, and taken away, by whoever waits for something.

use model::problem::{Problems, Reason};
use serde_json::Value;
use store::{EnvironmentRow, FINALIZER};

const PATH: &str = "metadata.finalizers";
/// Kubernetes' limit on a name with a domain.
const LONGEST: usize = 253 + 1 + 63;
/// Nobody waits for so many things.
const MOST: usize = 64;

/// The finalizers that a document wants; those that there are where it says nothing of them.
pub(super) fn wanted(document: &Value, row: Option<&EnvironmentRow>, problems: &mut Problems) -> Vec<String> {
    let stored = row.map_or_else(|| vec![FINALIZER.to_owned()], |row| row.finalizers.clone());
    let given = match document.pointer("/metadata/finalizers") {
        None | Some(Value::Null) => return stored,
        Some(Value::Array(given)) => given,
        Some(_) => {
            problems.add(PATH, Reason::FieldValueInvalid, "must be a list of names");
            return stored;
        }
    };
    // A new object has the daemon's in any case.
    let mut wanted: Vec<String> = if row.is_none() { stored.clone() } else { Vec::new() };
    if given.len() > MOST {
        problems.add(PATH, Reason::FieldValueInvalid, format!("at most {MOST} finalizers"));
        return stored;
    }
    for (n, name) in given.iter().enumerate() {
        match name.as_str().filter(|name| is_name(name)) {
            Some(name) if wanted.iter().any(|other| other == name) => {}
            Some(name) => wanted.push(name.to_owned()),
            None => {
                let rule = "must be a name with a domain, such as example.org/backup";
                problems.add(format!("{PATH}[{n}]"), Reason::FieldValueInvalid, rule);
            }
        }
    }
    let deleting = row.is_some_and(|row| row.deletion_requested_at.is_some());
    let lost = stored.iter().any(|name| name == FINALIZER) && !wanted.iter().any(|name| name == FINALIZER);
    if lost && !deleting {
        let rule = format!(
            "{FINALIZER} is the daemon's, and goes when what the policy deletes is gone; it can be taken away by hand \
             once the deletion was asked for, and then AWS stays as it is"
        );
        problems.add(PATH, Reason::FieldValueForbidden, rule);
    }
    if deleting && let Some(new) = wanted.iter().find(|name| !stored.contains(*name)) {
        let rule = format!("{new} cannot be added: the object is being deleted");
        problems.add(PATH, Reason::FieldValueForbidden, rule);
    }
    wanted
}

/// `example.org/backup`.
fn is_name(name: &str) -> bool {
    let ends = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        edge(part.chars().next()) && edge(part.chars().last())
    };
    let letters = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c));
    name.len() <= LONGEST
        && name.split_once('/').is_some_and(|(domain, name)| {
            [domain, name].iter().all(|part| ends(part) && letters(part)) && name.len() <= 63
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn there_are_not_very_many() {
        let names = |count: usize| -> Vec<String> { (0..count).map(|n| format!("example.org/f{n}")).collect() };
        for (count, refused) in [(MOST, 0), (MOST + 1, 1)] {
            let mut problems = Problems::default();
            wanted(&json!({ "metadata": { "finalizers": names(count) } }), None, &mut problems);
            assert_eq!(problems.list().len(), refused, "{count}");
        }
    }

    #[test]
    fn a_finalizer_is_a_name_with_a_domain() {
        for good in [FINALIZER, "example.org/backup", "a/b"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "backup", "/backup", "example.org/", "a/b/c", "a b/c", "-a/b", "example.org/\u{e4}"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
