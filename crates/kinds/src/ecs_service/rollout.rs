//! Rollouts that failed: seen in the service's deployments, or told from what is remembered of them. Pure.
//!
//! What fails, and what ECS takes back, is the whole of a deployment: the revision, the network and the target groups.
//! So it is the whole that is remembered and compared, and the same whole is not sent again.
//!
//! A rollback brings the last completed deployment back as the primary one, with its old id and its old time; the one
//! that failed is shown only until its last task is gone, which may be before anyone looked. Whoever goes back to an old
//! revision by hand makes a new deployment. So a primary deployment that is older than the one that was seen to roll
//! something out tells that ECS took that back. (Amazon ECS Developer Guide, "How the Amazon ECS deployment circuit
//! breaker detects failures".)

use engine::PlanContext;
use serde_json::{Value, json};

use super::observed::{Deployment, LoadBalancer, Network, Observed, Rollout};
use super::update::Update;

/// The whole of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Content {
    arn: String,
    network: Option<Network>,
    load_balancers: Vec<LoadBalancer>,
}

impl Content {
    /// What the service is with an update carried out.
    pub(super) fn with(observed: &Observed, update: &Update) -> Self {
        let mut load_balancers = observed.load_balancers.clone();
        if let Some(wanted) = &update.load_balancer {
            load_balancers.retain(|live| live.target_group_arn != wanted.target_group_arn);
            load_balancers.push(wanted.clone());
        }
        load_balancers.sort_by(|a, b| (&a.target_group_arn, a.port).cmp(&(&b.target_group_arn, b.port)));
        Self {
            arn: update.task_definition.as_ref().unwrap_or(&observed.task_definition).clone(),
            network: update.network.as_ref().or(observed.network.as_ref()).cloned(),
            load_balancers,
        }
    }

    /// What the service is.
    pub(super) fn live(observed: &Observed) -> Self {
        Self::with(observed, &Update::default())
    }

    fn json(&self) -> Value {
        json!({ "arn": self.arn, "network": self.network, "loadBalancers": self.load_balancers })
    }

    /// Whether the memory is of this one. What it does not say of a deployment, it does not tell apart.
    fn is_remembered(&self, memory: &Value) -> bool {
        let ours = self.json();
        let same = |part: &&str| memory.get(*part).is_none_or(|of| ours.get(*part) == Some(of));
        memory.get("arn") == ours.get("arn") && ["network", "loadBalancers"].iter().all(same)
    }

    /// Whether a deployment is one of it, as far as ECS shows: not its target groups.
    fn looks_like(&self, deployment: &Deployment) -> bool {
        deployment.task_definition == self.arn && (deployment.network.is_none() || deployment.network == self.network)
    }
}

fn begun_ms(memory: &Value) -> Option<i64> {
    memory.get("begunMs").and_then(Value::as_i64)
}

fn created_ms(deployment: &Deployment) -> Option<i64> {
    deployment.created_at.map(jiff::Timestamp::as_millisecond)
}

fn memory<'a>(context: &PlanContext<'a>) -> &'a Value {
    context.memory.unwrap_or(&Value::Null)
}

/// The deployment of it that ECS shows as failed.
fn seen_failed<'a>(context: &PlanContext<'_>, observed: &'a Observed, wanted: &Content) -> Option<&'a Deployment> {
    let memory = memory(context);
    let live = Content::live(observed);
    observed.failed().find(|failed| {
        if begun_ms(memory).is_some() && begun_ms(memory) == created_ms(failed) {
            // It is known what this one was.
            return wanted.is_remembered(memory);
        }
        // One that looks like what is live may have been of other target groups, or an earlier try.
        wanted.looks_like(failed) && (failed.primary || !live.looks_like(failed))
    })
}

/// Whether its rollout failed, as far as is seen, or remembered while nothing else was wanted.
pub(super) fn has_failed(context: &PlanContext<'_>, observed: &Observed, wanted: &Content) -> bool {
    if seen_failed(context, observed, wanted).is_some() {
        return true;
    }
    let memory = memory(context);
    if !wanted.is_remembered(memory) || *wanted == Content::live(observed) {
        return false;
    }
    let primary = observed.primary().and_then(created_ms);
    let taken_back = begun_ms(memory).zip(primary).is_some_and(|(begun, primary)| primary < begun);
    taken_back || memory.get("failed") == Some(&Value::Bool(true))
}

/// What to remember of rollouts, given all that is wanted of the next ones, and which of that failed.
pub(super) fn remember(
    context: &PlanContext<'_>,
    observed: &Observed,
    wanted: &[Content],
    failed: Option<&Content>,
) -> Value {
    let memory = memory(context);
    if let Some(failed) = failed {
        if failed.is_remembered(memory) && memory.get("failed") == Some(&Value::Bool(true)) {
            return of_rollout(memory);
        }
        let mut all = failed.json();
        all["failed"] = json!(true);
        let begun = seen_failed(context, observed, failed).and_then(created_ms);
        if let Some(begun) = begun.or_else(|| begun_ms(memory).filter(|_| failed.is_remembered(memory))) {
            all["begunMs"] = json!(begun);
        }
        return all;
    }
    let live = Content::live(observed);
    let primary = observed.primary();
    // ECS takes back only what is still under way.
    if let Some(begun) = primary.filter(|primary| primary.rollout == Rollout::InProgress).and_then(created_ms)
        && wanted.iter().any(|wanted| wanted.arn == live.arn)
    {
        let mut all = live.json();
        all["begunMs"] = json!(begun);
        return all;
    }
    let works = live.is_remembered(memory) && primary.is_some_and(|primary| primary.rollout == Rollout::Completed);
    let is_wanted = wanted.iter().any(|wanted| wanted.is_remembered(memory));
    // While ECS shows the one that is remembered, it is known which it is.
    let shown = observed.failed().any(|failed| begun_ms(memory).is_some() && created_ms(failed) == begun_ms(memory));
    // Something else is wanted now: what failed may be tried again when it is wanted again.
    if works || !is_wanted && !shown { Value::Null } else { of_rollout(memory) }
}

/// What is remembered of rollouts now.
pub(super) fn of_rollout(memory: &Value) -> Value {
    match memory.as_object() {
        Some(all) if all.contains_key("arn") => {
            let ours = ["arn", "network", "loadBalancers", "begunMs", "failed"];
            all.iter().filter(|(key, _)| ours.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
        }
        Some(_) | None => Value::Null,
    }
}
