//! Whether a service serves. Pure.

use engine::{Health, PlanContext};
use jiff::Timestamp;
use serde_json::Value;

use super::observed::{Observed, Rollout};

/// A service that lacks tasks for longer than this no longer counts as progressing. An image is pulled and a health
/// check passes in a few minutes.
const PATIENCE_MINUTES: i64 = 15;
/// So many tasks that failed to start are no accident. (ECS's own circuit breaker has the same least threshold: Amazon
/// ECS Developer Guide, "How the Amazon ECS deployment circuit breaker detects failures".)
const FAILED_TASKS: u32 = 3;

/// Whether a service serves.
pub(super) fn health(context: &PlanContext<'_>, observed: &Observed) -> Health {
    if observed.status != "ACTIVE" {
        return Health::Progressing {
            reason: "ServiceDraining",
            message: format!("the service is {}", observed.status),
        };
    }
    let primary = observed.primary();
    let rollout = primary.map_or(Rollout::Completed, |primary| primary.rollout);
    let lacking = observed.running_count < observed.desired_count;
    if rollout == Rollout::Completed && !lacking {
        return Health::Ready;
    }
    let because = |text: String| match &observed.trouble {
        Some(trouble) => format!("{text}: {trouble}"),
        None => text,
    };
    let tasks = format!("{} of {} tasks run", observed.running_count, observed.desired_count);
    if rollout == Rollout::Failed {
        let reason = primary.and_then(|primary| primary.reason.as_deref()).unwrap_or("ECS gave the deployment up");
        return Health::Stalled { reason: "RolloutFailed", message: because(format!("{reason}; {tasks}")) };
    }
    match primary {
        Some(primary) if primary.failed_tasks >= FAILED_TASKS => Health::Stalled {
            reason: "TasksFailToStart",
            message: because(format!("{} tasks of this deployment failed; {tasks}", primary.failed_tasks)),
        },
        Some(_) if is_old(context, observed) => Health::Stalled {
            reason: "RolloutStuck",
            message: because(format!("no progress for more than {PATIENCE_MINUTES} minutes; {tasks}")),
        },
        Some(_) | None => Health::Progressing {
            reason: if rollout == Rollout::InProgress { "RollingOut" } else { "TasksStarting" },
            message: because(tasks),
        },
    }
}

/// Where in the memory stands since when tasks lack of a deployment that was done.
pub(super) const LACKING_SINCE_MS: &str = "lackingSinceMs";

/// Since when tasks lack, as far as anyone looked, while no deployment is under way. ECS does not tell: a task that was
/// lost leaves its deployment as old as it was.
pub(super) fn lacking_since_ms(context: &PlanContext<'_>, observed: &Observed) -> Option<i64> {
    let done = observed.primary().is_none_or(|primary| primary.rollout == Rollout::Completed);
    let lacking = done && observed.running_count < observed.desired_count;
    lacking.then(|| {
        let known = context.memory.and_then(|memory| memory.get(LACKING_SINCE_MS)).and_then(Value::as_i64);
        known.unwrap_or_else(|| context.now.as_millisecond())
    })
}

fn is_old(context: &PlanContext<'_>, observed: &Observed) -> bool {
    let since = match lacking_since_ms(context, observed) {
        Some(since) => Timestamp::from_millisecond(since).ok(),
        // Not since it was made: a rollback to it gives it work again.
        None => observed.primary().and_then(|primary| primary.updated_at.or(primary.created_at)),
    };
    since.is_some_and(|since| context.now.duration_since(since).as_mins() >= PATIENCE_MINUTES)
}
