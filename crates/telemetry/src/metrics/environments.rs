//! Environments, their resources, backups, and the accounts' leases.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus::{GaugeVec, IntGauge, IntGaugeVec};

use super::register::Register;

/// How many resources of one kind are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceCounts {
    /// All that are declared.
    pub declared: usize,
    /// Observed, and in agreement with the spec.
    pub in_sync: usize,
    /// Agreed before and do not now.
    pub drifted: usize,
    /// A guard holds a step.
    pub blocked: usize,
    /// Not known now.
    pub unknown: usize,
    /// Written to without effect, or too often.
    pub flapping: usize,
}

/// What one environment's last pass found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EnvironmentGauges {
    /// `Ready`: 1, 0, or -1 when it is not known.
    pub ready: i64,
    /// `Synced`, likewise.
    pub synced: i64,
    /// Why it is `Stalled`, by the condition's reason.
    pub stalled: Option<String>,
    /// Why it is `Blocked`, likewise.
    pub blocked: Option<String>,
    /// Whether it has backups, and whether they are as fresh as declared.
    pub backup_healthy: Option<bool>,
    /// Time of the newest complete backup, if it has backups.
    pub newest_backup: Option<Timestamp>,
    /// Its resources, by kind.
    pub resources: BTreeMap<String, ResourceCounts>,
}

/// Environments, their resources, backups, and the accounts' leases.
#[derive(Clone)]
pub struct Environments {
    ready: IntGaugeVec,
    synced: IntGaugeVec,
    stalled: IntGaugeVec,
    blocked: IntGaugeVec,
    backup_healthy: IntGaugeVec,
    backup_age: GaugeVec,
    resources: IntGaugeVec,
    drifted: IntGaugeVec,
    flapping: IntGauge,
    leases: IntGaugeVec,
    in_use: IntGaugeVec,
    credentials: IntGaugeVec,
    latest: Arc<Mutex<BTreeMap<String, EnvironmentGauges>>>,
}

impl Environments {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            ready: register.gauges(
                "eventchain_environment_ready",
                "Condition Ready: 1 True, 0 False, -1 Unknown. Alert when below 1 for ten minutes.",
                &["environment"],
            ),
            synced: register.gauges(
                "eventchain_environment_synced",
                "Condition Synced: 1 True, 0 False, -1 Unknown.",
                &["environment"],
            ),
            stalled: register.gauges(
                "eventchain_environment_stalled",
                "1 while the condition Stalled is True, with its reason: nothing goes on without somebody. Alert on it.",
                &["environment", "reason"],
            ),
            blocked: register.gauges(
                "eventchain_environment_blocked",
                "1 while the condition Blocked is True, with its reason.",
                &["environment", "reason"],
            ),
            backup_healthy: register.gauges(
                "eventchain_backup_healthy",
                "Condition BackupHealthy of environments with backups: 1 or 0. Alert on 0.",
                &["environment"],
            ),
            backup_age: register.ratios(
                "eventchain_backup_age_seconds",
                "Age of the newest complete backup. Alert above the declared maxAge.",
                &["environment"],
            ),
            resources: register.gauges(
                "eventchain_resources",
                "Resources of the environments we own, by kind and state (declared, in_sync, drifted, blocked, unknown, flapping).",
                &["kind", "state"],
            ),
            drifted: register.gauges(
                "eventchain_drifted_resources",
                "Resources that differ from a spec that they agreed with before, by kind. Alert when above 0 for long.",
                &["kind"],
            ),
            flapping: register.gauge(
                "flapping_resources",
                "Resources no longer written to, because writes had no effect or were too many. Alert above 0.",
            ),
            leases: register.gauges("lease_held", "Whether this replica works on the account: 1 or 0.", &["account"]),
            in_use: register.gauges(
                "eventchain_account_in_use",
                "Whether there are environments in the account, so that a replica is to work on it: 1 or 0. Alert where it is 1 and no replica holds the lease.",
                &["account"],
            ),
            credentials: register.gauges(
                "eventchain_credentials_valid",
                "Whether AWS accepts our credentials for the account: 1 or 0. Alert on 0.",
                &["account"],
            ),
            latest: Arc::default(),
        }
    }

    /// What an environment's pass found.
    pub fn set(&self, environment: &str, gauges: EnvironmentGauges) {
        self.ready.with_label_values(&[environment]).set(gauges.ready);
        self.synced.with_label_values(&[environment]).set(gauges.synced);
        match gauges.backup_healthy {
            Some(healthy) => self.backup_healthy.with_label_values(&[environment]).set(healthy.into()),
            None => {
                // Fails only when it was never set.
                let _ = self.backup_healthy.remove_label_values(&[environment]);
            }
        }
        {
            let mut latest = self.lock();
            let before = latest.get(environment);
            let (stalled, blocked) = (&gauges.stalled, &gauges.blocked);
            show(&self.stalled, environment, before.and_then(|it| it.stalled.as_deref()), stalled.as_deref());
            show(&self.blocked, environment, before.and_then(|it| it.blocked.as_deref()), blocked.as_deref());
            latest.insert(environment.to_owned(), gauges);
        }
        self.total();
    }

    /// An environment is gone, or another replica's.
    pub fn forget(&self, environment: &str) {
        for gauges in [&self.ready, &self.synced, &self.backup_healthy] {
            // Fails only when it was never set.
            let _ = gauges.remove_label_values(&[environment]);
        }
        let _ = self.backup_age.remove_label_values(&[environment]);
        let before = self.lock().remove(environment).unwrap_or_default();
        show(&self.stalled, environment, before.stalled.as_deref(), None);
        show(&self.blocked, environment, before.blocked.as_deref(), None);
        self.total();
    }

    /// Whether this replica holds an account's lease.
    pub fn set_lease(&self, account: &str, held: bool) {
        self.leases.with_label_values(&[account]).set(held.into());
    }

    /// Whether somebody is to work on an account.
    pub fn set_in_use(&self, account: &str, in_use: bool) {
        self.in_use.with_label_values(&[account]).set(in_use.into());
    }

    /// Whether AWS accepts our credentials for an account.
    pub fn set_credentials(&self, account: &str, valid: bool) {
        self.credentials.with_label_values(&[account]).set(valid.into());
    }

    /// Sums the resources of all environments by kind. A kind that has none left says 0.
    fn total(&self) {
        let mut sums: BTreeMap<String, ResourceCounts> = BTreeMap::new();
        for environment in self.lock().values() {
            for (kind, counts) in &environment.resources {
                let sum = sums.entry(kind.clone()).or_default();
                sum.declared += counts.declared;
                sum.in_sync += counts.in_sync;
                sum.drifted += counts.drifted;
                sum.blocked += counts.blocked;
                sum.unknown += counts.unknown;
                sum.flapping += counts.flapping;
            }
        }
        self.resources.reset();
        self.drifted.reset();
        let mut flapping = 0;
        for (kind, counts) in sums {
            let states = [
                ("declared", counts.declared),
                ("in_sync", counts.in_sync),
                ("drifted", counts.drifted),
                ("blocked", counts.blocked),
                ("unknown", counts.unknown),
                ("flapping", counts.flapping),
            ];
            for (state, count) in states {
                self.resources.with_label_values(&[kind.as_str(), state]).set(count as i64);
            }
            self.drifted.with_label_values(&[&kind]).set(counts.drifted as i64);
            flapping += counts.flapping;
        }
        self.flapping.set(flapping as i64);
    }

    pub(super) fn refresh_ages(&self, now: Timestamp) {
        for (environment, gauges) in self.lock().iter() {
            match gauges.newest_backup {
                Some(newest) => self
                    .backup_age
                    .with_label_values(&[environment])
                    .set(now.duration_since(newest).as_secs_f64().max(0.0)),
                None => {
                    // Fails only when it was never set.
                    let _ = self.backup_age.remove_label_values(&[environment]);
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, EnvironmentGauges>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One series for the reason that holds now, and none for those that did.
fn show(gauge: &IntGaugeVec, environment: &str, before: Option<&str>, now: Option<&str>) {
    if let Some(reason) = before.filter(|before| now != Some(before)) {
        // Fails only when it was never set.
        let _ = gauge.remove_label_values(&[environment, reason]);
    }
    if let Some(reason) = now {
        gauge.with_label_values(&[environment, reason]).set(1);
    }
}
