//! Whether a service serves. Pure.

use engine::Health;
use jiff::Timestamp;

use super::observed::{Deployment, Observed, Rollout};

/// A deployment that lacks tasks for longer than this no longer counts as progressing. An image is pulled and a health
/// check passes in a few minutes.
const PATIENCE_MINUTES: i64 = 15;
/// So many tasks that failed to start are no accident. (ECS's own circuit breaker has the same least threshold: Amazon
/// ECS Developer Guide, "How the Amazon ECS deployment circuit breaker detects failures".)
const FAILED_TASKS: u32 = 3;

/// Whether a service serves.
pub(super) fn health(now: Timestamp, observed: &Observed) -> Health {
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
        Some(primary) if is_old(now, primary) => Health::Stalled {
            reason: "RolloutStuck",
            message: because(format!("no progress for more than {PATIENCE_MINUTES} minutes; {tasks}")),
        },
        Some(_) | None => Health::Progressing {
            reason: if rollout == Rollout::InProgress { "RollingOut" } else { "TasksStarting" },
            message: because(tasks),
        },
    }
}

fn is_old(now: Timestamp, deployment: &Deployment) -> bool {
    // Not since it was made: a count that was raised later, or a rollback to it, gives it work again.
    let since = deployment.updated_at.or(deployment.created_at);
    since.is_some_and(|since| now.duration_since(since).as_mins() >= PATIENCE_MINUTES)
}
