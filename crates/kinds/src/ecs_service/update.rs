//! What a step of a service tells its provider, and how the parts of an update are put together by risk. Pure.

use model::plan::Verb;
use model::{FieldChange, ResourceKey, Risk, Step, Tags};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::observed::{DeploymentSettings, LoadBalancer, Network};
use super::{Desired, Observed};

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    CreateService(Create),
    UpdateService(Update),
    TagResource { arn: String, tags: Tags },
    DeleteService,
}

/// A service to create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Create {
    /// ARN of the revision.
    pub task_definition: String,
    /// Number of tasks.
    pub desired_count: u32,
    /// Network of the tasks.
    pub network: Network,
    /// Grace period of health checks in seconds.
    pub grace_s: Option<u32>,
    /// How deployments go.
    pub deployment: DeploymentSettings,
    /// Target group.
    pub load_balancer: Option<LoadBalancer>,
    /// Tags.
    pub tags: Tags,
}

/// What to change of a service; `None` leaves it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Update {
    /// Number of tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_count: Option<u32>,
    /// ARN of the revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<String>,
    /// Network, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Grace period of health checks in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_s: Option<u32>,
    /// How deployments go: the declared settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentSettings>,
    /// A target group beside those that are there; one of the same ARN is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
}

impl Action {
    pub(super) fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

/// Part of an update, with why and what it shows.
#[derive(Default)]
pub(super) struct Part {
    pub(super) update: Update,
    pub(super) changes: Vec<FieldChange>,
    pub(super) reasons: Vec<&'static str>,
    pub(super) after: Option<ResourceKey>,
}

impl Part {
    pub(super) fn note(&mut self, reason: &'static str, change: FieldChange) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
        self.changes.push(change);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn absorb(&mut self, other: Self) {
        let Update { desired_count, task_definition, network, grace_s, deployment, load_balancer } = other.update;
        let ours = &mut self.update;
        ours.desired_count = desired_count.or(ours.desired_count);
        ours.task_definition = task_definition.or_else(|| ours.task_definition.take());
        ours.network = network.or_else(|| ours.network.take());
        ours.grace_s = grace_s.or(ours.grace_s);
        ours.deployment = deployment.or(ours.deployment);
        ours.load_balancer = load_balancer.or_else(|| ours.load_balancer.take());
        self.changes.extend(other.changes);
        self.reasons.extend(other.reasons);
    }

    pub(super) fn step(self, risk: Risk) -> Step {
        let body = Action::UpdateService(self.update).body();
        let step = Step::new("UpdateService", Verb::Update, risk, self.reasons.join("; "), body).changing(self.changes);
        match self.after {
            Some(key) => step.after(key),
            None => step,
        }
    }
}

/// What a deployment may do to users: whether half the tasks at least go on serving.
fn deployment_risk(desired: &Desired, observed: &Observed, count: u32) -> Risk {
    // ECS's own default is 100. (Amazon ECS API Reference, DeploymentConfiguration.)
    let live = observed.deployment.minimum_healthy_percent.unwrap_or(100);
    let percent = desired.deployment.minimum_healthy_percent.unwrap_or(live);
    // A service without tasks has nothing to interrupt.
    if count == 0 || percent >= 100 || (percent >= 50 && count >= 2) { Risk::Safe } else { Risk::Disruptive }
}

pub(super) fn update_steps(
    desired: &Desired,
    observed: &Observed,
    count: Part,
    mut quiet: Part,
    deploy: Part,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let to_zero = count.update.desired_count == Some(0);
    let tasks = count.update.desired_count.unwrap_or(observed.desired_count).min(observed.desired_count);
    let risk = deployment_risk(desired, observed, tasks);
    let mut zero = None;
    if to_zero {
        zero = Some(count);
    } else if !count.is_empty() {
        let mut first = count;
        first.absorb(quiet);
        quiet = first;
    }
    let mut late = None;
    if !deploy.is_empty() {
        if deploy.after.is_none() && risk == Risk::Safe {
            quiet.absorb(deploy);
        } else {
            late = Some(deploy);
        }
    }
    if !quiet.is_empty() {
        steps.push(quiet.step(Risk::Safe));
    }
    steps.extend(zero.map(|part| part.step(Risk::Disruptive)));
    steps.extend(late.map(|part| part.step(risk)));
    steps
}
