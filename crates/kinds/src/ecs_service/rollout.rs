//! Rollouts that failed: seen in the service's deployments, and remembered when they are gone from there. Pure.

use engine::PlanContext;
use serde_json::{Value, json};

use super::observed::Observed;

/// Whether a rollout of this revision failed and no other revision was wanted since.
pub(super) fn has_failed(context: &PlanContext<'_>, observed: &Observed, arn: &str) -> bool {
    observed.failed().any(|deployment| deployment.task_definition == arn) || remembered(context).any(|old| old == arn)
}

/// What to remember when this revision is wanted. `None` when it is remembered already.
pub(super) fn remember(context: &PlanContext<'_>, failed: bool, arn: &str) -> Option<Value> {
    if failed {
        (!remembered(context).any(|old| old == arn)).then(|| json!({ "failed": [arn] }))
    } else {
        // Another revision is wanted now: what failed may be tried again when it is wanted again.
        context.memory.is_some_and(|memory| !memory.is_null()).then_some(Value::Null)
    }
}

fn remembered<'a>(context: &PlanContext<'a>) -> impl Iterator<Item = &'a str> {
    context.memory.and_then(|memory| memory.get("failed")).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
