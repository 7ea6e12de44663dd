//! A replica without tasks and timers: its sweeps and passes run where and when the caller says, so that a simulation comes
//! out the same each time. They are the daemon's own; what is left out is the queue and what wakes it. A crash is the drop of
//! a future and of the replica.

use std::sync::Arc;

use model::{AwsAccountId, Class};
use store::Acquired;
use tokio_util::sync::CancellationToken;

use crate::holdings::{EnvName, Group};
use crate::observer::sweep_group;
use crate::pass::run;
use crate::runtime::Deps;
use crate::shard::take_over;
use crate::shared::{CredentialState, Shard, Shared};

/// One replica, for one account.
pub struct Replica {
    shared: Arc<Shared>,
    account: AwsAccountId,
}

/// What a pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// The class of its gravest failure.
    pub failure: Option<Class>,
    /// The environment is gone, or another replica's.
    pub forgotten: bool,
}

impl Replica {
    /// It owns nothing yet. STS is taken to have confirmed the account; delays are not jittered.
    pub fn new(deps: Deps, account: AwsAccountId) -> Self {
        let shared = Shared::new(deps, || 1.0);
        shared.credentials.set(&account, CredentialState::Valid);
        Self { shared: Arc::new(shared), account }
    }

    /// Takes the account's lease if it is free, and reads its environments; whether it was.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn acquire(&self) -> Result<bool, store::Error> {
        let shared = &self.shared;
        let lease = shared.store.acquire_lease(self.account.as_str(), &shared.config.holder, shared.config.lease_ttl);
        let Acquired::Held(lease) = lease.await? else { return Ok(false) };
        let shard = Shard::new(self.account.clone(), lease.fence(), lease.deadline(), CancellationToken::new());
        shared.shards.insert(shard.clone());
        take_over(shared, &shard).await?;
        Ok(true)
    }

    /// One sweep of everything that is looked after, what is followed first.
    pub async fn sweep(&self) {
        let Some(shard) = self.shared.shards.get(&self.account) else { return };
        let groups = self.shared.holdings.groups_of(&self.account);
        let follows = |group: &Group| self.shared.holdings.followed(group).iter().any(|followed| followed != group);
        let (last, first): (Vec<_>, Vec<_>) = groups.into_iter().partition(follows);
        for group in first.iter().chain(&last) {
            let (began, _) = sweep_group(&self.shared, &shard, group).await;
            // Nobody is woken: the caller says what runs next.
            drop(self.shared.wishes.swept(group, began));
        }
    }

    /// One pass over an environment.
    pub async fn pass(&self, environment: &str) -> Passed {
        let name: EnvName = environment.into();
        let outcome = run(&self.shared, &name).await;
        if outcome.forget {
            self.shared.forget(&name);
        }
        Passed { failure: outcome.failure, forgotten: outcome.forget }
    }
}
