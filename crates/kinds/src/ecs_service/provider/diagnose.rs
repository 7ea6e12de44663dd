//! Why tasks stopped.

use aws_sdk_ecs::types::{DesiredStatus, Task};
use aws_smithy_types::DateTime;
use awskit::RegionClients;
use model::ObserveError;

use crate::ecs_service::errors::classify;

/// Stopped tasks that are looked at for the reason of a failure.
const STOPPED_TASKS: usize = 10;

/// Why the newest of the stopped tasks stopped.
pub(super) async fn stopped_reason(
    clients: &RegionClients,
    cluster: &str,
    name: &str,
) -> Result<Option<String>, ObserveError> {
    let listed = clients
        .read("ecs:ListTasks", classify, || {
            clients.ecs.list_tasks().cluster(cluster).service_name(name).desired_status(DesiredStatus::Stopped).send()
        })
        .await?;
    let tasks: Vec<String> = listed.task_arns().iter().take(STOPPED_TASKS).cloned().collect();
    if tasks.is_empty() {
        return Ok(None);
    }
    let described = clients
        .read("ecs:DescribeTasks", classify, || {
            clients.ecs.describe_tasks().cluster(cluster).set_tasks(Some(tasks.clone())).send()
        })
        .await?;
    let newest = described.tasks().iter().max_by_key(|task| task.stopped_at().map(DateTime::secs));
    Ok(newest.and_then(task_reason))
}

fn task_reason(task: &Task) -> Option<String> {
    let container = task.containers().iter().find_map(|container| {
        let name = container.name().unwrap_or("?");
        match (container.reason(), container.exit_code()) {
            (Some(reason), _) => Some(format!("container {name}: {reason}")),
            (None, Some(code)) if code != 0 => Some(format!("container {name} exited with code {code}")),
            (None, _) => None,
        }
    });
    match (task.stopped_reason(), container) {
        (Some(reason), Some(container)) => Some(format!("{reason} ({container})")),
        (Some(reason), None) => Some(reason.to_owned()),
        (None, container) => container,
    }
}
