//! What was last seen of each AWS object. Planning reads only this.
//!
//! Rules:
//! - Time is counted in tickets, so that no clock can turn back what was seen after what.
//! - A sweep that began before an object's last direct read says nothing about that object.
//! - An object with a call in flight is unknown until a direct read of it has succeeded.
//! - A listing never proves that something is absent: it makes a present object unknown, and lets one that a direct
//!   read found absent stay absent.
//! - A read that failed changes nothing until what is known has become too old.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use model::{Observation, ObserveError, ResourceKey, SharedObject, Unknown};

/// A moment in the order of reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// After every other.
    pub(crate) const LAST: Self = Self(u64::MAX);
}

/// What was last seen of one object.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// What.
    pub(crate) observation: Observation<SharedObject>,
    /// Where its reading started, for an object that follows another's output.
    pub(crate) at: Option<String>,
    /// When the read that gave it began.
    pub(crate) ticket: Ticket,
    /// The same by the clock.
    pub(crate) observed_at: Timestamp,
    /// When the present observation was first made.
    pub(crate) changed_at: Timestamp,
    /// When the observation before it was last made: what changed, changed after that.
    pub(crate) changed_after: Option<Timestamp>,
}

#[derive(Debug)]
struct Entry {
    seen: Seen,
    /// Sweeps that began before this are ignored.
    floor: Ticket,
}

/// One object's part of a sweep.
#[derive(Debug, Clone)]
pub(crate) struct Swept {
    /// Which.
    pub(crate) key: ResourceKey,
    /// Where its reading started.
    pub(crate) at: Option<String>,
    /// What was seen.
    pub(crate) observation: Observation<SharedObject>,
}

/// All that was seen.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: Mutex<HashMap<ResourceKey, Entry>>,
    ticket: AtomicU64,
}

impl Cache {
    /// The next moment.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.ticket.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// What was last seen of an object. `None`: nobody has looked yet.
    pub(crate) fn get(&self, key: &ResourceKey) -> Option<Seen> {
        self.lock().get(key).map(|entry| entry.seen.clone())
    }

    /// A direct read succeeded. Answers whether it saw something new.
    pub(crate) fn read(
        &self,
        key: &ResourceKey,
        at: Option<String>,
        observation: Observation<SharedObject>,
        began: (Ticket, Timestamp),
    ) -> bool {
        let floor = self.ticket();
        let mut entries = self.lock();
        store(&mut entries, key, at, observation, began, Some(floor))
    }

    /// A call that may change an object is about to be made, or its outcome is not known.
    pub(crate) fn in_flight(&self, key: &ResourceKey, now: Timestamp) {
        let ticket = self.ticket();
        let observation = Observation::Unknown { since: now, why: Unknown::InFlight };
        let mut entries = self.lock();
        let at = entries.get(key).and_then(|entry| entry.seen.at.clone());
        store(&mut entries, key, at, observation, (ticket, now), Some(ticket));
    }

    /// A sweep succeeded. Answers the objects of which it saw something new. What could not be read, and what was
    /// last seen longer than `stale_after` ago, becomes unknown.
    pub(crate) fn swept(
        &self,
        swept: Vec<Swept>,
        began: (Ticket, Timestamp),
        stale_after: Duration,
    ) -> Vec<ResourceKey> {
        let mut entries = self.lock();
        let mut changed = Vec::new();
        for Swept { key, at, observation } in swept {
            let Some(observation) = admit(entries.get(&key), observation, began, stale_after) else { continue };
            if store(&mut entries, &key, at, observation, began, None) {
                changed.push(key);
            }
        }
        changed
    }

    /// A sweep failed as a whole. Answers the objects that have become unknown by that.
    pub(crate) fn sweep_failed(
        &self,
        keys: &[ResourceKey],
        error: &ObserveError,
        began: (Ticket, Timestamp),
        stale_after: Duration,
    ) -> Vec<ResourceKey> {
        let swept = keys
            .iter()
            .map(|key| Swept {
                key: key.clone(),
                at: None,
                observation: Observation::Unknown {
                    since: began.1,
                    why: Unknown::Failed { class: error.class, message: error.to_string() },
                },
            })
            .collect();
        self.swept(swept, began, stale_after)
    }

    /// Nothing that was seen of these objects counts any more, nor what sweeps under way see of them. Answers those of
    /// which something was known.
    pub(crate) fn distrust(&self, keys: &[ResourceKey], error: &ObserveError, now: Timestamp) -> Vec<ResourceKey> {
        let ticket = self.ticket();
        let mut entries = self.lock();
        let mut changed = Vec::new();
        for key in keys {
            let entry = entries.get(key);
            // Only a direct read ends that.
            let in_flight =
                |entry: &Entry| matches!(entry.seen.observation, Observation::Unknown { why: Unknown::InFlight, .. });
            if entry.is_some_and(in_flight) {
                continue;
            }
            let at = entry.and_then(|entry| entry.seen.at.clone());
            let why = Unknown::Failed { class: error.class, message: error.to_string() };
            let unknown = Observation::Unknown { since: now, why };
            if store(&mut entries, key, at, unknown, (ticket, now), Some(ticket)) {
                changed.push(key.clone());
            }
        }
        changed
    }

    /// Forgets objects that nobody declares any more, or that another replica looks after now.
    pub(crate) fn retain(&self, keep: impl Fn(&ResourceKey) -> bool) {
        self.lock().retain(|key, _| keep(key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ResourceKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a sweep's word on an object is worth. `None`: nothing.
fn admit(
    entry: Option<&Entry>,
    observation: Observation<SharedObject>,
    began: (Ticket, Timestamp),
    stale_after: Duration,
) -> Option<Observation<SharedObject>> {
    let Some(entry) = entry else {
        return Some(listed(observation, began.1));
    };
    if began.0 < entry.floor {
        return None;
    }
    if matches!(entry.seen.observation, Observation::Unknown { why: Unknown::InFlight, .. }) {
        return None;
    }
    match listed(observation, began.1) {
        Observation::Unknown { why: Unknown::NotListed, .. }
            if matches!(entry.seen.observation, Observation::Absent) =>
        {
            Some(Observation::Absent)
        }
        Observation::Unknown { why: why @ Unknown::Failed { .. }, since } => {
            let age = began.1.duration_since(entry.seen.observed_at);
            let known = !entry.seen.observation.is_unknown();
            let fresh = age <= jiff::SignedDuration::try_from(stale_after).unwrap_or(jiff::SignedDuration::MAX);
            if known && fresh { None } else { Some(Observation::Unknown { since, why }) }
        }
        other => Some(other),
    }
}

/// A listing that says "absent" says no more than that it did not list it.
fn listed(observation: Observation<SharedObject>, since: Timestamp) -> Observation<SharedObject> {
    match observation {
        Observation::Absent => Observation::Unknown { since, why: Unknown::NotListed },
        other => other,
    }
}

fn store(
    entries: &mut HashMap<ResourceKey, Entry>,
    key: &ResourceKey,
    at: Option<String>,
    observation: Observation<SharedObject>,
    (ticket, now): (Ticket, Timestamp),
    floor: Option<Ticket>,
) -> bool {
    let fresh = Seen { observation, at, ticket, observed_at: now, changed_at: now, changed_after: None };
    match entries.get_mut(key) {
        None => {
            entries.insert(key.clone(), Entry { seen: fresh, floor: floor.unwrap_or_default() });
            true
        }
        Some(entry) => {
            entry.floor = entry.floor.max(floor.unwrap_or_default());
            let same = same(&entry.seen.observation, &fresh.observation);
            let old = &entry.seen;
            entry.seen = if same {
                // `since` of an unknown stays: it is how long it has been so.
                Seen {
                    changed_at: old.changed_at,
                    changed_after: old.changed_after,
                    observation: old.observation.clone(),
                    ..fresh
                }
            } else {
                // An act's own mark is no observation: what it hides was last seen before it.
                Seen { changed_after: last_known(old), ..fresh }
            };
            !same
        }
    }
}

fn last_known(old: &Seen) -> Option<Timestamp> {
    if old.observation.is_unknown() { old.changed_after } else { Some(old.observed_at) }
}

fn same(old: &Observation<SharedObject>, new: &Observation<SharedObject>) -> bool {
    match (old, new) {
        (Observation::Absent, Observation::Absent) => true,
        (Observation::Present(old), Observation::Present(new)) => old.same(&**new),
        (
            Observation::Unknown { why: Unknown::Failed { class: old, .. }, .. },
            Observation::Unknown { why: Unknown::Failed { class: new, .. }, .. },
        ) => old == new,
        (Observation::Unknown { why: old, .. }, Observation::Unknown { why: new, .. }) => old == new,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
