//! One sweep of one group: read in bulk, put into the cache, note the freshness.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{Class, Observation, ResourceKey, Unknown};
use store::Freshness;
use tokio::time::Instant;

use super::scope_label;
use crate::cache::{Swept, Ticket};
use crate::holdings::Group;
use crate::look::Start;
use crate::shared::{Shard, Shared};

/// What a sweep came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Objects of which something new was seen.
    pub(super) changed: BTreeSet<ResourceKey>,
    /// Class of the failure, if nothing could be read, or not all.
    pub(super) failure: Option<Class>,
    /// What AWS said when it denied the read.
    pub(super) denied: Option<String>,
}

impl Shared {
    /// How often a group is swept.
    pub(super) fn period_of(&self, group: &Group) -> Duration {
        let lane = self.registry.get(group.kind.as_str()).map_or(engine::Lane::Slow, |kind| kind.traits().lane);
        self.config.period(lane)
    }

    fn stale_after(&self, group: &Group) -> Duration {
        let periods = self.registry.get(group.kind.as_str()).map_or(4, |kind| kind.traits().stale_after_periods);
        self.period_of(group) * periods.max(1)
    }

    /// Where each object of a group is to be read; apart, those for which that is not known.
    fn starts(&self, group: &Group) -> (BTreeMap<ResourceKey, Option<String>>, Vec<ResourceKey>) {
        let (mut keys, mut unknown) = (BTreeMap::new(), Vec::new());
        for (key, watch) in self.holdings.watches(group) {
            match self.start_of(watch.follows.as_ref(), |followed| self.known(followed)) {
                Start::At(at) => {
                    keys.insert(key, at);
                }
                Start::Unknown => unknown.push(key),
            }
        }
        (keys, unknown)
    }

    /// Whether an object of a group is to be read elsewhere than it was.
    pub(super) fn follower_moved(&self, group: &Group) -> bool {
        let (keys, _) = self.starts(group);
        keys.iter().any(|(key, at)| self.cache.get(key).is_none_or(|seen| seen.at != *at))
    }
}

pub(crate) async fn sweep(shared: &Shared, shard: &Shard, group: &Group) -> (Ticket, Outcome) {
    let start = Instant::now();
    let began = (shared.cache.ticket(), shared.clock.now());
    let stale_after = shared.stale_after(group);
    let (keys, unknown) = shared.starts(group);
    let waiting: Vec<Swept> = unknown
        .into_iter()
        .map(|key| {
            let observation = Observation::Unknown { since: began.1, why: Unknown::Dependency };
            Swept { key, at: None, observation }
        })
        .collect();
    let mut outcome = Outcome::default();
    outcome.changed.extend(shared.cache.swept(waiting, began, stale_after));
    let result: &'static str = match shared.sweep(&keys, began.1).await {
        Ok(observed) => {
            for observation in observed.values() {
                if let Observation::Unknown { why: Unknown::Failed { class, message }, .. } = observation {
                    note_failure(&mut outcome, *class, message);
                }
            }
            let swept = observed
                .into_iter()
                .map(|(key, observation)| Swept { at: keys.get(&key).cloned().flatten(), key, observation })
                .collect();
            outcome.changed.extend(shared.cache.swept(swept, began, stale_after));
            if outcome.failure.is_none() {
                note_freshness(shared, shard, group, began.1).await;
            }
            if outcome.failure.is_some() { "partial" } else { "ok" }
        }
        Err(error) => {
            tracing::warn!(account = %group.account, region = %group.region, kind = %group.kind, %error, "sweep failed");
            note_failure(&mut outcome, error.class, &error.to_string());
            let keys: Vec<ResourceKey> = keys.into_keys().collect();
            outcome.changed.extend(shared.cache.sweep_failed(&keys, &error, began, stale_after));
            error.class.into()
        }
    };
    shared.metrics.observer.swept(group.kind.as_str(), result, start.elapsed(), outcome.changed.len());
    (began.0, outcome)
}

fn note_failure(outcome: &mut Outcome, class: Class, message: &str) {
    outcome.failure = Some(outcome.failure.map_or(class, |before| before.min(class)));
    if class == Class::Denied {
        outcome.denied = Some(message.to_owned());
    }
}

/// The one write of a sweep that changed nothing. That it fails costs only the age that is shown.
async fn note_freshness(shared: &Shared, shard: &Shard, group: &Group, observed_at: jiff::Timestamp) {
    shared.metrics.observer.observed(group.kind.as_str(), &scope_label(group), observed_at);
    let freshness = Freshness {
        account: group.account.to_string(),
        region: group.region.to_string(),
        kind: group.kind.to_string(),
        observed_at,
    };
    if let Err(error) = shared.store.write_freshness(&shard.fence, &[freshness]).await {
        tracing::debug!(error = %telemetry::ErrorChain(&error), "freshness was not written");
    }
}
