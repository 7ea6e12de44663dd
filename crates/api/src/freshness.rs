//! What is joined when something is read and never stored in an object: how old the observations are, so that a sweep
//! which changed nothing wakes no watcher, and whether anybody works on the account at all.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::EnvironmentRow;

use crate::document::stored;
use crate::error::ApiResult;
use crate::state::ApiState;
use crate::wire::{age, time};

/// When each (account, region, kind) was observed last, and which accounts are worked on now.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    observed: BTreeMap<(String, String, String), Timestamp>,
    attended: BTreeSet<String>,
}

impl Freshness {
    /// Of some accounts; of all when none is given.
    pub(crate) async fn read(state: &ApiState, accounts: &[String]) -> ApiResult<Self> {
        let sweeps = state.store.sweeps(accounts).await?;
        let leases = state.store.leases().await?;
        Ok(Self {
            observed: sweeps.into_iter().map(|row| ((row.account, row.region, row.kind), row.observed_at)).collect(),
            attended: leases.into_iter().filter(|row| !row.remaining.is_zero()).map(|row| row.shard).collect(),
        })
    }

    /// Why nothing happens in an account on which no replica works.
    pub(crate) fn unattended(&self, account: &str) -> Option<String> {
        (!self.attended.contains(account)).then(|| unattended(account))
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
        groups.iter().map(|group| self.observed.get(group).copied()).collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}

/// For people: nobody works on an account.
pub(crate) fn unattended(account: &str) -> String {
    format!(
        "no replica works on account {account} now: it is being taken over, or it is not in the daemon's configuration"
    )
}

/// Puts `observedAt` and `observationAge` into a status.
pub(crate) fn join(status: &mut Map<String, Value>, observed_at: Option<Timestamp>, now: Timestamp) {
    if let Some(observed_at) = observed_at {
        status.insert("observedAt".to_owned(), time(observed_at));
        status.insert("observationAge".to_owned(), json!(age(observed_at, now)));
    }
}
