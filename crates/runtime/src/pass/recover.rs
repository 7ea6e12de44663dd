//! What a crash or a lost answer left open in the journal is resolved by looking, never by asking a person.

use std::collections::BTreeMap;

use engine::EnvironmentPlan;
use model::plan::Verb;
use model::{Observation, ResourceKey, Wait, WaitKind};
use serde::Deserialize as _;
use serde_json::Value;
use store::{MutationOutcome, Resolution};

use super::{Halt, Pass, Suspect, history};
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
            let verb = row.body.get("verb").and_then(|verb| Verb::deserialize(verb).ok());
            let Some(applied) = self.effect(plan, &key, verb, history::print_of(&row), None) else {
                open.push(row);
                continue;
            };
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

    /// Whether a write had its effect, as far as a look at its object and the plan that follows it tell. `None`: that is
    /// not to be told yet, because the plan waits where it might else have asked for the same again. `accepted` is the
    /// plan that the write was a step of, when AWS said that it took it: what waited beside it holds nothing back.
    pub(super) fn effect(
        &self,
        plan: &EnvironmentPlan,
        key: &ResourceKey,
        verb: Option<Verb>,
        print: &str,
        accepted: Option<&[Wait]>,
    ) -> Option<bool> {
        let present = matches!(self.snapshot.get(key), Observation::Present(_));
        match (verb, present) {
            // Whatever is planned now: a create without an object has done nothing, and a delete has done all.
            (Some(Verb::Create), false) => return Some(false),
            (Some(Verb::Delete), false) => return Some(true),
            _ => {}
        }
        let Some(resource) = plan.resources.iter().find(|resource| resource.key == *key) else {
            return Some(present && verb != Some(Verb::Delete));
        };
        let steps = &resource.plan.steps;
        if steps.iter().any(|step| history::print(key, step) == print) {
            return Some(false);
        }
        if !steps.is_empty() || (verb == Some(Verb::Create) && accepted.is_some()) {
            return Some(true);
        }
        let before = |wait: &Wait| accepted.unwrap_or_default().iter().any(|old| old.reason == wait.reason);
        let holds = |wait: &Wait| {
            matches!(wait.kind, WaitKind::Progressing | WaitKind::Unknown) && wait.until.is_none() && !before(wait)
        };
        (!resource.plan.waits.iter().any(holds)).then_some(true)
    }

    /// A write whose effect shows late was effective after all: it does not count as one without. One that AWS took,
    /// and that is planned again, was not.
    pub(super) async fn settle_suspects(&mut self, plan: &EnvironmentPlan) -> Result<(), Halt> {
        // What is settled is struck off object by object: a store that fails loses none.
        for (key, suspects) in self.memory.suspects.clone() {
            let known = !self.snapshot.get(&key).is_unknown();
            let (mut left, mut told) = (Vec::new(), BTreeMap::new());
            for suspect in suspects {
                let effect = known
                    .then(|| self.effect(plan, &key, Some(suspect.step.verb), &suspect.print, Some(&suspect.waits)))
                    .flatten();
                let news = effect.filter(|effect| *effect || !suspect.without_effect);
                if let Some(effective) = news {
                    let resolution = Resolution { effective: Some(effective), ..Resolution::default() };
                    self.shared.settle(suspect.id, MutationOutcome::Applied, &resolution).await?;
                    self.histories.remove(&key);
                }
                if effect == Some(true) {
                    // However often it was written, it had its effect once.
                    told.insert(suspect.print.clone(), suspect);
                } else {
                    let without_effect = suspect.without_effect || effect == Some(false);
                    left.push(Suspect { without_effect, ..suspect });
                }
            }
            if !told.is_empty() {
                self.memory.retries.remove(&key);
            }
            if left.is_empty() {
                self.memory.suspects.remove(&key);
            } else {
                self.memory.suspects.insert(key.clone(), left);
            }
            for suspect in told.into_values() {
                if suspect.generation == self.row.generation && !suspect.told {
                    self.done_event(&key, &suspect.step, suspect.request_id);
                }
            }
        }
        Ok(())
    }
}

/// The prints of the steps that a stored diff shows.
pub(super) fn prints_of(diff: &Value) -> impl Iterator<Item = &str> {
    diff.as_array().into_iter().flatten().filter_map(|step| step.get("print")?.as_str())
}
