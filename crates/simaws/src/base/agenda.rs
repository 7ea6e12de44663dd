//! What happens when: a queue of due times, so that settling looks only at what is due, never at all objects.
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

/// At most one due time per key. Put one into a service's state; answer `Service::next_due`
/// with [`Agenda::next`], and pop in `settle`.
#[derive(Clone, Debug)]
pub struct Agenda<K> {
    due: BTreeSet<(Timestamp, K)>,
    at: BTreeMap<K, Timestamp>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { due: BTreeSet::new(), at: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Agenda<K> {
    /// Schedules `key` at `at`, replacing its earlier time.
    pub fn set(&mut self, key: K, at: Timestamp) {
        self.cancel(&key);
        self.due.insert((at, key.clone()));
        self.at.insert(key, at);
    }

    /// Schedules `key` at `at` unless it is due earlier.
    pub fn set_earlier(&mut self, key: K, at: Timestamp) {
        if self.at.get(&key).is_none_or(|old| at < *old) {
            self.set(key, at);
        }
    }

    /// Removes `key`.
    pub fn cancel(&mut self, key: &K) {
        if let Some(at) = self.at.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
    }

    /// When something is due first.
    pub fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// When `key` is due.
    pub fn when(&self, key: &K) -> Option<Timestamp> {
        self.at.get(key).copied()
    }

    /// Takes the first key due by `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, K)> {
        if self.next()? > now {
            return None;
        }
        let (at, key) = self.due.pop_first()?;
        self.at.remove(&key);
        Some((at, key))
    }
}
