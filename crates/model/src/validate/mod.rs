//! The rules that types cannot say: names AWS would refuse, windows that overlap, references into nothing, fields
//! that exclude each other, and what must not change between two versions. All problems at once.
//!
//! Nothing here asks AWS; what only AWS knows (does the subnet exist?) shows in status. No message repeats a value: it may
//! be a secret in the wrong place, and the path says where it stands.

mod database;
mod names;
mod network;
mod observability;
mod services;
#[cfg(test)]
mod tests;
mod update;

use std::collections::BTreeMap;

use crate::env::{API_VERSION, Disruptive, Environment, KIND};
use crate::problem::{Problems, Reason, join};
use crate::schedule::CronSchedule;
use crate::{TAG_ENVIRONMENT, TAG_MANAGED_BY};

pub use update::validate_update;

/// AWS allows 50 tags on an object (Tagging AWS Resources User Guide, tag naming limits); two are ours.
const MOST_TAGS: usize = 48;

/// How much one document may hold. Far more than an environment has, and few enough that a document at the size limit does
/// not become gigabytes once each of its objects carries all tags, or keeps every pass busy with its windows.
const MOST_SERVICES: usize = 500;
const MOST_SECRETS: usize = 500;
const MOST_ALARMS: usize = 1_000;
const MOST_WINDOWS: usize = 50;
/// Elastic Load Balancing User Guide, quotas: 50 listeners of an application load balancer.
const MOST_LISTENERS: usize = 50;
const MOST_COPIES: usize = 30;

/// Checks how much a document holds: before anything is made of it, and before what else is wrong with it is looked for.
pub fn amounts(environment: &Environment) -> Problems {
    let spec = &environment.spec;
    let listeners = spec.load_balancer.as_ref().map_or(0, |balancer| balancer.listeners.len());
    let snapshots = spec.database.as_ref().and_then(|database| database.snapshots.as_ref());
    let mut problems = Problems::default();
    for (path, count, most) in [
        ("spec.services", spec.services.len(), MOST_SERVICES),
        ("spec.secrets", spec.secrets.len(), MOST_SECRETS),
        ("spec.alarms", spec.alarms.len(), MOST_ALARMS),
        ("spec.policy.windows", spec.policy.windows.len(), MOST_WINDOWS),
        ("spec.loadBalancer.listeners", listeners, MOST_LISTENERS),
        ("spec.database.snapshots.copyTo", snapshots.map_or(0, |it| it.copy_to.len()), MOST_COPIES),
        ("spec.tags", spec.tags.len(), MOST_TAGS),
    ] {
        if count > most {
            problems.add(path, Reason::FieldValueInvalid, format!("at most {most}"));
        }
    }
    problems
}

/// Checks a document by itself.
pub fn validate(environment: &Environment) -> Problems {
    let mut problems = amounts(environment);
    if !problems.is_empty() {
        return problems;
    }
    header(environment, &mut problems);
    tags(environment, &mut problems);
    policy(environment, &mut problems);
    network::check(environment, &mut problems);
    services::check(environment, &mut problems);
    if let Some(database) = &environment.spec.database {
        database::check(environment, database, &mut problems);
    }
    observability::secrets(environment, &mut problems);
    observability::alarms(environment, &mut problems);
    problems
}

fn header(environment: &Environment, problems: &mut Problems) {
    if environment.api_version != API_VERSION {
        problems.add("apiVersion", Reason::FieldValueNotSupported, format!("must be {API_VERSION}"));
    }
    if environment.kind != KIND {
        problems.add("kind", Reason::FieldValueNotSupported, format!("must be {KIND}"));
    }
    if !names::is_dns_label(&environment.metadata.name) {
        problems.add("metadata.name", Reason::FieldValueInvalid, names::DNS_LABEL);
    }
    for (label, value) in &environment.metadata.labels {
        let path = join("metadata.labels", label);
        if !names::is_label_key(label) {
            problems.add(&path, Reason::FieldValueInvalid, names::LABEL_KEY);
        }
        if !names::is_label_value(value) {
            problems.add(path, Reason::FieldValueInvalid, names::LABEL_VALUE);
        }
    }
}

fn tags(environment: &Environment, problems: &mut Problems) {
    for (key, value) in &environment.spec.tags {
        let path = join("spec.tags", key);
        if key == TAG_ENVIRONMENT || key == TAG_MANAGED_BY {
            problems.add(&path, Reason::FieldValueForbidden, "this tag shows ownership and is set by the operator");
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            problems.add(&path, Reason::FieldValueForbidden, "tags that start with aws: are AWS's own");
        }
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            problems.add(path, Reason::FieldValueInvalid, "a tag's key has 1 to 128 characters, its value at most 256");
        }
    }
}

fn policy(environment: &Environment, problems: &mut Problems) {
    let policy = &environment.spec.policy;
    if policy.disruptive == Disruptive::Window && policy.windows.is_empty() {
        problems.add(
            "spec.policy.windows",
            Reason::FieldValueRequired,
            "must be given where spec.policy.disruptive is Window",
        );
    }
    for (n, window) in policy.windows.iter().enumerate() {
        let path = format!("spec.policy.windows[{n}]");
        if let Err(message) = CronSchedule::parse(&window.cron, "UTC") {
            problems.add(format!("{path}.cron"), Reason::FieldValueInvalid, message);
        } else if let Err(message) = CronSchedule::parse(&window.cron, window.zone()) {
            problems.add(format!("{path}.timezone"), Reason::FieldValueInvalid, message);
        }
        if !(60..=7 * 86_400).contains(&window.duration.as_secs()) {
            problems.add(format!("{path}.duration"), Reason::FieldValueInvalid, "must be between 1m and 7d");
        }
    }
    let changes = &policy.changes;
    range(problems, "spec.policy.changes.approvals", Some(changes.approvals), 1, 5);
    for (field, span, (least, most), rule) in [
        ("expireAfter", changes.expire_after, (300, 30 * 86_400), "must be between 5m and 30d"),
        ("rollback.within", changes.rollback.within, (60, 7 * 86_400), "must be between 1m and 7d"),
        ("rollback.bake", changes.rollback.bake, (0, 86_400), "must be at most 24h"),
    ] {
        if !(least..=most).contains(&span.as_secs()) {
            problems.add(format!("spec.policy.changes.{field}"), Reason::FieldValueInvalid, rule);
        }
    }
    if changes.rollback.bake > changes.rollback.within {
        let rule = "must not be longer than within: a later failure would not be taken back";
        problems.add("spec.policy.changes.rollback.bake", Reason::FieldValueInvalid, rule);
    }
}

/// Notes each second use of a name that must be unique.
struct Unique<'a> {
    what: &'static str,
    seen: BTreeMap<String, String>,
    problems: &'a mut Problems,
}

impl<'a> Unique<'a> {
    fn new(what: &'static str, problems: &'a mut Problems) -> Self {
        Self { what, seen: BTreeMap::new(), problems }
    }

    fn add(&mut self, name: impl Into<String>, path: String) {
        let name = name.into();
        match self.seen.get(&name) {
            Some(first) => {
                let message = format!("the same {} is named by {first} already", self.what);
                self.problems.add(path, Reason::FieldValueDuplicate, message);
            }
            None => {
                self.seen.insert(name, path);
            }
        }
    }
}

/// Notes a number outside its range.
fn range<T: PartialOrd + std::fmt::Display>(
    problems: &mut Problems,
    path: impl Into<String>,
    value: Option<T>,
    least: T,
    most: T,
) {
    if let Some(value) = value
        && (value < least || value > most)
    {
        problems.add(path, Reason::FieldValueInvalid, format!("must be between {least} and {most}"));
    }
}
