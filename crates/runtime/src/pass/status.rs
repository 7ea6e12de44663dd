//! The environment's status and the metrics that say the same.

use std::collections::BTreeMap;

use engine::conditions::{self, Credentials, EnvironmentFacts, ResourceFacts, Seen};
use engine::{EnvironmentPlan, Health};
use model::condition::{self, Condition, ConditionStatus, ConditionType};
use serde_json::{Value, json};
use store::EnvironmentRow;
use telemetry::metrics::{EnvironmentGauges, ResourceCounts};

use super::Pass;
use super::plan::gated_json;
use super::report::{Entry, old_conditions};
use super::requested::HANDLED;
use crate::shared::{CredentialState, Shard, Shared};

impl Pass<'_> {
    pub(super) fn status(&self, plan: &EnvironmentPlan, entries: &[Entry], conditions: &[Condition]) -> Value {
        let facts: Vec<ResourceFacts<'_>> = entries.iter().map(Entry::facts).collect();
        let count = |of: &dyn Fn(&ResourceFacts<'_>) -> bool| facts.iter().filter(|facts| of(facts)).count();
        let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for entry in entries {
            let (total, ready) = kinds.entry(entry.key.kind.as_str()).or_default();
            *total += 1;
            *ready += usize::from(entry.resource.health == Some(Health::Ready));
        }
        let kinds: BTreeMap<&str, Value> =
            kinds.into_iter().map(|(kind, (total, ready))| (kind, json!({ "total": total, "ready": ready }))).collect();
        let next_check = entries
            .iter()
            .flat_map(|entry| {
                let waits = entry.resource.plan.waits.iter().filter_map(|wait| wait.until);
                let backup = entry.resource.backup.as_ref().and_then(|backup| backup.next);
                waits.chain(entry.hold.as_ref().and_then(|hold| hold.until)).chain(backup)
            })
            .filter(|at| *at > self.now)
            .min();
        let token = self.handled_token().map(|token| json!(token.to_string()));
        let kept = |field| self.row.status.get(field).cloned();
        let newest = entries.iter().filter_map(|entry| entry.resource.backup.as_ref()?.newest).max();
        let mut status = json!({
            "observedGeneration": self.row.generation,
            "conditions": conditions,
            "resources": {
                "total": entries.len(),
                "ready": entries.iter().filter(|entry| entry.resource.health == Some(Health::Ready)).count(),
                "inSync": count(&|facts| facts.in_sync()),
                "drifted": count(&|facts| facts.drifted()),
                "blocked": count(&|facts| facts.blocked().is_some()),
                "unknown": count(&|facts| facts.seen == Seen::Unknown),
                "kinds": kinds,
            },
        });
        let optional = [
            ("plan", gated_json(&self.guard(), plan)),
            ("nextCheckAt", next_check.map(|at| json!(at))),
            ("newestBackupAt", newest.map(|at| json!(at))),
            ("lastHandledReconcileToken", token.or_else(|| kept("lastHandledReconcileToken"))),
            (HANDLED, self.handled_annotation().map(|value| json!(value)).or_else(|| kept(HANDLED))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                status[name] = value;
            }
        }
        status
    }
}

/// The status of an environment whose stored spec cannot be used.
pub(super) fn invalid_status(shared: &Shared, shard: &Shard, row: &EnvironmentRow, why: &str) -> Value {
    let now = shared.clock.now();
    let credentials = shared.credentials.get(&shard.account);
    let pause = super::load::pause_of(row, now);
    let facts = EnvironmentFacts {
        now,
        generation: row.generation,
        resources: &[],
        paused: pause.as_ref(),
        credentials: said_of(&credentials),
        invalid_spec: Some(why),
        deleting: row.deletion_requested_at.is_some(),
        rolled_back: None,
    };
    let conditions = conditions::environment(&old_conditions(&row.status["conditions"]), &facts);
    let mut status = json!({ "observedGeneration": row.generation, "conditions": conditions });
    for field in ["lastHandledReconcileToken", HANDLED] {
        if let Some(value) = row.status.get(field) {
            status[field] = value.clone();
        }
    }
    status
}

pub(super) fn said_of(state: &CredentialState) -> Credentials<'_> {
    match state {
        CredentialState::NotChecked => Credentials::NotChecked,
        CredentialState::Valid => Credentials::Valid,
        CredentialState::Refused(why) | CredentialState::Denied(why) => Credentials::Invalid(why),
    }
}

pub(super) fn gauges(entries: &[Entry], conditions: &[Condition]) -> EnvironmentGauges {
    let said = |kind| match condition::find(conditions, kind).map(|condition| condition.status) {
        Some(ConditionStatus::True) => 1,
        Some(ConditionStatus::False) => 0,
        Some(ConditionStatus::Unknown) | None => -1,
    };
    let mut resources: BTreeMap<String, ResourceCounts> = BTreeMap::new();
    for entry in entries {
        let facts = entry.facts();
        let counts = resources.entry(entry.key.kind.to_string()).or_default();
        counts.declared += usize::from(!entry.leaving);
        counts.in_sync += usize::from(facts.in_sync());
        counts.drifted += usize::from(facts.drifted());
        counts.blocked += usize::from(facts.blocked().is_some());
        counts.unknown += usize::from(facts.seen == Seen::Unknown);
        let flapping = [engine::guard::HoldReason::NonConverging, engine::guard::HoldReason::WriteBudget];
        counts.flapping += usize::from(entry.hold.as_ref().is_some_and(|hold| flapping.contains(&hold.reason)));
    }
    let backups = said(ConditionType::BackupHealthy);
    let why = |kind| {
        let condition = condition::find(conditions, kind).filter(|found| found.status == ConditionStatus::True);
        condition.map(|condition| condition.reason.clone())
    };
    EnvironmentGauges {
        ready: said(ConditionType::Ready),
        synced: said(ConditionType::Synced),
        stalled: why(ConditionType::Stalled),
        blocked: why(ConditionType::Blocked),
        backup_healthy: (backups >= 0).then_some(backups == 1),
        newest_backup: entries.iter().filter_map(|entry| entry.resource.backup.as_ref()?.newest).max(),
        resources,
    }
}
