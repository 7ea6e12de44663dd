//! Planning within a pass: the engine's planner over what the pass knows, the guard, and how both look in JSON.

use std::collections::BTreeSet;

use engine::guard::{self, Approved, Guard, Hold, StepFacts, Verdict};
use engine::plan::{EnvironmentContext, Planner};
use engine::{EnvironmentPlan, PlannedResource, Snapshot};
use model::env::OnDelete;
use model::{Observation, ResourceKey, Step};
use serde_json::{Value, json};
use store::Approval;

use super::history::{self, Budget};
use super::leave::{fate, ownership_tags};
use super::{Document, Halt, Pass};
use crate::shared::Shared;

impl Pass<'_> {
    /// Plans everything anew: what is declared, and then what is on its way out.
    pub(super) fn plan(&self) -> EnvironmentPlan {
        let document = &*self.document;
        let adopted_now: BTreeSet<ResourceKey> = self
            .memory
            .adopted
            .iter()
            .filter(|(_, generation)| **generation == self.row.generation)
            .map(|(key, _)| key.clone())
            .collect();
        let context = EnvironmentContext {
            now: self.now,
            environment: &self.row.name,
            policy: &document.environment.spec.policy,
            memory: &self.notes,
            adopted_now: &adopted_now,
        };
        let leaving = self.leaving.keys().filter(|key| !self.gone.contains(*key));
        whole(self.shared, document, &self.snapshot, self.deleting(), leaving, &context)
    }

    pub(super) fn guard(&self) -> Guard<'_> {
        Guard {
            now: self.now,
            policy: &self.document.environment.spec.policy,
            windows: &self.document.windows,
            operator_mode: self.operator_mode,
            paused: self.pause(),
            cap: self.cap.clone(),
            generation: self.row.generation,
            approved: &self.approved,
        }
    }

    /// Whether a step may be carried out now, by everything but the object's history.
    pub(super) fn judge(&self, resource: &PlannedResource, step: &Step) -> Verdict {
        let facts = StepFacts { adopted_now: resource.adopted_now, ..StepFacts::default() };
        self.guard().judge(&resource.key, step, &facts)
    }

    /// Whether a step may be carried out now, by the object's history too.
    pub(super) async fn judge_with_history(
        &mut self,
        resource: &PlannedResource,
        step: &Step,
    ) -> Result<Verdict, Halt> {
        let config = &self.shared.config;
        let budget = Budget { writes: config.write_budget, window: config.write_window };
        if !self.histories.contains_key(&resource.key) {
            let key = crate::keys::to_store(&resource.key);
            let rows = self.shared.store.last_mutations(self.row.uid, &key, budget.rows()).await?;
            self.histories.insert(resource.key.clone(), rows);
        }
        let rows = self.histories.get(&resource.key).map(Vec::as_slice).unwrap_or_default();
        let print = history::print(&resource.key, step);
        let mut facts = history::facts(rows, (&print, step), self.row.generation, budget, self.now);
        facts.adopted_now = resource.adopted_now;
        if !self.requests.is_empty() && !self.acts.contains_key(&resource.key) {
            // Somebody asked for another try.
            facts.non_converging = None;
        }
        Ok(self.guard().judge(&resource.key, step, &facts))
    }

    /// Reads the approvals once some step needs one.
    pub(super) async fn load_approvals(&mut self, plan: &EnvironmentPlan) -> Result<(), Halt> {
        if self.approvals.is_some() || guard::gated_fingerprints(&self.guard(), plan).is_empty() {
            return Ok(());
        }
        let approvals = self.shared.store.valid_approvals(self.row.uid, self.now).await?;
        self.approved = approved(&approvals);
        self.approvals = Some(approvals);
        Ok(())
    }

    /// An approval is used up when a step of it was carried out and none is left: the same step, planned again some
    /// day, needs another.
    pub(super) async fn consume_approvals(&mut self, plan: &EnvironmentPlan) -> Result<(), Halt> {
        let left: BTreeSet<String> = guard::gated_fingerprints(&self.guard(), plan).into_iter().collect();
        for approval in self.approvals.iter().flatten() {
            let done = approval.steps.iter().any(|step| self.acted_prints.contains(step));
            if done && !approval.steps.iter().any(|step| left.contains(step)) {
                self.shared.store.consume_approvals(self.row.uid, &approval.plan_hash, self.now).await?;
            }
        }
        Ok(())
    }
}

/// The plan of everything: what is declared, and then what is on its way out. A preview and a pass plan alike, so that
/// the hash that a preview shows is the one that the pass comes to.
pub(super) fn whole<'k>(
    shared: &Shared,
    document: &Document,
    snapshot: &Snapshot,
    deleting: bool,
    leaving: impl Iterator<Item = &'k ResourceKey>,
    context: &EnvironmentContext<'_>,
) -> EnvironmentPlan {
    let mut planner = Planner::new(&shared.registry, &document.graph, snapshot);
    let mut resources = Vec::new();
    if !deleting {
        resources.extend(document.graph.nodes().iter().filter_map(|node| planner.plan(node, context)));
    }
    let tags = ownership_tags(document, &shared.config.installation);
    for key in leaving.filter(|key| fate(document, deleting, key) == OnDelete::Delete) {
        let Observation::Present(object) = snapshot.get(key) else { continue };
        let plan = planner.plan_removal(key, object, &tags, context);
        resources.push(PlannedResource {
            key: key.clone(),
            path: String::new(),
            plan,
            health: None,
            backup: None,
            adopted_now: false,
        });
    }
    EnvironmentPlan { resources }
}

/// The steps that approvals let through, each with its time.
pub(super) fn approved(approvals: &[Approval]) -> Vec<Approved> {
    let of = |approval: &Approval| {
        let apply = approval.apply.as_deref().and_then(|apply| apply.parse().ok()).unwrap_or_default();
        approval.steps.iter().map(move |print| Approved { print: print.clone(), apply }).collect::<Vec<_>>()
    };
    approvals.iter().flat_map(of).collect()
}

/// A plan as people and the API see it.
pub(super) fn plan_json(guard: &Guard<'_>, plan: &EnvironmentPlan) -> Value {
    let resources: Vec<Value> = plan
        .resources
        .iter()
        .map(|resource| {
            let steps: Vec<Value> = resource
                .plan
                .steps
                .iter()
                .map(|step| {
                    let facts = StepFacts { adopted_now: resource.adopted_now, ..StepFacts::default() };
                    match guard.judge(&resource.key, step, &facts) {
                        Verdict::Allow => step_json(&resource.key, step, None),
                        Verdict::Hold(hold) => step_json(&resource.key, step, Some(&hold)),
                    }
                })
                .collect();
            json!({
                "kind": resource.key.kind,
                "identity": resource.key.identity,
                "region": resource.key.region,
                "path": resource.path,
                "inSync": resource.plan.steps.is_empty() && resource.plan.waits.is_empty(),
                "risk": resource.plan.risk(),
                "steps": steps,
                "waits": resource.plan.waits,
                "notes": resource.plan.notes,
            })
        })
        .collect();
    let steps = plan.resources.iter().map(|resource| resource.plan.steps.len()).sum::<usize>();
    let risk = plan.resources.iter().filter_map(|resource| resource.plan.risk()).max();
    let gated = gated_json(guard, plan);
    json!({
        "generation": guard.generation,
        "observedAt": guard.now,
        "summary": { "resources": resources.len(), "steps": steps, "risk": risk },
        "hash": gated.as_ref().map(|gated| gated["hash"].clone()),
        "gated": gated,
        "resources": resources,
    })
}

/// A step as people and the API see it. The body is the kind's own and stays out.
pub(super) fn step_json(key: &ResourceKey, step: &Step, hold: Option<&Hold>) -> Value {
    let mut shown = json!({
        "operation": step.operation,
        "verb": step.verb,
        "risk": step.risk,
        "reason": step.reason,
        "changes": step.changes,
        "print": history::print(key, step),
    });
    if let Some(awaits) = &step.awaits {
        shown["awaits"] = json!(awaits.to_string());
    }
    if step.adopts {
        shown["adopts"] = json!(true);
    }
    if let Some(hold) = hold {
        shown["hold"] = json!(hold);
    }
    shown
}

/// What waits for an approval: the plan's hash, the fingerprints that an approval of it stores, and the steps for
/// people. `None` when nothing is gated.
pub(super) fn gated_json(guard: &Guard<'_>, plan: &EnvironmentPlan) -> Option<Value> {
    let hash = guard::plan_hash(guard, plan)?;
    let gated: Vec<Value> = plan
        .resources
        .iter()
        .flat_map(|resource| {
            let steps = resource.plan.steps.iter().filter(|step| guard.is_gated(step, resource.adopted_now));
            steps.map(|step| {
                json!({
                    "resource": resource.key.to_string(),
                    "operation": step.operation,
                    "risk": step.risk,
                    "reason": step.reason,
                    "changes": step.changes,
                })
            })
        })
        .collect();
    Some(json!({ "hash": hash, "steps": guard::gated_fingerprints(guard, plan), "gated": gated }))
}
