//! One (account, region)'s clusters, task definitions, services and tasks, with the indexes that calls need.
use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::images::{Fate, ImageRule};
use crate::{Agenda, Doc};

/// ECS keeps stopped tasks for an hour (Developer Guide, "View Amazon ECS stopped task errors"); deleted services and
/// clusters "may be purged in the future" (API Reference, DeleteService), which here is after the same hour.
pub(super) const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// A service shows its last 100 events (API Reference, Service).
pub(super) const EVENTS: usize = 100;

/// How many service deployments are remembered.
const DEPLOYMENTS: usize = 20;

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// By name.
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// By [`definition_key`].
    pub(crate) definitions: BTreeMap<String, TaskDefinition>,
    /// The last revision of each family, also when deregistered: numbers are never used twice.
    pub(super) families: BTreeMap<String, i64>,
    /// What the control plane said about images.
    pub(super) rules: Vec<ImageRule>,
    /// When a service has something to do: by cluster and service.
    pub(super) agenda: Agenda<(String, String)>,
}

/// A cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    /// Set once deleted: INACTIVE.
    pub(super) deleted: Option<Timestamp>,
    /// `containerInsights`.
    pub(super) insights: String,
    pub(super) configuration: Doc,
    pub(super) connect: Doc,
    pub(super) providers: Vec<String>,
    pub(super) strategy: Vec<Doc>,
    /// By name; with those that are DRAINING or INACTIVE.
    pub(crate) services: BTreeMap<String, Service>,
    /// The service of each task id.
    pub(super) tasks: BTreeMap<String, String>,
    pub(super) running: i64,
    pub(super) pending: i64,
    pub(super) active: i64,
}

/// A revision of a family.
#[derive(Clone, Debug)]
pub(crate) struct TaskDefinition {
    pub(super) arn: String,
    /// As DescribeTaskDefinition shows it, but for its status.
    pub(super) doc: Doc,
    /// Set once deregistered: INACTIVE.
    pub(super) deregistered: Option<Timestamp>,
}

/// The key of a revision: families in order, their revisions in order.
pub(super) fn definition_key(family: &str, revision: i64) -> String {
    format!("{family}:{revision:010}")
}

impl TaskDefinition {
    /// Its container definitions.
    pub(super) fn containers(&self) -> &[Doc] {
        self.doc.list("containerDefinitions")
    }
}

impl Cluster {
    /// Gone from the records?
    pub(super) fn purged(&self, now: Timestamp) -> bool {
        self.deleted.is_some_and(|at| now.duration_since(at) > REMEMBERED)
    }
}

/// A service's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::AsRefStr)]
#[strum(serialize_all = "UPPERCASE")]
pub(crate) enum Status {
    /// Running.
    Active,
    /// Deleted, its tasks stop.
    Draining,
    /// Deleted.
    Inactive,
}

/// A service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) cluster: String,
    pub(crate) name: String,
    pub(super) arn: String,
    pub(crate) status: Status,
    /// When it became DRAINING, then INACTIVE.
    pub(super) ended: Option<Timestamp>,
    /// What a deployment runs with: networkConfiguration, loadBalancers, platformVersion, launchType, …
    pub(super) run: Doc,
    /// What it shows besides: deploymentConfiguration, propagateTags, …
    pub(super) other: Doc,
    pub(crate) desired: i64,
    /// ARN; empty with an EXTERNAL controller.
    pub(super) definition: String,
    /// The PRIMARY one first.
    pub(super) deployments: Vec<Deployment>,
    /// Service deployments, newest first.
    pub(super) history: VecDeque<Record>,
    /// Newest first.
    pub(super) events: VecDeque<(String, Timestamp, String)>,
    pub(super) created: Timestamp,
    pub(crate) tasks: Vec<Task>,
    /// The clientToken of its creation with the request.
    pub(super) token: Option<(String, Doc)>,
    /// When the scheduler looks next.
    pub(super) look: Option<Timestamp>,
    /// No task starts before this: tasks fail again and again.
    pub(super) hold: Option<Timestamp>,
    pub(super) bad_rounds: u32,
    pub(super) steady: bool,
    /// Was the "unable to" event of this stretch said already?
    pub(super) complained: bool,
    /// Running tasks, pending tasks, and itself while ACTIVE, as its cluster has counted them.
    pub(super) counted: (i64, i64, i64),
}

/// A deployment's rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::AsRefStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

/// A deployment; the first of its service is the PRIMARY one.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    /// `ecs-svc/…`.
    pub(super) id: String,
    pub(super) definition: String,
    pub(super) run: Doc,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) rollout: Rollout,
    pub(super) reason: String,
    pub(super) failed: i64,
    /// A task of it ran: failures are no longer counted.
    pub(super) proven: bool,
    /// It was COMPLETED once: one to roll back to.
    pub(super) completed: bool,
    /// Id of the service revision.
    pub(super) revision: String,
}

/// A service deployment, for ListServiceDeployments.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) arn: String,
    pub(super) deployment: String,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) finished: Option<Timestamp>,
    pub(super) status: &'static str,
    pub(super) reason: Option<String>,
    pub(super) rollback: Option<(Timestamp, String)>,
    pub(super) source: Vec<String>,
    pub(super) target: String,
    pub(super) failed: i64,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::AsRefStr)]
#[strum(serialize_all = "UPPERCASE")]
pub(crate) enum Phase {
    /// Not started yet.
    Pending,
    /// Running.
    Running,
    /// On its way out.
    Stopping,
    /// Gone; remembered for an hour.
    Stopped,
}

/// A task of a service.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(super) deployment: String,
    pub(super) definition: String,
    pub(crate) phase: Phase,
    pub(super) fate: Fate,
    /// When its phase, or its health, changes next.
    pub(super) due: Option<Timestamp>,
    /// Counts as healthy for a rollout.
    pub(crate) healthy: bool,
    pub(super) created: Timestamp,
    pub(super) started: Option<Timestamp>,
    pub(super) stopping: Option<Timestamp>,
    pub(super) stopped: Option<Timestamp>,
    pub(super) stop_code: Option<&'static str>,
    pub(super) stopped_reason: Option<String>,
    pub(super) exit_code: Option<i64>,
    pub(super) ip: String,
    pub(super) subnet: String,
    pub(super) launch_type: String,
    pub(super) tags: crate::TagMap,
}

impl Task {
    /// Meant to run?
    pub(super) fn live(&self) -> bool {
        self.phase <= Phase::Running
    }

    /// No longer remembered?
    pub(super) fn purged(&self, now: Timestamp) -> bool {
        self.stopped.is_some_and(|at| now.duration_since(at) > REMEMBERED)
    }
}

impl Service {
    /// Gone from the records?
    pub(super) fn purged(&self, now: Timestamp) -> bool {
        self.status == Status::Inactive && self.ended.is_some_and(|at| now.duration_since(at) > REMEMBERED)
    }

    /// When something happens to it next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.tasks.iter().filter_map(|t| t.due).chain(self.look).min()
    }

    /// The scheduler looks at `at`, or earlier.
    pub(super) fn look_by(&mut self, at: Timestamp) {
        self.look = Some(self.look.map_or(at, |old| old.min(at)));
    }

    /// Running and pending tasks, of one deployment or of all.
    pub(crate) fn counts(&self, deployment: Option<&str>) -> (i64, i64) {
        let mut counts = (0, 0);
        for task in self.tasks.iter().filter(|t| deployment.is_none_or(|d| t.deployment == d)) {
            match task.phase {
                Phase::Pending => counts.1 += 1,
                Phase::Running => counts.0 += 1,
                Phase::Stopping | Phase::Stopped => {}
            }
        }
        counts
    }

    /// Adds an event with the usual prefix.
    pub(super) fn event(&mut self, id: String, now: Timestamp, message: &str) {
        self.events.push_front((id, now, format!("(service {}) {message}", self.name)));
        self.events.truncate(EVENTS);
    }

    /// Remembers a service deployment.
    pub(super) fn remember(&mut self, record: Record) {
        self.history.push_front(record);
        self.history.truncate(DEPLOYMENTS);
    }

    /// The number in `deploymentConfiguration`.
    pub(super) fn percent(&self, name: &str) -> i64 {
        self.other.at("deploymentConfiguration").int(name).unwrap_or(100)
    }

    /// `deploymentController`'s type.
    pub(super) fn controller(&self) -> &str {
        self.other.at("deploymentController").need("type")
    }
}
