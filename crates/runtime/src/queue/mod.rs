//! The queue of keys, after kube-runtime's scheduler.
//!
//! - One slot for each key: of two requests the earlier time and the higher priority win.
//! - A key that is running is held, and run once more after.
//! - No more than the cap run at once.
//! - Two priorities. Background work that has been due for longer than the ageing time goes before user work that is
//!   younger by more than that, so that it never starves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A background key that has been due for so long counts like a user's that has just come.
pub(crate) const AGEING: Duration = Duration::from_secs(30);

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// Nobody in particular.
    Background,
    /// A user: a write, a request.
    User,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    due: Instant,
    priority: Priority,
}

impl Slot {
    fn merge(self, other: Self) -> Self {
        Self { due: self.due.min(other.due), priority: self.priority.max(other.priority) }
    }

    fn rank(self) -> Instant {
        match self.priority {
            Priority::User => self.due,
            Priority::Background => self.due + AGEING,
        }
    }
}

struct Inner<K> {
    slots: BTreeMap<K, Slot>,
    delayed: BTreeSet<(Instant, K)>,
    ready: BTreeSet<(Instant, K)>,
    running: BTreeMap<K, Instant>,
    held: BTreeMap<K, Slot>,
    closed: bool,
}

/// How the queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// User keys that are due.
    pub(crate) user: usize,
    /// Background keys that are due.
    pub(crate) background: usize,
    /// Keys that are not due yet.
    pub(crate) delayed: usize,
    /// Keys that run.
    pub(crate) running: usize,
    /// The longest that a due key has waited.
    pub(crate) oldest: Duration,
    /// The longest that a key has been running.
    pub(crate) longest: Duration,
    /// Sum of the times of those that run.
    pub(crate) unfinished: Duration,
}

/// A key that is to be run now; `done` must follow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken<K> {
    /// The key.
    pub(crate) key: K,
    /// With which priority it was asked for.
    pub(crate) priority: Priority,
    /// How long it had been due.
    pub(crate) waited: Duration,
}

/// The queue.
pub(crate) struct Queue<K> {
    inner: Mutex<Inner<K>>,
    changed: Notify,
    cap: usize,
}

impl<K: Ord + Clone> Queue<K> {
    /// An empty queue of which at most `cap` keys run at once.
    pub(crate) fn new(cap: usize) -> Self {
        let inner = Inner {
            slots: BTreeMap::new(),
            delayed: BTreeSet::new(),
            ready: BTreeSet::new(),
            running: BTreeMap::new(),
            held: BTreeMap::new(),
            closed: false,
        };
        Self { inner: Mutex::new(inner), changed: Notify::new(), cap: cap.max(1) }
    }

    /// Asks for a key to be run at once.
    pub(crate) fn add(&self, key: K, priority: Priority) {
        self.add_after(key, priority, Duration::ZERO);
    }

    /// Asks for a key to be run after a delay.
    pub(crate) fn add_after(&self, key: K, priority: Priority, delay: Duration) {
        let slot = Slot { due: Instant::now() + delay, priority };
        let mut inner = self.lock();
        if inner.closed {
            return;
        }
        inner.ask(key, slot);
        drop(inner);
        self.changed.notify_one();
    }

    /// The next key to run; waits until one is due and a place is free. `None` once closed. One caller at a time.
    /// Cancel safe: a key is taken only when it is answered.
    pub(crate) async fn next(&self) -> Option<Taken<K>> {
        loop {
            let wake_at = {
                let mut inner = self.lock();
                if inner.closed {
                    return None;
                }
                let now = Instant::now();
                inner.promote(now);
                if inner.running.len() < self.cap
                    && let Some((_, key)) = inner.ready.first().cloned()
                    && let Some(slot) = inner.take_slot(&key)
                {
                    inner.running.insert(key.clone(), now);
                    let waited = now.saturating_duration_since(slot.due);
                    return Some(Taken { key, priority: slot.priority, waited });
                }
                inner.delayed.first().map(|(due, _)| *due)
            };
            match wake_at {
                Some(due) => {
                    // Both arms are cancel safe, and the state is looked at anew either way.
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep_until(due) => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Whether a user has asked for a running key to be run again.
    pub(crate) fn user_waits_for(&self, key: &K) -> bool {
        self.lock().held.get(key).is_some_and(|slot| slot.priority == Priority::User)
    }

    /// A key's run has ended. If it was asked for meanwhile, it is due again. Answers how long it ran.
    pub(crate) fn done(&self, key: &K) -> Duration {
        let mut inner = self.lock();
        let ran = inner.running.remove(key).map_or(Duration::ZERO, |since| since.elapsed());
        if let Some(slot) = inner.held.remove(key) {
            inner.ask(key.clone(), slot);
        }
        drop(inner);
        self.changed.notify_one();
        ran
    }

    /// No key is given out any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// How the queue stands.
    pub(crate) fn state(&self) -> State {
        let mut inner = self.lock();
        let now = Instant::now();
        inner.promote(now);
        let mut state = State { running: inner.running.len(), delayed: inner.delayed.len(), ..State::default() };
        for (_, key) in &inner.ready {
            if let Some(slot) = inner.slots.get(key) {
                match slot.priority {
                    Priority::User => state.user += 1,
                    Priority::Background => state.background += 1,
                }
                state.oldest = state.oldest.max(now.saturating_duration_since(slot.due));
            }
        }
        for since in inner.running.values() {
            let elapsed = now.saturating_duration_since(*since);
            state.longest = state.longest.max(elapsed);
            state.unfinished += elapsed;
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> Inner<K> {
    fn ask(&mut self, key: K, slot: Slot) {
        if self.running.contains_key(&key) {
            let held = self.held.remove(&key).map_or(slot, |old| old.merge(slot));
            self.held.insert(key, held);
            return;
        }
        let slot = self.take_slot(&key).map_or(slot, |old| old.merge(slot));
        self.delayed.insert((slot.due, key.clone()));
        self.slots.insert(key, slot);
    }

    fn take_slot(&mut self, key: &K) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        self.delayed.remove(&(slot.due, key.clone()));
        self.ready.remove(&(slot.rank(), key.clone()));
        Some(slot)
    }

    /// Moves what is due from the delayed to the ready.
    fn promote(&mut self, now: Instant) {
        while let Some((due, key)) = self.delayed.first().cloned() {
            if due > now {
                return;
            }
            self.delayed.pop_first();
            if let Some(slot) = self.slots.get(&key) {
                self.ready.insert((slot.rank(), key));
            }
        }
    }
}

#[cfg(test)]
mod tests;
