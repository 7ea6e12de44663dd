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
    /// Whether to deploy also what is there already: tasks read their secrets when they start.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restart: bool,
}

impl Update {
    /// This one with another laid over it.
    pub(super) fn over(self, other: Self) -> Self {
        Self {
            desired_count: other.desired_count.or(self.desired_count),
            task_definition: other.task_definition.or(self.task_definition),
            network: other.network.or(self.network),
            grace_s: other.grace_s.or(self.grace_s),
            deployment: other.deployment.or(self.deployment),
            load_balancer: other.load_balancer.or(self.load_balancer),
            restart: self.restart || other.restart,
        }
    }
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
        self.update = std::mem::take(&mut self.update).over(other.update);
        self.changes.extend(other.changes);
        self.reasons
            .extend(other.reasons.into_iter().filter(|reason| !self.reasons.contains(reason)).collect::<Vec<_>>());
        self.after = self.after.take().or(other.after);
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
pub(super) fn deployment_risk(desired: &Desired, observed: &Observed, count: Option<u32>) -> Risk {
    let tasks = count.unwrap_or(observed.desired_count).min(observed.desired_count);
    // ECS's own default is 100. (Amazon ECS API Reference, DeploymentConfiguration.)
    let live = observed.deployment.minimum_healthy_percent.unwrap_or(100);
    let percent = desired.deployment.minimum_healthy_percent.unwrap_or(live);
    // A service without tasks has nothing to interrupt.
    if tasks == 0 || percent >= 100 || (percent >= 50 && tasks >= 2) { Risk::Safe } else { Risk::Disruptive }
}

/// What another network may do to users, besides being deployed: what reached something may not any more, and what
/// nobody reached may be open to all.
pub(super) fn network_risk(observed: &Observed, part: &Part) -> Risk {
    let Some(wanted) = &part.update.network else { return Risk::Safe };
    let none = Network::default();
    let live = observed.network.as_ref().unwrap_or(&none);
    let narrower = !live.subnets.is_subset(&wanted.subnets)
        || !live.security_groups.is_subset(&wanted.security_groups)
        || live.assign_public_ip && !wanted.assign_public_ip;
    if wanted.assign_public_ip && !live.assign_public_ip {
        Risk::Destructive
    } else if narrower {
        Risk::Disruptive
    } else {
        Risk::Safe
    }
}

/// The steps that carry the parts out: what is safe together, the rest by itself, each deployment with its risk.
pub(super) fn update_steps(count: Part, mut quiet: Part, deployments: Vec<(Part, Risk)>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut zero = None;
    if count.update.desired_count == Some(0) {
        zero = Some(count);
    } else if !count.is_empty() {
        let mut first = count;
        first.absorb(quiet);
        quiet = first;
    }
    let mut late = Vec::new();
    for (part, risk) in deployments.into_iter().filter(|(part, _)| !part.is_empty()) {
        if part.after.is_none() && risk == Risk::Safe && late.is_empty() {
            quiet.absorb(part);
        } else {
            late.push((part, risk));
        }
    }
    if !quiet.is_empty() {
        steps.push(quiet.step(Risk::Safe));
    }
    steps.extend(zero.map(|part| part.step(Risk::Disruptive)));
    steps.extend(late.into_iter().map(|(part, risk)| part.step(risk)));
    steps
}
