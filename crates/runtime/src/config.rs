//! The runtime's settings, with the defaults that the documentation names.

use std::time::Duration;

use model::AwsAccountId;

/// The runtime's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Id of this installation, as in the ownership tags.
    pub installation: String,
    /// Id of this process, as in its leases. Unique.
    pub holder: String,
    /// The accounts that may be entered. Environments of others are left alone.
    pub accounts: Vec<AwsAccountId>,
    /// Passes that may run at once.
    pub workers: usize,
    /// Sweeps of one account that may run at once.
    pub sweeps: usize,
    /// How often kinds of the hot lane are swept.
    pub hot_period: Duration,
    /// How often kinds of the slow lane are swept.
    pub slow_period: Duration,
    /// How long a lease lasts without renewal.
    pub lease_ttl: Duration,
    /// How often a lease is renewed, and a free one tried for.
    pub lease_renew: Duration,
    /// How often the store is asked for what a lost notification would have said.
    pub poll: Duration,
    /// The longest that one call to AWS may take; shorter than the lease.
    pub call_timeout: Duration,
    /// The longest that one sweep may take, all its pages and waits included.
    pub sweep_timeout: Duration,
    /// How often STS is asked whether our credentials still reach an account.
    pub confirm_period: Duration,
    /// How long shutting down may take.
    pub shutdown: Duration,
    /// How often old rows are forgotten.
    pub tidy_period: Duration,
    /// How long entries of the audit trail are kept.
    pub audit_retention: Duration,
    /// How many steps of one object one pass carries out at most.
    pub rounds: u32,
    /// So many writes of one object within `write_window`, and no more.
    pub write_budget: u32,
    /// See `write_budget`.
    pub write_window: Duration,
    /// A write whose effect does not show is looked at again after this, then after three times as long, and so on:
    /// AWS may be late to show what it did.
    pub effect_poll: Duration,
    /// Environments that may be changed within an hour, when the Operator object does not say. None: no limit.
    pub cap_count: Option<u64>,
    /// The same as a share of all environments, 0 to 1.
    pub cap_share: Option<f64>,
}

impl Config {
    /// The defaults, for these accounts.
    pub fn new(installation: impl Into<String>, holder: impl Into<String>, accounts: Vec<AwsAccountId>) -> Self {
        Self {
            installation: installation.into(),
            holder: holder.into(),
            accounts,
            workers: 8,
            sweeps: 8,
            hot_period: Duration::from_secs(15),
            slow_period: Duration::from_secs(120),
            // A dead owner is replaced within ttl + renew = 15 s.
            lease_ttl: Duration::from_secs(12),
            lease_renew: Duration::from_secs(3),
            poll: Duration::from_secs(5),
            // With a renewal each 3 s, 9 s of the lease are left at the worst when a call begins.
            call_timeout: Duration::from_secs(8),
            sweep_timeout: Duration::from_secs(120),
            confirm_period: Duration::from_secs(300),
            shutdown: Duration::from_secs(25),
            tidy_period: Duration::from_secs(600),
            audit_retention: Duration::from_secs(400 * 24 * 3600),
            rounds: 6,
            write_budget: 10,
            write_window: Duration::from_secs(600),
            effect_poll: engine::requeue::POLL,
            cap_count: None,
            cap_share: None,
        }
    }

    /// The period of a lane.
    pub(crate) fn period(&self, lane: engine::Lane) -> Duration {
        match lane {
            engine::Lane::Hot => self.hot_period,
            engine::Lane::Slow => self.slow_period,
        }
    }
}
