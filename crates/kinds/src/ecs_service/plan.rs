//! Planning a service. Pure.

use std::collections::BTreeSet;

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext, Reference, Resolved};
use model::plan::Verb;
use model::{Environment, FieldChange, Note, Observation, ResourceKey, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::desired::{Range, TargetGroup};
use super::observed::{Controller, DeploymentSettings, LoadBalancer, Network};
use super::{Desired, Observed, desired, health, rollout};
use crate::changes::created;

/// The kind.
pub struct EcsService;

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
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

/// Part of an update, with why and what it shows.
#[derive(Default)]
struct Part {
    update: Update,
    changes: Vec<FieldChange>,
    reasons: Vec<&'static str>,
    after: Option<ResourceKey>,
}

impl Part {
    fn note(&mut self, reason: &'static str, change: FieldChange) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
        self.changes.push(change);
    }

    fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn absorb(&mut self, other: Self) {
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

    fn step(self, risk: Risk) -> Step {
        let body = Action::UpdateService(self.update).body();
        let step = Step::new("UpdateService", Verb::Update, risk, self.reasons.join("; "), body).changing(self.changes);
        match self.after {
            Some(key) => step.after(key),
            None => step,
        }
    }
}

/// What governs the number of tasks.
enum Bounds {
    /// Nobody but the document.
    None,
    /// Autoscaling, between these.
    Range(Range),
    /// Autoscaling, whose scaling someone suspended.
    Suspended,
    /// Not known now.
    Unknown(Wait),
}

/// The bounds of autoscaling: the declared ones, else those of a live scalable target.
fn bounds(context: &PlanContext<'_>, desired: &Desired) -> Bounds {
    match context.output(&desired.scalable_target, "bounds") {
        Observation::Present(live) => {
            let number = |n: usize| live.get(n).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
            if live.get(2).and_then(Value::as_bool) == Some(true) {
                return Bounds::Suspended;
            }
            match desired.range.or_else(|| Some(Range { min: number(0)?, max: number(1)? })) {
                Some(range) => Bounds::Range(range),
                None => Bounds::None,
            }
        }
        Observation::Absent => desired.range.map_or(Bounds::None, Bounds::Range),
        Observation::Unknown { .. } => Bounds::Unknown(Wait::new(
            WaitKind::Unknown,
            "DependencyUnknown",
            format!("{} is not known now, so the count is left as it is", desired.scalable_target),
        )),
    }
}

/// The count to set, if any, into `part`; what is left alone into `plan`.
fn plan_count(
    context: &PlanContext<'_>,
    desired: &Desired,
    observed: &Observed,
    part: &mut Part,
    plan: &mut ResourcePlan,
) {
    let live = observed.desired_count;
    let in_declared_range = desired.range.is_none_or(|range| (range.min..=range.max).contains(&live));
    if in_declared_range && desired.desired_count.is_none_or(|count| count == live) {
        return;
    }
    let (to, reason) = match bounds(context, desired) {
        Bounds::None => match desired.desired_count {
            Some(count) if count != live => (count, "the count is not as declared"),
            Some(_) | None => return,
        },
        Bounds::Range(range) => {
            let clamped = live.clamp(range.min, range.max.max(range.min));
            if clamped == live {
                if let Some(count) = desired.desired_count.filter(|count| *count != live) {
                    plan.notes.push(
                        Note::new(
                            "AutoscalingOwnsCount",
                            format!(
                                "autoscaling owns the count: {live} tasks, within {} to {}, are left alone; \
                                 desiredCount {count} is used at creation only",
                                range.min, range.max
                            ),
                        )
                        .with(FieldChange::new("desiredCount", live, count)),
                    );
                }
                return;
            }
            (clamped, "the count is outside the range of autoscaling")
        }
        Bounds::Suspended => {
            plan.notes.push(Note::new(
                "AutoscalingSuspended",
                format!("someone suspended autoscaling: the count of {live} is left alone"),
            ));
            return;
        }
        Bounds::Unknown(wait) => {
            plan.waits.push(wait);
            return;
        }
    };
    part.update.desired_count = Some(to);
    part.note(reason, FieldChange::new("desiredCount", live, to));
}

/// Grace period and deployment settings: neither starts a deployment.
fn plan_settings(desired: &Desired, observed: &Observed, part: &mut Part) {
    const REASON: &str = "settings are not as declared";
    if let Some(seconds) = desired.grace_s.filter(|seconds| *seconds != observed.grace_s) {
        part.update.grace_s = Some(seconds);
        part.note(
            REASON,
            FieldChange::new("healthCheckGracePeriod", format!("{}s", observed.grace_s), format!("{seconds}s")),
        );
    }
    let (want, live) = (&desired.deployment, &observed.deployment);
    let before = part.changes.len();
    let mut percent = |field: &str, want: Option<u32>, live: Option<u32>| {
        if want.is_some() && want != live {
            part.note(REASON, FieldChange::new(field, live, want));
        }
    };
    percent("minimumHealthyPercent", want.minimum_healthy_percent, live.minimum_healthy_percent);
    percent("maximumPercent", want.maximum_percent, live.maximum_percent);
    if let Some(on) = want.circuit_breaker.filter(|on| *on != live.circuit_breaker.unwrap_or(false)) {
        part.note(REASON, FieldChange::new("circuitBreaker", live.circuit_breaker.unwrap_or(false), on));
    }
    if part.changes.len() > before {
        part.update.deployment = Some(*want);
    }
}

/// The network, live overlaid with declared, when it differs.
fn plan_network(desired: &Desired, observed: &Observed, part: &mut Part) {
    const REASON: &str = "the network is not as declared";
    let live = observed.network.as_ref();
    let mut sets = |field: &str, want: &Option<BTreeSet<String>>, live: Option<&BTreeSet<String>>| {
        let want = want.as_ref().filter(|want| Some(*want) != live)?;
        let list = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Value>();
        part.note(REASON, FieldChange::new(field, live.map_or(Value::Null, list), list(want)));
        Some(want.clone())
    };
    let subnets = sets("subnets", &desired.subnets, live.map(|live| &live.subnets));
    let groups = sets("securityGroups", &desired.security_groups, live.map(|live| &live.security_groups));
    let public = desired.assign_public_ip.filter(|on| live.is_none_or(|live| live.assign_public_ip != *on));
    if let Some(on) = public {
        part.note(REASON, FieldChange::new("assignPublicIp", live.map(|live| live.assign_public_ip), on));
    }
    if subnets.is_none() && groups.is_none() && public.is_none() {
        return;
    }
    let mut network = live.cloned().unwrap_or_default();
    network.subnets = subnets.unwrap_or(network.subnets);
    network.security_groups = groups.unwrap_or(network.security_groups);
    network.assign_public_ip = public.unwrap_or(network.assign_public_ip);
    part.update.network = Some(network);
}

/// The revision, when another one is wanted.
fn plan_revision(
    context: &PlanContext<'_>,
    desired: &Desired,
    observed: &Observed,
    part: &mut Part,
    plan: &mut ResourcePlan,
) {
    const REASON: &str = "another revision of the task definition is wanted";
    let live = observed.task_definition.as_str();
    match context.resolve(&desired.task_definition) {
        Resolved::Value(wanted) => {
            let wanted = wanted.as_str().unwrap_or_default();
            let failed = rollout::has_failed(context, observed, wanted);
            plan.remember = rollout::remember(context, observed, wanted, failed);
            if wanted == live {
                return;
            }
            if !is_made_from(context, desired, live) {
                // It was made from, or read at, what the service ran before: to roll it out would undo what came since.
                plan.waits.push(Wait::new(
                    WaitKind::Unknown,
                    "DependencyUnknown",
                    format!("{wanted} was not made from {live}, which the service runs now"),
                ));
                return;
            }
            if failed {
                plan.waits.push(Wait::new(
                    WaitKind::Stalled,
                    "RolloutFailed",
                    format!(
                        "the rollout of {wanted} failed and is not tried again with the same content; \
                         the service runs {live}"
                    ),
                ));
                return;
            }
            part.update.task_definition = Some(wanted.to_owned());
            part.note(REASON, FieldChange::new("taskDefinition", live, wanted));
        }
        Resolved::Pending { key, wait } => {
            if context.outputs.will_change(&key) {
                let to = "(known after the task definition is registered)";
                part.note(REASON, FieldChange::new("taskDefinition", live, to));
                part.after = Some(key);
            } else {
                plan.waits.push(wait);
            }
        }
    }
}

/// Whether the wanted revision was made from the live one. `live` is an ARN that ends in `/family:revision`.
fn is_made_from(context: &PlanContext<'_>, desired: &Desired, live: &str) -> bool {
    let Reference::Of { key, .. } = &desired.task_definition else { return true };
    match context.output(key, "base") {
        Observation::Present(Value::String(base)) => live.rsplit('/').next() == Some(&base),
        Observation::Present(_) | Observation::Absent | Observation::Unknown { .. } => false,
    }
}

/// What is known of the declared target group.
enum Target {
    /// To be registered in.
    Ready(LoadBalancer),
    /// To be made first.
    After(ResourceKey),
    /// Not to be used yet.
    Wait(Wait),
}

fn target(context: &PlanContext<'_>, desired: &Desired, group: &TargetGroup) -> Target {
    let arn = match context.output(&group.key, "arn") {
        Observation::Present(Value::String(arn)) => arn,
        Observation::Present(_) | Observation::Absent if context.outputs.will_change(&group.key) => {
            return Target::After(group.key.clone());
        }
        Observation::Present(_) | Observation::Absent => {
            let message = format!("{} is not there yet", group.key);
            return Target::Wait(Wait::new(WaitKind::Progressing, "DependencyNotReady", message));
        }
        Observation::Unknown { .. } => {
            let message = format!("{} is not known now", group.key);
            return Target::Wait(Wait::new(WaitKind::Unknown, "DependencyUnknown", message));
        }
    };
    if context.output(&group.key, "attached") != Observation::Present(Value::Bool(true)) {
        return Target::Wait(Wait::new(
            WaitKind::Progressing,
            "TargetGroupNotAttached",
            format!("{} is not attached to a load balancer yet, and ECS refuses it before", group.key),
        ));
    }
    Target::Ready(LoadBalancer { target_group_arn: arn, container: container(context, desired), port: group.port })
}

/// The container that takes the traffic: the one named like the service, else the only one of the revision.
fn container(context: &PlanContext<'_>, desired: &Desired) -> String {
    let Reference::Of { key, .. } = &desired.task_definition else { return desired.container.clone() };
    match context.output(key, "containers") {
        Observation::Present(Value::Array(names)) => match names.as_slice() {
            [Value::String(only)] => only.clone(),
            _ => desired.container.clone(),
        },
        Observation::Present(_) | Observation::Absent | Observation::Unknown { .. } => desired.container.clone(),
    }
}

/// The target group, when the service is not registered in it. Others are left alone.
fn plan_load_balancer(
    context: &PlanContext<'_>,
    desired: &Desired,
    observed: &Observed,
    part: &mut Part,
    plan: &mut ResourcePlan,
) {
    const REASON: &str = "the service does not register its tasks in the declared target group";
    let Some(group) = &desired.target_group else { return };
    let field = |live: Option<&LoadBalancer>, to: Value| {
        let from = live.map_or(Value::Null, |live| format!("{}:{}", live.container, live.port).into());
        FieldChange::new(format!("targetGroup[{:?}]", &*group.key.identity), from, to)
    };
    if let Observation::Present(Value::String(arn)) = context.output(&group.key, "arn") {
        let same = |live: &&LoadBalancer| live.target_group_arn == arn && live.port == group.port;
        if let Some(live) = observed.load_balancers.iter().find(same)
            && (live.container == desired.container || live.container == container(context, desired))
        {
            return;
        }
    }
    match target(context, desired, group) {
        Target::Ready(wanted) => {
            let live = observed.load_balancers.iter().find(|live| live.target_group_arn == wanted.target_group_arn);
            part.note(REASON, field(live, format!("{}:{}", wanted.container, wanted.port).into()));
            part.update.load_balancer = Some(wanted);
        }
        Target::After(key) => {
            part.note(REASON, field(None, "(known after the target group is there)".into()));
            part.after = Some(key);
        }
        Target::Wait(wait) => plan.waits.push(wait),
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

fn update_steps(desired: &Desired, observed: &Observed, count: Part, mut quiet: Part, deploy: Part) -> Vec<Step> {
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

impl Kind for EcsService {
    const NAME: &'static str = "EcsService";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Hot, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        let mut waits = Vec::new();
        let mut after = None;
        let Some(subnets) = desired.subnets.clone().filter(|subnets| !subnets.is_empty()) else {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Stalled,
                "SpecIncomplete",
                format!("{} needs subnets to be created", desired.name),
            ));
        };
        match context.output(&desired.cluster, "arn") {
            Observation::Present(_) => {}
            Observation::Absent if context.outputs.will_change(&desired.cluster) => {
                after = Some(desired.cluster.clone());
            }
            Observation::Absent => waits.push(Wait::new(
                WaitKind::Progressing,
                "DependencyNotReady",
                format!("{} is not there yet", desired.cluster),
            )),
            Observation::Unknown { .. } => waits.push(Wait::new(
                WaitKind::Unknown,
                "DependencyUnknown",
                format!("{} is not known now", desired.cluster),
            )),
        }
        let mut load_balancer = None;
        match desired.target_group.as_ref().map(|group| target(context, desired, group)) {
            None => {}
            Some(Target::Ready(ready)) => load_balancer = Some(ready),
            Some(Target::After(key)) => after = Some(key),
            Some(Target::Wait(wait)) => waits.push(wait),
        }
        let mut task_definition = String::new();
        match context.resolve_text(&desired.task_definition) {
            Ok(arn) => task_definition = arn,
            Err((key, _)) if context.outputs.will_change(&key) => after = Some(key),
            Err((_, wait)) => waits.push(wait),
        }
        if !waits.is_empty() && after.is_none() {
            return ResourcePlan { waits, ..ResourcePlan::default() };
        }
        let range = desired.range.unwrap_or(Range { min: 0, max: u32::MAX });
        let count = desired.desired_count.unwrap_or(desired.range.map_or(1, |range| range.min));
        let action = Action::CreateService(Create {
            task_definition,
            desired_count: count.clamp(range.min, range.max.max(range.min)),
            network: Network {
                subnets,
                security_groups: desired.security_groups.clone().unwrap_or_default(),
                assign_public_ip: desired.assign_public_ip.unwrap_or(false),
            },
            grace_s: desired.grace_s,
            deployment: desired.deployment,
            load_balancer,
            tags: desired.tags.clone(),
        });
        let body = if after.is_some() { Value::Null } else { action.body() };
        let mut step =
            Step::new("CreateService", Verb::Create, Risk::Safe, "does not exist", body).changing(created(desired));
        step.awaits = after;
        ResourcePlan { waits, ..ResourcePlan::step(step) }
    }

    fn plan_present(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        if observed.status != "ACTIVE" {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Progressing,
                "ServiceDraining",
                format!("the service is {}; it can be made again when it is gone", observed.status),
            ));
        }
        let mut plan = ResourcePlan::in_sync();
        let (mut count, mut quiet, mut deploy) = (Part::default(), Part::default(), Part::default());
        plan_count(context, desired, observed, &mut count, &mut plan);
        plan_settings(desired, observed, &mut quiet);
        plan_revision(context, desired, observed, &mut deploy, &mut plan);
        plan_network(desired, observed, &mut deploy);
        plan_load_balancer(context, desired, observed, &mut deploy, &mut plan);
        if observed.controller != Controller::Ecs {
            let foreign = std::mem::take(&mut deploy);
            plan.waits.retain(|wait| wait.reason != "RolloutFailed");
            if !foreign.is_empty() {
                plan.notes.push(Note {
                    changes: foreign.changes,
                    ..Note::new(
                        "DeploymentsNotOurs",
                        "another deployment controller owns this service's deployments: only reported",
                    )
                });
            }
        }
        if count.is_empty() && quiet.is_empty() && deploy.is_empty() {
            return plan;
        }
        plan.steps = update_steps(desired, observed, count, quiet, deploy);
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, observed: &Observed) -> ResourcePlan {
        if observed.status != "ACTIVE" {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Progressing,
                "ServiceDraining",
                format!("the service is {}", observed.status),
            ));
        }
        let body = Action::DeleteService.body();
        let reason = "no longer declared; its tasks are stopped";
        let change = FieldChange::new("desiredCount", observed.desired_count, Value::Null);
        ResourcePlan::step(
            Step::new("DeleteService", Verb::Delete, Risk::Destructive, reason, body).changing(vec![change]),
        )
    }

    fn health(context: &PlanContext<'_>, _desired: &Desired, observed: &Observed) -> Health {
        health::health(context.now, observed)
    }

    fn tags(observed: &Observed) -> Option<&Tags> {
        Some(&observed.tags)
    }

    fn tag_step_body(observed: &Observed, set: &Tags) -> Value {
        Action::TagResource { arn: observed.arn.clone(), tags: set.clone() }.body()
    }

    fn output(observed: &Observed, name: &str) -> Option<Output> {
        match name {
            "arn" => Some(Value::from(observed.arn.as_str())),
            "taskDefinition" => Some(Value::from(observed.task_definition.as_str())),
            "desiredCount" => Some(Value::from(observed.desired_count)),
            "runningCount" => Some(Value::from(observed.running_count)),
            _ => None,
        }
    }
}
