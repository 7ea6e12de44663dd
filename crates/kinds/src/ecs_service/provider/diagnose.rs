//! Why tasks stopped, which run unwell, and what ECS tells of a service.

use aws_sdk_ecs::types::{DesiredStatus, HealthStatus, Service, Task};
use aws_smithy_types::DateTime;
use awskit::RegionClients;
use jiff::Timestamp;
use model::ObserveError;

use crate::ecs_service::diagnosis::{Told, Unwell};
use crate::ecs_service::errors::classify;

/// Stopped tasks that are looked at for the reason of a failure.
const STOPPED_TASKS: usize = 10;
/// Tasks that one DescribeTasks call takes. (Amazon ECS API Reference.)
const PER_CALL: usize = 100;

/// Why the newest of the stopped tasks stopped.
pub(super) async fn stopped_reason(
    clients: &RegionClients,
    cluster: &str,
    name: &str,
) -> Result<Option<String>, ObserveError> {
    let described = described(clients, (cluster, name), DesiredStatus::Stopped, STOPPED_TASKS).await?;
    let newest = described.iter().max_by_key(|task| task.stopped_at().map(DateTime::secs));
    Ok(newest.and_then(task_reason))
}

async fn described(
    clients: &RegionClients,
    (cluster, name): (&str, &str),
    status: DesiredStatus,
    most: usize,
) -> Result<Vec<Task>, ObserveError> {
    let listed = clients
        .read("ecs:ListTasks", classify, || {
            clients.ecs.list_tasks().cluster(cluster).service_name(name).desired_status(status.clone()).send()
        })
        .await?;
    let tasks: Vec<String> = listed.task_arns().iter().take(most).cloned().collect();
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let described = clients
        .read("ecs:DescribeTasks", classify, || {
            clients.ecs.describe_tasks().cluster(cluster).set_tasks(Some(tasks.clone())).send()
        })
        .await?;
    Ok(described.tasks.unwrap_or_default())
}

/// Tasks that stopped, or that run, as far as something is wrong with them. ECS forgets a stopped task after an hour.
pub(super) async fn tasks(
    clients: &RegionClients,
    cluster: &str,
    name: &str,
    status: DesiredStatus,
) -> Result<Vec<Unwell>, ObserveError> {
    let tasks = described(clients, (cluster, name), status, PER_CALL).await?;
    Ok(tasks.iter().filter_map(unwell).collect())
}

fn unwell(task: &Task) -> Option<Unwell> {
    let code = task.stop_code().map(|code| code.as_str().to_owned());
    let health = task.health_status().map(HealthStatus::as_str);
    let said = match code {
        Some(_) => task_reason(task)?,
        None if health == Some("UNHEALTHY") => "its container health check fails".to_owned(),
        None => return None,
    };
    let id = task.task_arn().and_then(|arn| arn.rsplit('/').next()).unwrap_or("?").to_owned();
    let exits = task.containers().iter().filter_map(aws_sdk_ecs::types::Container::exit_code).collect();
    Some(Unwell { id, code, said, exits, at: time(task.stopped_at().or(task.started_at())) })
}

/// What ECS tells of a service, the newest first.
pub(super) fn events(service: &Service) -> Vec<Told> {
    let told = service.events().iter();
    told.filter_map(|event| Some(Told { said: event.message()?.to_owned(), at: time(event.created_at()) })).collect()
}

fn time(at: Option<&DateTime>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::from_second(at.secs()).ok())
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
