//! What is joined when something is read and never stored in an object: how old the observations are, so that a sweep
//! which changed nothing wakes no watcher, and whether anybody works on the account at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{AccountFreshness, EnvironmentRow, SweepRow};
use uuid::Uuid;

use crate::document::stored;
use crate::error::ApiResult;
use crate::state::ApiState;
use crate::wire::{age, time};

/// (account, region, kind): what one sweep observes.
type Group = (String, String, String);

/// Environments of which it is kept what they need observed. More than are expected: then all is forgotten, and found
/// out again.
const MOST_KNOWN: usize = 20_000;

/// When each (account, region, kind) was observed last, and which accounts are worked on now.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    observed: BTreeMap<Group, Timestamp>,
    attended: BTreeSet<String>,
}

impl Freshness {
    /// Of all accounts.
    pub(crate) async fn of_all(state: &ApiState) -> ApiResult<Self> {
        let sweeps = state.store.sweeps(&[]).await?;
        let leases = state.store.leases().await?;
        let attended = leases.into_iter().filter(|row| !row.remaining.is_zero()).map(|row| row.shard).collect();
        Ok(Self { observed: observed(sweeps), attended })
    }

    /// Of one account.
    pub(crate) async fn of_account(state: &ApiState, account: &str) -> ApiResult<Self> {
        Ok(Self::known(account, state.store.account_freshness(account).await?))
    }

    /// An environment, and what is known of its account.
    pub(crate) async fn with_environment(state: &ApiState, name: &str) -> ApiResult<(EnvironmentRow, Self)> {
        let (row, known) = state.store.get_environment_fresh(name).await?;
        let freshness = Self::known(&row.account, known);
        Ok((row, freshness))
    }

    fn known(account: &str, AccountFreshness { attended, sweeps }: AccountFreshness) -> Self {
        let attended = attended.then(|| account.to_owned()).into_iter().collect();
        Self { observed: observed(sweeps), attended }
    }

    /// Why nothing happens in an account on which no replica works.
    pub(crate) fn unattended(&self, account: &str) -> Option<String> {
        (!self.attended.contains(account)).then(|| unattended(account))
    }

    /// The oldest observation that an environment's status rests on. `None`: something was never observed.
    pub(crate) fn of_environment(&self, state: &ApiState, row: &EnvironmentRow) -> Option<Timestamp> {
        if self.observed.is_empty() {
            return None;
        }
        let groups = state.observes.of(state, row)?;
        groups.iter().map(|group| self.observed.get(group).copied()).collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}

fn observed(sweeps: Vec<SweepRow>) -> BTreeMap<Group, Timestamp> {
    sweeps.into_iter().map(|row| ((row.account, row.region, row.kind), row.observed_at)).collect()
}

/// What each environment needs observed. It follows from the spec alone, and to expand that costs more than all else of a
/// read, so it is kept by uid and generation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observes(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    by_uid: HashMap<Uuid, (i64, Arc<BTreeSet<Group>>)>,
    /// Most environments need the same.
    shared: BTreeSet<Arc<BTreeSet<Group>>>,
}

impl Observes {
    /// `None`: the stored spec cannot be read by this release.
    fn of(&self, state: &ApiState, row: &EnvironmentRow) -> Option<Arc<BTreeSet<Group>>> {
        if let Some((generation, groups)) = self.lock().by_uid.get(&row.uid)
            && *generation == row.generation
        {
            return Some(Arc::clone(groups));
        }
        let graph = engine::expand(&state.registry, &stored(row)?, &state.installation).ok()?;
        let group = |key: &model::ResourceKey| (key.account.to_string(), key.region.to_string(), key.kind.to_string());
        let groups = Arc::new(graph.nodes().iter().map(|node| group(&node.key)).collect());
        Some(self.lock().keep(row, groups))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, row: &EnvironmentRow, groups: Arc<BTreeSet<Group>>) -> Arc<BTreeSet<Group>> {
        if self.by_uid.len() >= MOST_KNOWN {
            *self = Self::default();
        }
        let groups = self.shared.get(&groups).map_or(groups, Arc::clone);
        self.shared.insert(Arc::clone(&groups));
        self.by_uid.insert(row.uid, (row.generation, Arc::clone(&groups)));
        groups
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
