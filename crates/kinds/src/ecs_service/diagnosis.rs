//! Why a service does not serve, from what ECS tells of its tasks. Pure.
//!
//! The causes and their words: Amazon ECS Developer Guide, "Amazon ECS stopped tasks error messages" and "Amazon ECS
//! service event messages".

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::{Finding, Severity};

use super::Observed;

/// A task that stopped for a cause, or that runs and is not well.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unwell {
    /// Last part of its ARN.
    pub(super) id: String,
    /// `stopCode` of one that stopped.
    pub(super) code: Option<String>,
    /// Why, in ECS's words.
    pub(super) said: String,
    /// Exit codes of its containers.
    pub(super) exits: Vec<i32>,
    /// When it stopped, or began.
    pub(super) at: Option<Timestamp>,
}

/// A service event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    /// Its message.
    pub(super) said: String,
    /// When.
    pub(super) at: Option<Timestamp>,
}

/// Events older than this are of another trouble.
const RECENT: SignedDuration = SignedDuration::from_hours(1);
/// Shown of each sort.
const EXAMPLES: usize = 3;
/// A container that was killed with SIGKILL: out of memory, or it did not stop in time.
const KILLED: i32 = 137;

/// A cause: its reason, what its words hold, and what helps.
const CAUSES: &[(&str, &[&str], &str)] = &[
    (
        "ImageNotPulled",
        &["CannotPullContainer", "CannotPullImage", "ImagePull", "pull image", "manifest"],
        "see that the image's tag is in its repository, that the execution role may pull it, and that the subnets reach it \
         (a public IP, a NAT gateway, or VPC endpoints of ECR and S3)",
    ),
    (
        "SecretNotRead",
        &["ResourceInitializationError", "retrieve secret", "secretsmanager"],
        "see that each secret of the task definition has a value, that the execution role may read it (and use its key), and \
         that the subnets reach Secrets Manager",
    ),
    (
        "LogsNotSent",
        &["CloudWatch log", "awslogs", "CreateLogStream"],
        "see that the log group is there and that the execution role may write to it",
    ),
    ("OutOfMemory", &["OutOfMemory", "out of memory"], "give the task more memory, or find out what takes it"),
    (
        "HealthCheckFailed",
        &["health check"],
        "the application answered its health check wrongly or too late: see the path and the codes that count, the grace \
         period of the service, and that the security group lets the load balancer reach the port",
    ),
    (
        "NoCapacity",
        &["Capacity is unavailable", "RESOURCE:", "insufficient"],
        "Fargate has no room there now: try more subnets in other zones, or wait",
    ),
    (
        "NetworkNotMade",
        &["network interface", "ENI", "RunTask ec2", "subnet"],
        "see that the subnets have free addresses and that the security groups are of their VPC",
    ),
];

/// What the tasks and the events of a service show.
pub(super) fn findings(
    observed: &Observed,
    stopped: &[Unwell],
    running: &[Unwell],
    events: &[Told],
    now: Timestamp,
) -> Vec<Finding> {
    let lacking = observed.running_count < observed.desired_count;
    let mut found = Vec::new();
    let mut sorts: BTreeMap<(&str, &str), Vec<&Unwell>> = BTreeMap::new();
    for task in stopped.iter().filter(|task| is_failure(task)) {
        sorts.entry(cause(task)).or_default().push(task);
    }
    for ((reason, remedy), mut tasks) in sorts {
        tasks.sort_by_key(|task| std::cmp::Reverse(task.at));
        let severity = if lacking { Severity::Error } else { Severity::Warning };
        let message = format!(
            "{} stopped within the last hour; {} of {} tasks run",
            counted(tasks.len()),
            observed.running_count,
            observed.desired_count
        );
        let finding = Finding::new(severity, reason.to_owned(), message).remedy(remedy);
        found.push(tasks.iter().take(EXAMPLES).fold(finding, |finding, task| {
            finding.shown_by("ecs:DescribeTasks", format!("task {}: {}", task.id, task.said), task.at)
        }));
    }
    if !running.is_empty() {
        let message = format!("{} not healthy; ECS replaces them", counted_are(running.len()));
        let finding = Finding::new(Severity::Warning, "TasksUnhealthy", message);
        found.push(running.iter().take(EXAMPLES).fold(finding, |finding, task| {
            finding.shown_by("ecs:DescribeTasks", format!("task {}: {}", task.id, task.said), task.at)
        }));
    }
    let recent = |event: &&Told| event.at.is_none_or(|at| now.duration_since(at) <= RECENT);
    let troubled: Vec<&Told> = events.iter().filter(recent).filter(|event| is_trouble(&event.said)).collect();
    if !troubled.is_empty() {
        let severity = if lacking { Severity::Error } else { Severity::Warning };
        let finding = Finding::new(severity, "ServiceEvents", "ECS tells of trouble with the service");
        found.push(
            troubled
                .into_iter()
                .take(EXAMPLES)
                .fold(finding, |finding, event| finding.shown_by("ecs:DescribeServices", event.said.clone(), event.at)),
        );
    }
    found
}

/// Not one that a deployment, a scaling or a person ended.
fn is_failure(task: &Unwell) -> bool {
    match task.code.as_deref() {
        Some("TaskFailedToStart" | "EssentialContainerExited") => true,
        Some("ServiceSchedulerInitiated") => task.said.contains("health check"),
        _ => false,
    }
}

fn cause(task: &Unwell) -> (&'static str, &'static str) {
    let known = CAUSES.iter().find(|(_, words, _)| words.iter().any(|word| task.said.contains(word)));
    match known {
        Some((reason, _, remedy)) => (reason, remedy),
        None if task.exits.contains(&KILLED) => {
            ("Killed", "the container was killed: most often it needed more memory than the task has")
        }
        None if task.code.as_deref() == Some("EssentialContainerExited") => {
            ("ContainerExited", "read the container's last lines in its log group: the application ended by itself")
        }
        None => ("TaskFailedToStart", "see what ECS says of the task"),
    }
}

/// Amazon ECS Developer Guide, service event messages: those that are no news of ordinary work.
fn is_trouble(said: &str) -> bool {
    ["unable to", "unhealthy", "failed", "impaired", "was rolled back", "rolling back"]
        .iter()
        .any(|word| said.contains(word))
}

fn counted(tasks: usize) -> String {
    if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") }
}

fn counted_are(tasks: usize) -> String {
    if tasks == 1 { "1 task that runs is".to_owned() } else { format!("{tasks} tasks that run are") }
}
