//! The loop of a pass: look, plan, act on the first thing that may be done, and begin again.

use std::collections::BTreeSet;

use engine::guard::Verdict;
use engine::{EnvironmentPlan, PlannedResource};
use model::plan::Verb;
use model::{ResourceKey, Step};

use super::{Halt, Pass, Retry, history};

/// More rounds than any environment needs: each creates, changes or looks at something. It bounds a planner that never
/// comes to rest.
const MOST_ROUNDS: usize = 2000;

/// What is to be done next.
enum Next {
    /// Nothing now.
    Nothing,
    /// Look at this object: a step is about to touch it.
    Look(ResourceKey),
    /// Carry out this step.
    Act(Box<PlannedResource>, Box<Step>),
}

impl Pass<'_> {
    /// Works until nothing is left to do now; answers the last plan.
    pub(super) async fn converge(&mut self) -> Result<EnvironmentPlan, Halt> {
        for _ in 0..MOST_ROUNDS {
            self.now = self.shared.clock.now();
            self.refresh_followers();
            let plan = self.plan();
            if self.shard.stop.is_cancelled() {
                // Between two steps: what was done is recorded, the rest is somebody's next pass.
                self.more = true;
                return Ok(plan);
            }
            if self.short_of_time {
                // What was done is recorded while the lease still lets us.
                return Ok(plan);
            }
            if !self.acts.is_empty() && self.shared.queue.user_waits_for(self.name) {
                // A user has said something new meanwhile: the next pass hears it before anything else is done.
                self.more = true;
                return Ok(plan);
            }
            let wanted = self.to_look_at(&plan);
            if !wanted.is_empty() {
                self.look_at(wanted).await;
                continue;
            }
            self.settle_unresolved(&plan).await?;
            self.settle_suspects(&plan).await?;
            if self.settle_leaving(&plan) {
                continue;
            }
            self.load_approvals(&plan).await?;
            match self.next(&plan).await? {
                Next::Nothing => return Ok(plan),
                Next::Look(key) => {
                    self.look_at(BTreeSet::from([key.clone()])).await;
                    if !self.looked.contains(&key) {
                        self.stopped.insert(key);
                    }
                }
                Next::Act(resource, step) => self.perform(&resource, &step).await?,
            }
        }
        tracing::error!(environment = %self.name, "the pass does not come to rest");
        self.more = true;
        Ok(self.plan())
    }

    /// The first step that may be carried out now. Notes why each other is held.
    async fn next(&mut self, plan: &EnvironmentPlan) -> Result<Next, Halt> {
        self.holds.clear();
        let mut next = Next::Nothing;
        for resource in &plan.resources {
            let Some(step) = resource.plan.steps.first() else { continue };
            if !self.may_leave(&resource.key) {
                continue;
            }
            if let Verdict::Hold(hold) = self.judge(resource, step) {
                self.holds.insert(resource.key.clone(), hold);
                continue;
            }
            // One thing at a time; the holds of the rest are still to be noted.
            if !matches!(next, Next::Nothing) || step.awaits.is_some() || !self.may_act_on(&resource.key, step) {
                continue;
            }
            if step.verb == Verb::Create && !self.rows.contains_key(&resource.key) {
                // It is recorded before it is made: whatever becomes of us and of the document, it is known as ours to
                // look after.
                self.more = true;
                continue;
            }
            if let Verdict::Hold(hold) = self.judge_with_history(resource, step).await? {
                self.holds.insert(resource.key.clone(), hold);
                continue;
            }
            next = if self.looked.contains(&resource.key) {
                Next::Act(Box::new(resource.clone()), Box::new(step.clone()))
            } else {
                Next::Look(resource.key.clone())
            };
        }
        Ok(next)
    }

    /// Whether an object is neither done with for this pass nor waiting out a back-off.
    fn may_act_on(&mut self, key: &ResourceKey, step: &Step) -> bool {
        if self.stopped.contains(key) {
            return false;
        }
        let held = |retry: &Retry| retry.holds(self.row.generation, &history::print(key, step), self.now);
        if self.memory.retries.get(key).is_some_and(held) {
            return false;
        }
        if self.acts.get(key).copied().unwrap_or_default() >= self.shared.config.rounds {
            self.more = true;
            return false;
        }
        true
    }
}
