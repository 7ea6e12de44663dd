//! What a crash or a lost answer left open in the journal is resolved by looking, never by asking a person.

use engine::EnvironmentPlan;
use model::plan::Verb;
use model::{Observation, ResourceKey};
use serde::Deserialize as _;
use serde_json::Value;
use store::{JournalRow, MutationOutcome, Resolution};

use super::{Halt, Pass, history};
use crate::keys;

impl Pass<'_> {
    /// Settles the open rows of every object that was looked at in this pass.
    pub(super) async fn settle_unresolved(&mut self, plan: &EnvironmentPlan) -> Result<(), Halt> {
        let mut open = Vec::new();
        for row in std::mem::take(&mut self.unresolved) {
            let key = keys::from_store(&row.resource).filter(|key| self.looked.contains(key));
            let Some(key) = key else {
                open.push(row);
                continue;
            };
            let applied = self.had_effect(plan, &key, &row);
            let outcome = if applied { MutationOutcome::Applied } else { MutationOutcome::NotApplied };
            let resolution = Resolution { effective: applied.then_some(true), ..Resolution::default() };
            self.shared.settle(row.id, outcome, &resolution).await?;
            tracing::info!(environment = %self.name, resource = %key, step = %row.step, %outcome, "resolved by looking what was left open");
            if applied && history::adopts(&row) {
                let generation = self.memory.adopted.entry(key).or_insert(row.generation);
                *generation = (*generation).max(row.generation);
            }
        }
        self.unresolved = open;
        Ok(())
    }

    /// Whether an open write had its effect, as far as looking tells.
    fn had_effect(&self, plan: &EnvironmentPlan, key: &ResourceKey, row: &JournalRow) -> bool {
        let planned = plan.resources.iter().find(|resource| resource.key == *key);
        if let Some(resource) = planned {
            let print = history::print_of(row);
            return !resource.plan.steps.iter().any(|step| history::print(key, step) == print);
        }
        let present = matches!(self.snapshot.get(key), Observation::Present(_));
        match row.body.get("verb").map(Verb::deserialize) {
            Some(Ok(Verb::Delete)) => !present,
            Some(Ok(Verb::Create | Verb::Update) | Err(_)) | None => present,
        }
    }

    /// A write whose effect showed late was effective after all: it does not count as one without.
    pub(super) async fn settle_suspects(&mut self, plan: &EnvironmentPlan) -> Result<(), Halt> {
        let suspects = std::mem::take(&mut self.memory.suspects);
        for (key, mut rows) in suspects {
            if self.snapshot.get(&key).is_unknown() {
                self.memory.suspects.insert(key, rows);
                continue;
            }
            let planned: Vec<String> = plan
                .resources
                .iter()
                .filter(|resource| resource.key == key)
                .flat_map(|resource| resource.plan.steps.iter().map(|step| history::print(&key, step)))
                .collect();
            let (still, late): (Vec<_>, Vec<_>) = rows.drain(..).partition(|(_, print)| planned.contains(print));
            for (id, _) in late {
                let resolution = Resolution { effective: Some(true), ..Resolution::default() };
                self.shared.settle(id, MutationOutcome::Applied, &resolution).await?;
                self.histories.remove(&key);
                self.memory.retries.remove(&key);
            }
            if !still.is_empty() {
                self.memory.suspects.insert(key, still);
            }
        }
        Ok(())
    }
}

/// The prints of the steps that a stored diff shows.
pub(super) fn prints_of(diff: &Value) -> impl Iterator<Item = &str> {
    diff.as_array().into_iter().flatten().filter_map(|step| step.get("print")?.as_str())
}
