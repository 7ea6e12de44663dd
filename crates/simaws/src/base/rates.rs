//! Token buckets per account and region, with the published numbers. Off unless switched on.
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::world::Place;

/// A token bucket that operations name.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// The name that operations refer to.
    pub name: &'static str,
    /// How many calls at once.
    pub burst: f64,
    /// How many calls a second.
    pub per_second: f64,
}

impl Rate {
    /// A bucket.
    pub fn new(name: &'static str, burst: f64, per_second: f64) -> Self {
        Self { name, burst, per_second }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Buckets {
    pub(crate) on: bool,
    levels: BTreeMap<(Place, &'static str), (f64, Timestamp)>,
}

impl Buckets {
    /// Takes one token; false when there is none.
    pub(crate) fn take(&mut self, place: &Place, rate: &Rate, now: Timestamp) -> bool {
        if !self.on {
            return true;
        }
        let (level, at) = self.levels.entry((place.clone(), rate.name)).or_insert((rate.burst, now));
        let elapsed = now.duration_since(*at).as_secs_f64().max(0.0);
        *level = (*level + elapsed * rate.per_second).min(rate.burst);
        *at = now;
        if *level < 1.0 {
            return false;
        }
        *level -= 1.0;
        true
    }

    pub(crate) fn refill(&mut self) {
        self.levels.clear();
    }
}
