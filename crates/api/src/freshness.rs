//! How old the observations are, joined when something is read: freshness is never stored in an object, so that a sweep
//! which changed nothing wakes no watcher.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{EnvironmentRow, SweepRow};

use crate::document::stored;
use crate::error::ApiResult;
use crate::state::ApiState;
use crate::wire::{age, time};

/// When each (account, region, kind) was observed last.
#[derive(Debug, Default)]
pub(crate) struct Freshness(BTreeMap<(String, String, String), Timestamp>);

impl Freshness {
    /// Of some accounts; of all when none is given.
    pub(crate) async fn read(state: &ApiState, accounts: &[String]) -> ApiResult<Self> {
        Ok(Self::of(state.store.sweeps(accounts).await?))
    }

    fn of(sweeps: Vec<SweepRow>) -> Self {
        Self(sweeps.into_iter().map(|row| ((row.account, row.region, row.kind), row.observed_at)).collect())
    }

    /// The oldest observation that an environment's status rests on. `None`: something was never observed.
    pub(crate) fn of_environment(&self, state: &ApiState, row: &EnvironmentRow) -> Option<Timestamp> {
        let environment = stored(row)?;
        let graph = engine::expand(&state.registry, &environment, &state.installation).ok()?;
        let groups: BTreeSet<(String, String, String)> = graph
            .nodes()
            .iter()
            .map(|node| (node.key.account.to_string(), node.key.region.to_string(), node.key.kind.to_string()))
            .collect();
        groups.iter().map(|group| self.0.get(group).copied()).collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}

/// Puts `observedAt` and `observationAge` into a status.
pub(crate) fn join(status: &mut Map<String, Value>, observed_at: Option<Timestamp>, now: Timestamp) {
    if let Some(observed_at) = observed_at {
        status.insert("observedAt".to_owned(), time(observed_at));
        status.insert("observationAge".to_owned(), json!(age(observed_at, now)));
    }
}
