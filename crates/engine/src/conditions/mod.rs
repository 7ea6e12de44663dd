//! From what a pass found to the conditions that people read. Pure.
//!
//! Messages hold nothing that changes with time alone: a pass that finds the same says the same, so that no status is
//! written when nothing changed.

mod written;

use jiff::Timestamp;
use model::condition::{self, Condition, ConditionStatus, ConditionType};
use model::{ActError, Class, ResourcePlan, WaitKind};

use crate::guard::{Hold, HoldReason, Pause};
use crate::kind::{Backup, Health};

pub use written::spec_written;

/// What was seen of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    Present,
    /// It certainly is not.
    Absent,
    /// Not known now.
    Unknown,
}

/// What a pass found about one resource.
#[derive(Debug, Clone)]
pub struct ResourceFacts<'a> {
    /// For people: `RdsInstance/eventchain-prod-db`.
    pub name: &'a str,
    /// What was seen.
    pub seen: Seen,
    /// Seen after the generation was written: only then may it count as synced.
    pub since_write: bool,
    /// What remains to be done, waited for, left alone.
    pub plan: &'a ResourcePlan,
    /// Why the first remaining step is held, if it is.
    pub hold: Option<&'a Hold>,
    /// The last act failed, or the last read did.
    pub error: Option<&'a ActError>,
    /// Whether it serves.
    pub health: Option<&'a Health>,
    /// How fresh backups are.
    pub backup: Option<&'a Backup>,
    /// It agreed with this generation before.
    pub agreed_before: bool,
    /// It is no longer declared and on its way out.
    pub leaving: bool,
}

impl ResourceFacts<'_> {
    /// Whether it differs from a spec that it agreed with before.
    pub fn drifted(&self) -> bool {
        self.agreed_before && !self.leaving && !self.plan.steps.is_empty()
    }

    /// Whether AWS was looked at and agrees, with nothing to wait for.
    pub fn in_sync(&self) -> bool {
        self.seen != Seen::Unknown
            && self.since_write
            && self.plan.steps.is_empty()
            && self.plan.waits.is_empty()
            && self.error.is_none()
    }

    /// Whether it makes no progress without someone doing something: reason and message.
    pub fn stalled(&self) -> Option<(String, String)> {
        if let Some(hold) = self.hold.filter(|hold| hold.reason == HoldReason::NonConverging) {
            return Some((hold.reason.to_string(), hold.message.clone()));
        }
        if let Some(error) = self.error.filter(|error| needs_someone(error.class)) {
            return Some((format!("Act{}", error.class), error.to_string()));
        }
        if let Some(wait) = self.plan.waits.iter().find(|wait| wait.kind == WaitKind::Stalled) {
            return Some((wait.reason.to_string(), wait.message.clone()));
        }
        match self.health {
            Some(Health::Stalled { reason, message }) => Some(((*reason).to_owned(), message.clone())),
            _ => None,
        }
    }

    /// Whether a guard holds a step: reason and message.
    pub fn blocked(&self) -> Option<(String, String)> {
        let held = self.hold.filter(|hold| hold.reason != HoldReason::NonConverging);
        if let Some(hold) = held {
            return Some((hold.reason.to_string(), hold.message.clone()));
        }
        let wait = self.plan.waits.iter().find(|wait| wait.kind == WaitKind::Blocked)?;
        Some((wait.reason.to_string(), wait.message.clone()))
    }

    /// Whether work is under way: reason and message.
    pub fn progressing(&self) -> Option<(String, String)> {
        if let Some(wait) = self.plan.waits.iter().find(|wait| wait.kind == WaitKind::Progressing) {
            return Some((wait.reason.to_string(), wait.message.clone()));
        }
        if let Some(Health::Progressing { reason, message }) = self.health {
            return Some(((*reason).to_owned(), message.clone()));
        }
        let acting = !self.plan.steps.is_empty() && self.hold.is_none() && self.stalled().is_none();
        acting.then(|| {
            let operation = self.plan.steps.first().map_or("", |step| &*step.operation);
            ("StepsPlanned".to_owned(), format!("{operation} is to follow"))
        })
    }

    /// Whether it serves; `None` when that is not known.
    fn ready(&self) -> Option<Result<(), (String, String)>> {
        match (self.seen, self.health) {
            (Seen::Unknown, _) | (Seen::Present, None) => None,
            (Seen::Absent, _) => Some(Err(("Missing".to_owned(), "it does not exist".to_owned()))),
            (Seen::Present, Some(Health::Ready)) => Some(Ok(())),
            (Seen::Present, Some(Health::Progressing { reason, message } | Health::Stalled { reason, message })) => {
                Some(Err(((*reason).to_owned(), message.clone())))
            }
        }
    }

    fn unsynced(&self) -> (String, String) {
        if let Some(error) = self.error {
            return (format!("Act{}", error.class), error.to_string());
        }
        if let Some(step) = self.plan.steps.first() {
            let fields: Vec<&str> = step.changes.iter().map(|change| change.field.as_str()).collect();
            let fields = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
            return ("OutOfSync".to_owned(), format!("{}{fields}", step.operation));
        }
        match self.plan.waits.first() {
            Some(wait) => (wait.reason.to_string(), wait.message.clone()),
            None => ("InSync".to_owned(), String::new()),
        }
    }
}

/// Classes that do not pass by themselves.
fn needs_someone(class: Class) -> bool {
    match class {
        Class::Quota | Class::Denied | Class::Invalid | Class::Bug => true,
        Class::Throttled | Class::Transient | Class::NotYet | Class::Conflict | Class::NotFound => false,
    }
}

/// What is known of our credentials for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// Nobody has asked yet.
    NotChecked,
    /// AWS accepts them.
    Valid,
    /// AWS does not; what it said.
    Invalid(&'a str),
}

/// What a pass found about an environment.
#[derive(Debug, Clone)]
pub struct EnvironmentFacts<'a> {
    /// The instant of the pass.
    pub now: Timestamp,
    /// The generation it worked on.
    pub generation: i64,
    /// Its resources, those on their way out included.
    pub resources: &'a [ResourceFacts<'a>],
    /// Reconciliation is paused.
    pub paused: Option<&'a Pause>,
    /// Credentials of the account.
    pub credentials: Credentials<'a>,
    /// The stored spec cannot be used; why.
    pub invalid_spec: Option<&'a str>,
    /// Its deletion was asked for.
    pub deleting: bool,
    /// The daemon took the last change back: why.
    pub rolled_back: Option<&'a str>,
}

type Said = (ConditionStatus, String, String);

fn said(status: ConditionStatus, reason: &str, message: impl Into<String>) -> Said {
    (status, reason.to_owned(), message.into())
}

/// At most so many resources are named in one message.
const MOST_NAMED: usize = 5;

/// The first reason, and a message that names the resources.
fn summed(status: ConditionStatus, found: &[(&str, (String, String))]) -> Option<Said> {
    let (_, (reason, _)) = found.first()?;
    let mut message: Vec<String> = found
        .iter()
        .take(MOST_NAMED)
        .map(|(name, (_, message))| if message.is_empty() { (*name).to_owned() } else { format!("{name}: {message}") })
        .collect();
    if found.len() > MOST_NAMED {
        message.push(format!("and {} more", found.len() - MOST_NAMED));
    }
    Some((status, reason.clone(), message.join("; ")))
}

impl<'a> EnvironmentFacts<'a> {
    fn each<T>(&self, of: impl Fn(&ResourceFacts<'a>) -> Option<T>) -> Vec<(&'a str, T)> {
        self.resources.iter().filter_map(|resource| Some((resource.name, of(resource)?))).collect()
    }

    fn ready(&self) -> Said {
        if let Some(why) = self.invalid_spec {
            return said(ConditionStatus::Unknown, "InvalidSpec", why);
        }
        if self.deleting {
            return said(ConditionStatus::False, "Deleting", "deletion was asked for");
        }
        let declared = || self.resources.iter().filter(|resource| !resource.leaving);
        let failing: Vec<_> =
            declared().filter_map(|resource| Some((resource.name, resource.ready()?.err()?))).collect();
        if let Some(failing) = summed(ConditionStatus::False, &failing) {
            return failing;
        }
        let unknown: Vec<_> = declared()
            .filter(|resource| resource.ready().is_none())
            .map(|resource| (resource.name, ("NotObserved".to_owned(), String::new())))
            .collect();
        summed(ConditionStatus::Unknown, &unknown)
            .unwrap_or_else(|| said(ConditionStatus::True, "AllReady", "everything declared exists and serves"))
    }

    fn synced(&self) -> Said {
        if let Some(why) = self.invalid_spec {
            return said(ConditionStatus::False, "InvalidSpec", why);
        }
        if self.deleting {
            return said(ConditionStatus::False, "Deleting", "deletion was asked for");
        }
        let known = |resource: &&ResourceFacts<'_>| resource.seen != Seen::Unknown && resource.since_write;
        let differing: Vec<_> = self
            .resources
            .iter()
            .filter(known)
            .filter(|resource| !resource.in_sync())
            .map(|resource| (resource.name, resource.unsynced()))
            .collect();
        if let Some(differing) = summed(ConditionStatus::False, &differing) {
            return differing;
        }
        let unknown: Vec<_> = self
            .resources
            .iter()
            .filter(|resource| !known(resource))
            .map(|resource| {
                let message = if resource.seen == Seen::Unknown {
                    resource.unsynced().1
                } else {
                    "not looked at since the spec was written".to_owned()
                };
                (resource.name, ("NotObserved".to_owned(), message))
            })
            .collect();
        summed(ConditionStatus::Unknown, &unknown).unwrap_or_else(|| {
            said(ConditionStatus::True, "InSync", "AWS was looked at after the spec was written, and agrees with it")
        })
    }

    fn drifted(&self) -> Said {
        let drifted = self.each(|resource| resource.drifted().then(|| ("Drift".to_owned(), resource.unsynced().1)));
        summed(ConditionStatus::True, &drifted).unwrap_or_else(|| {
            if self.resources.iter().any(|resource| resource.agreed_before && resource.seen == Seen::Unknown) {
                said(ConditionStatus::Unknown, "NotObserved", "not every object is known now")
            } else {
                said(ConditionStatus::False, "NoDrift", "nothing differs from what it agreed with before")
            }
        })
    }

    fn progressing(&self) -> Said {
        summed(ConditionStatus::True, &self.each(ResourceFacts::progressing))
            .unwrap_or_else(|| said(ConditionStatus::False, "Idle", "nothing is under way"))
    }

    fn stalled(&self) -> Said {
        if let Some(why) = self.invalid_spec {
            return said(ConditionStatus::True, "InvalidSpec", why);
        }
        summed(ConditionStatus::True, &self.each(ResourceFacts::stalled))
            .unwrap_or_else(|| said(ConditionStatus::False, "NotStalled", "nothing needs someone to act"))
    }

    fn paused(&self) -> Said {
        match self.paused {
            Some(pause) => {
                let until = pause.until.map_or_else(String::new, |until| format!(" until {until}"));
                let message = format!("paused by {}{until}: {}", pause.owner, pause.reason);
                said(ConditionStatus::True, "Paused", message)
            }
            None => said(ConditionStatus::False, "NotPaused", "reconciliation runs"),
        }
    }

    fn blocked(&self) -> Said {
        summed(ConditionStatus::True, &self.each(ResourceFacts::blocked))
            .unwrap_or_else(|| said(ConditionStatus::False, "NotBlocked", "no guard holds anything"))
    }

    fn rolled_back(&self) -> Said {
        match self.rolled_back {
            Some(why) => said(ConditionStatus::True, "ChangeRolledBack", why),
            None => said(ConditionStatus::False, "NotRolledBack", "the spec is as its author wrote it"),
        }
    }

    fn backups(&self) -> Said {
        let all = self.each(|resource| resource.backup);
        let failing: Vec<_> = all
            .iter()
            .filter(|(_, backup)| !backup.healthy)
            .map(|(name, backup)| (*name, ("BackupTooOld".to_owned(), backup.message.clone())))
            .collect();
        if let Some(failing) = summed(ConditionStatus::False, &failing) {
            return failing;
        }
        if all.is_empty() {
            return said(ConditionStatus::Unknown, "NoBackups", "no backup is declared, or none is known");
        }
        said(ConditionStatus::True, "Fresh", "backups are as fresh as declared")
    }

    fn credentials(&self) -> Said {
        match self.credentials {
            Credentials::NotChecked => said(ConditionStatus::Unknown, "NotChecked", "AWS was not asked yet"),
            Credentials::Valid => said(ConditionStatus::True, "Accepted", "AWS accepts them"),
            Credentials::Invalid(why) => said(ConditionStatus::False, "Rejected", why),
        }
    }
}

fn set_all(old: &[Condition], generation: i64, now: Timestamp, all: Vec<(ConditionType, Said)>) -> Vec<Condition> {
    let mut conditions = old.to_vec();
    for (kind, (status, reason, message)) in all {
        let new =
            Condition { kind, status, reason, message, observed_generation: generation, last_transition_time: now };
        condition::set(&mut conditions, new);
    }
    conditions
}

/// The conditions of an environment. `old` are those stored.
pub fn environment(old: &[Condition], facts: &EnvironmentFacts<'_>) -> Vec<Condition> {
    let all = vec![
        (ConditionType::Ready, facts.ready()),
        (ConditionType::Synced, facts.synced()),
        (ConditionType::Drifted, facts.drifted()),
        (ConditionType::Progressing, facts.progressing()),
        (ConditionType::Stalled, facts.stalled()),
        (ConditionType::Paused, facts.paused()),
        (ConditionType::Blocked, facts.blocked()),
        (ConditionType::BackupHealthy, facts.backups()),
        (ConditionType::CredentialsValid, facts.credentials()),
        (ConditionType::RolledBack, facts.rolled_back()),
    ];
    set_all(old, facts.generation, facts.now, all)
}

/// The conditions of one managed resource. `old` are those stored.
pub fn resource(old: &[Condition], facts: &ResourceFacts<'_>, generation: i64, now: Timestamp) -> Vec<Condition> {
    let yes_or_no = |found: Option<(String, String)>, reason: &str| match found {
        Some((reason, message)) => (ConditionStatus::True, reason, message),
        None => said(ConditionStatus::False, reason, ""),
    };
    let ready = match facts.ready() {
        None => said(ConditionStatus::Unknown, "NotObserved", facts.unsynced().1),
        Some(Ok(())) => said(ConditionStatus::True, "Serves", ""),
        Some(Err((reason, message))) => (ConditionStatus::False, reason, message),
    };
    let synced = if facts.in_sync() {
        said(ConditionStatus::True, "InSync", "")
    } else if facts.seen == Seen::Unknown || !facts.since_write {
        said(ConditionStatus::Unknown, "NotObserved", facts.unsynced().1)
    } else {
        let (reason, message) = facts.unsynced();
        (ConditionStatus::False, reason, message)
    };
    let drift = facts.drifted().then(|| ("Drift".to_owned(), facts.unsynced().1));
    let mut all = vec![
        (ConditionType::Ready, ready),
        (ConditionType::Synced, synced),
        (ConditionType::Drifted, yes_or_no(drift, "NoDrift")),
        (ConditionType::Progressing, yes_or_no(facts.progressing(), "Idle")),
        (ConditionType::Stalled, yes_or_no(facts.stalled(), "NotStalled")),
        (ConditionType::Blocked, yes_or_no(facts.blocked(), "NotBlocked")),
    ];
    if let Some(backup) = facts.backup {
        let status = if backup.healthy { ConditionStatus::True } else { ConditionStatus::False };
        let reason = if backup.healthy { "Fresh" } else { "BackupTooOld" };
        all.push((ConditionType::BackupHealthy, said(status, reason, backup.message.clone())));
    }
    set_all(old, generation, now, all)
}

#[cfg(test)]
mod tests;
