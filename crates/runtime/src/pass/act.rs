//! One step: journal the intent, call AWS, settle the journal, look, and say what came of it.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::guard::{Cap, fingerprint};
use engine::{PlannedResource, requeue};
use jiff::SignedDuration;
use kinds::Acted;
use model::plan::Verb;
use model::{ActError, Class, Effect, Observation, ResourceKey, Step, Unknown};
use serde_json::json;
use store::{Begun, Intent, MutationOutcome, Resolution};
use telemetry::metrics::StepOutcome;

use super::{Halt, Pass, Retry, Suspect, history};
use crate::keys;
use crate::look::Start;

/// Another try in the same pass after AWS said that the object is not as we saw it.
const MOST_CONFLICTS: u32 = 2;

/// However often a write showed no effect, it is looked at again after this.
const LONGEST_EFFECT_WAIT: Duration = Duration::from_secs(300);

impl Pass<'_> {
    /// Carries out one step that the guard let through and whose object was looked at in this pass.
    pub(super) async fn perform(&mut self, resource: &PlannedResource, step: &Step) -> Result<(), Halt> {
        let key = &resource.key;
        if self.shared.credentials.refused(&key.account).is_some() {
            self.stopped.insert(key.clone());
            return Ok(());
        }
        let Start::At(at) = self.start(key) else {
            self.stopped.insert(key.clone());
            return Ok(());
        };
        if !self.has_time() {
            return Ok(());
        }
        let print = history::print(key, step);
        let rows = self.histories.get(key).map(Vec::as_slice).unwrap_or_default();
        let token = history::token(self.row.uid, &print, rows);
        let intent = Intent {
            environment_uid: self.row.uid,
            environment: self.row.name.clone(),
            generation: self.row.generation,
            resource: keys::to_store(key),
            step: step.operation.to_string(),
            body: history::journalled(step, &print, &fingerprint(self.row.generation, key, step)),
            risk: step.risk.to_string(),
            token: token.clone(),
            // Not the pass's: an approval that it acts on must not seem to be younger.
            now: self.shared.clock.now(),
        };
        let Some(id) = self.begin(&intent).await? else { return Ok(()) };
        if !self.has_time() {
            // The store took its time over the intent: the call might outlive the lease, so it is not made.
            self.histories.remove(key);
            self.shared.settle(id, MutationOutcome::NotApplied, &Resolution::default()).await?;
            return Ok(());
        }
        self.before(resource, step);
        tracing::info!(environment = %self.name, resource = %key, step = %step.operation, risk = %step.risk, reason = %step.reason, "acting");
        let result = self.shared.act(key, at, step, &token).await;
        self.histories.remove(key);
        *self.acts.entry(key.clone()).or_default() += 1;
        let settled = self.settle(id, &result).await;
        if let Ok(Acted { at: Some(at), .. }) = &result {
            self.moved.insert(key.clone(), at.clone());
        }
        self.look_at(BTreeSet::from([key.clone()])).await;
        // A store that failed ends the pass only now: the object has been looked at, and the journal row that stays
        // open is resolved by the next pass.
        settled?;
        self.judge_result(id, resource, step, &print, &result).await
    }

    /// Whether a call that begins now ends before anybody else may own the shard. If not, the pass ends.
    fn has_time(&mut self) -> bool {
        self.short_of_time = !self.shard.may_begin(self.shared.config.call_timeout);
        !self.short_of_time
    }

    /// Marks the object before the call.
    fn before(&mut self, resource: &PlannedResource, step: &Step) {
        let key = &resource.key;
        if self.agreed_before(key) && !self.leaving.contains_key(key) {
            self.drift_seen(key, step);
        }
        self.note_events(key, &resource.plan.notes);
        if let Some(note) = &resource.plan.remember {
            self.notes.insert(key.clone(), note.clone());
        }
        self.shared.cache.in_flight(key, self.now);
        let unknown = Observation::Unknown { since: self.now, why: Unknown::InFlight };
        self.snapshot.set(key.clone(), unknown);
    }

    /// Writes the intent, if this environment is among those that may be changed this hour.
    async fn begin(&mut self, intent: &Intent) -> Result<Option<i64>, Halt> {
        let (store, fence) = (&self.shared.store, &self.shard.fence);
        let Some(most) = self.cap_limit.filter(|_| !self.counted) else {
            self.counted = true;
            return Ok(Some(store.begin_mutation(intent, fence).await?));
        };
        let hour = SignedDuration::from_hours(1);
        let since = self.now.saturating_sub(hour).unwrap_or(self.now);
        let others = match store.begin_mutation_within(intent, fence, &store::Cap { most, since }).await? {
            Begun::As(id) => {
                self.counted = true;
                return Ok(Some(id));
            }
            Begun::Full(others) => others,
        };
        // A place is free when so many are older than an hour that fewer than the limit are left.
        let last_in_the_way = (others.len() as u64).checked_sub(most).filter(|_| most > 0);
        let until = last_in_the_way
            .and_then(|n| others.get(usize::try_from(n).ok()?))
            .and_then(|last| last.checked_add(hour).ok());
        let at =
            until.map_or_else(String::new, |until| format!("; a place is free at {until}, if nothing else changes"));
        let message = format!("{most} environments may be changed within an hour, and as many were{at}");
        self.cap = Some(Cap { message, until });
        Ok(None)
    }

    /// Settles the journal with what the call said.
    async fn settle(&self, id: i64, result: &Result<Acted, ActError>) -> Result<(), Halt> {
        let (outcome, resolution) = match result {
            Ok(acted) => {
                (MutationOutcome::Applied, Resolution { request_id: acted.request_id.clone(), ..Resolution::default() })
            }
            Err(error) => {
                let outcome = match error.effect {
                    Effect::NotApplied => MutationOutcome::NotApplied,
                    Effect::Unknown => MutationOutcome::Unknown,
                    Effect::Applied => MutationOutcome::Applied,
                };
                let resolution = Resolution {
                    request_id: error.request_id.clone(),
                    error_class: Some(error.class.to_string()),
                    effective: None,
                };
                (outcome, resolution)
            }
        };
        self.shared.settle(id, outcome, &resolution).await?;
        Ok(())
    }

    /// What came of the step, by the look that followed it.
    async fn judge_result(
        &mut self,
        id: i64,
        resource: &PlannedResource,
        step: &Step,
        print: &str,
        result: &Result<Acted, ActError>,
    ) -> Result<(), Halt> {
        let key = &resource.key;
        self.now = self.shared.clock.now();
        let waits = &resource.plan.waits;
        let effective = self.looked.contains(key).then(|| self.plan()).and_then(|plan| {
            self.effect(&plan, key, Some(step.verb), print, result.is_ok().then_some(waits.as_slice()))
        });
        let request_id = match result {
            Ok(acted) => acted.request_id.clone(),
            Err(error) => error.request_id.clone(),
        };
        let applied = match result {
            Ok(_) => true,
            Err(error) => match error.effect {
                Effect::Applied => true,
                Effect::NotApplied => false,
                // What cannot be told stays open.
                Effect::Unknown => effective == Some(true),
            },
        };
        let unknown = matches!(result, Err(error) if error.effect == Effect::Unknown);
        if let Some(effective) = effective.filter(|_| applied || unknown) {
            let outcome = if applied { MutationOutcome::Applied } else { MutationOutcome::NotApplied };
            let resolution = Resolution { effective: applied.then_some(effective), ..Resolution::default() };
            self.shared.settle(id, outcome, &resolution).await?;
        }
        self.note_act(key, step, result, effective.filter(|_| applied));
        if step.adopts && (applied || unknown) {
            self.memory.adopted.insert(key.clone(), self.row.generation);
        }
        if applied {
            self.acted_prints.insert(fingerprint(self.row.generation, key, step));
        }
        match (applied, effective, result) {
            (true, Some(true), _) => {
                self.memory.retries.remove(key);
                let earlier = self.memory.suspects.get_mut(key).into_iter().flatten();
                earlier.filter(|suspect| suspect.print == print).for_each(|suspect| suspect.told = true);
                self.done_event(key, step, request_id);
            }
            // Carried out, and the effect is not to be seen: AWS may be late to show it or busy with it, or the read
            // failed. The same write again at once could make a second object.
            (true, Some(false) | None, _) => {
                let suspect = Suspect {
                    id,
                    generation: self.row.generation,
                    print: print.to_owned(),
                    step: step.clone(),
                    waits: waits.clone(),
                    request_id,
                    without_effect: effective == Some(false),
                    told: false,
                };
                self.memory.suspects.entry(key.clone()).or_default().push(suspect);
                self.await_effect(key, print);
            }
            (false, _, Err(error)) => self.failed(key, step, print, error),
            (false, _, Ok(_)) => {}
        }
        Ok(())
    }

    fn failed(&mut self, key: &ResourceKey, step: &Step, print: &str, error: &ActError) {
        tracing::warn!(environment = %self.name, resource = %key, step = %step.operation, class = %error.class, effect = %error.effect, %error, "the step failed");
        let races = matches!(error.class, Class::Conflict | Class::NotFound);
        let tries = self.acts.get(key).copied().unwrap_or_default();
        if races && tries < MOST_CONFLICTS && self.looked.contains(key) {
            // It was looked at anew already: plan again.
            return;
        }
        self.back_off(key, print, error);
        self.failure_event(key, step, error);
    }

    /// The object is left alone for a while, because AWS refused or lost the write.
    fn back_off(&mut self, key: &ResourceKey, print: &str, error: &ActError) {
        let (attempts, effect_waits) = self.tries(key);
        let mut delay = requeue::backoff(error.class, attempts + 1, self.shared.jitter());
        if error.effect == Effect::Unknown {
            // It was not to be seen right after the answer was lost, and may be yet.
            delay = delay.max(self.shared.config.effect_poll);
        }
        self.leave_alone(key, print, (attempts + 1, effect_waits), delay, Some(error.clone()));
    }

    /// The object is left alone for a while, because AWS may be late to show the effect.
    fn await_effect(&mut self, key: &ResourceKey, print: &str) {
        let (attempts, effect_waits) = self.tries(key);
        let delay = effect_delay(self.shared.config.effect_poll, effect_waits);
        self.leave_alone(key, print, (attempts, effect_waits + 1), delay, None);
    }

    /// How often in a row a write of this object failed, and showed no effect.
    fn tries(&self, key: &ResourceKey) -> (u32, u32) {
        self.memory.retries.get(key).map_or((0, 0), |retry| (retry.attempts, retry.effect_waits))
    }

    fn leave_alone(
        &mut self,
        key: &ResourceKey,
        print: &str,
        (attempts, effect_waits): (u32, u32),
        delay: Duration,
        error: Option<ActError>,
    ) {
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
        let not_before = self.now.checked_add(delay).unwrap_or(self.now);
        let (print, generation) = (print.to_owned(), self.row.generation);
        let retry = Retry { attempts, effect_waits, not_before, error, print, generation };
        self.memory.retries.insert(key.clone(), retry);
        self.stopped.insert(key.clone());
    }

    /// What the managed resource says about its last write.
    fn note_act(&mut self, key: &ResourceKey, step: &Step, result: &Result<Acted, ActError>, effective: Option<bool>) {
        let outcome = match (result, effective) {
            (_, Some(true)) => StepOutcome::Effective,
            (_, Some(false)) => StepOutcome::WithoutEffect,
            (Err(error), None) if error.effect == Effect::NotApplied => StepOutcome::NotApplied,
            (_, None) => StepOutcome::Unknown,
        };
        self.shared.metrics.reconcile.stepped(key.kind.as_str(), &step.operation, outcome);
        let (request_id, error) = match result {
            Ok(acted) => (acted.request_id.clone(), None),
            Err(error) => (error.request_id.clone(), Some(error.to_string())),
        };
        let verb: &'static str = match step.verb {
            Verb::Create => "Create",
            Verb::Update => "Update",
            Verb::Delete => "Delete",
        };
        let outcome: &'static str = outcome.into();
        let act = json!({
            "operation": step.operation,
            "verb": verb,
            "at": self.now,
            "outcome": outcome,
            "requestId": request_id,
            "error": error,
        });
        self.last_acts.insert(key.clone(), act);
    }
}

/// How long a write waits for its effect to show when it has waited so often in a row: three times as long each time.
fn effect_delay(poll: Duration, waited: u32) -> Duration {
    poll.saturating_mul(3_u32.saturating_pow(waited)).min(LONGEST_EFFECT_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_an_effect_grows_threefold_up_to_five_minutes() {
        let seconds = [0, 1, 2, 3, 4, 99].map(|waited| effect_delay(Duration::from_secs(5), waited).as_secs());
        assert_eq!(seconds, [5, 15, 45, 135, 300, 300]);
    }
}
