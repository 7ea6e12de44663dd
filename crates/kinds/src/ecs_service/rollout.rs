//! Rollouts that failed: seen in the service's deployments, or told from what is remembered of them. Pure.
//!
//! A rollback brings the last completed deployment back as the primary one, with its old id and its old time; the one
//! that failed is shown only until its last task is gone, which may be before anyone looked. Whoever goes back to an old
//! revision by hand makes a new deployment. So a primary deployment that is older than the one that was seen to roll a
//! revision out tells that ECS took that revision back. (Amazon ECS Developer Guide, "How the Amazon ECS deployment
//! circuit breaker detects failures".)

use engine::PlanContext;
use serde_json::{Value, json};

use super::observed::{Observed, Rollout};

/// Whether the rollout of this revision failed, as far as is seen or remembered while no other revision was wanted.
pub(super) fn has_failed(context: &PlanContext<'_>, observed: &Observed, wanted: &str) -> bool {
    if observed.failed().any(|deployment| deployment.task_definition == wanted) {
        return true;
    }
    let Some(memory) = context.memory.filter(|memory| names(memory, wanted)) else { return false };
    if observed.task_definition == wanted {
        return false;
    }
    let begun = memory.get("begunMs").and_then(Value::as_i64);
    let primary = observed.primary().and_then(|primary| primary.created_at);
    let taken_back = begun.zip(primary).is_some_and(|(begun, primary)| primary.as_millisecond() < begun);
    taken_back || memory.get("failed") == Some(&Value::Bool(true))
}

/// What to remember of the wanted revision. `None` when it is remembered already, or there is nothing to remember.
pub(super) fn remember(context: &PlanContext<'_>, observed: &Observed, wanted: &str, failed: bool) -> Option<Value> {
    let memory = context.memory.unwrap_or(&Value::Null);
    if failed {
        let known = names(memory, wanted) && memory.get("failed") == Some(&Value::Bool(true));
        return (!known).then(|| json!({ "arn": wanted, "failed": true }));
    }
    // ECS takes back only what is still under way.
    let under_way = observed.primary().filter(|primary| primary.rollout == Rollout::InProgress);
    if let Some(begun) = under_way.and_then(|primary| primary.created_at)
        && observed.task_definition == wanted
    {
        let begun = begun.as_millisecond();
        let known = names(memory, wanted) && memory.get("begunMs").and_then(Value::as_i64) == Some(begun);
        return (!known).then(|| json!({ "arn": wanted, "begunMs": begun }));
    }
    // Another revision is wanted now: what failed may be tried again when it is wanted again.
    (!memory.is_null() && !names(memory, wanted)).then_some(Value::Null)
}

fn names(memory: &Value, arn: &str) -> bool {
    memory.get("arn").and_then(Value::as_str) == Some(arn)
}
