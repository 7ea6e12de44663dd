//! Deployments of a service: what is deployed together, with what risk, and what is only reported. Pure.

use std::collections::{BTreeMap, BTreeSet};

use engine::{PlanContext, Reference, Resolved};
use model::{FieldChange, Note, Observation, ResourcePlan, Risk, TAG_ENVIRONMENT, TAG_MANAGED_BY, Wait, WaitKind};
use serde_json::{Map, Value, json};

use super::observed::Controller;
use super::secrets::{SECRETS, Seen};
use super::target::plan_load_balancer;
use super::update::{Part, Update, deployment_risk, network_risk};
use super::{Desired, Observed, health, rollout, secrets};

/// The grace period. ECS takes one for a service that registers in a target group only, so the first goes with that.
fn plan_grace(desired: &Desired, observed: &Observed, quiet: &mut Part, deploy: &mut Part, plan: &mut ResourcePlan) {
    const REASON: &str = "settings are not as declared";
    let Some(seconds) = desired.grace_s.filter(|seconds| *seconds != observed.grace_s) else { return };
    let change = FieldChange::new("healthCheckGracePeriod", format!("{}s", observed.grace_s), format!("{seconds}s"));
    let registers = deploy.update.load_balancer.is_some() || deploy.after.as_ref() == desired.group_key();
    let part = if !observed.load_balancers.is_empty() {
        quiet
    } else if desired.target_group.is_some() && registers {
        deploy
    } else {
        if desired.target_group.is_none() {
            let message = "ECS takes a health check grace period only for a service with a target group";
            plan.notes.push(Note::new("NoTargetGroup", message).with(change));
        }
        return;
    };
    part.update.grace_s = Some(seconds);
    part.note(REASON, change);
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

/// The revision, when another one is wanted. Whether it is known what is wanted, and that may be rolled out.
fn plan_revision(
    context: &PlanContext<'_>,
    desired: &Desired,
    observed: &Observed,
    part: &mut Part,
    plan: &mut ResourcePlan,
) -> bool {
    const REASON: &str = "another revision of the task definition is wanted";
    let live = observed.task_definition.as_str();
    match context.resolve(&desired.task_definition) {
        Resolved::Value(wanted) => {
            let wanted = wanted.as_str().unwrap_or_default();
            if wanted == live {
                return true;
            }
            if observed.controller == Controller::Ecs && !is_made_from(context, desired, live) {
                // It was made from, or read at, what the service ran before: to roll it out would undo what came since.
                plan.waits.push(Wait::new(
                    WaitKind::Unknown,
                    "DependencyUnknown",
                    format!("{wanted} was not made from {live}, which the service runs now"),
                ));
                return false;
            }
            part.update.task_definition = Some(wanted.to_owned());
            part.note(REASON, FieldChange::new("taskDefinition", live, wanted));
        }
        Resolved::Pending { key, .. } if context.outputs.will_change(&key) => {
            let to = "(known after the task definition is registered)";
            part.note(REASON, FieldChange::new("taskDefinition", live, to));
            part.after = Some(key);
        }
        Resolved::Pending { wait, .. } => {
            plan.waits.push(wait);
            return false;
        }
    }
    true
}

/// Deployments of ECS's own controller: a new revision, another network, the target group. What failed is not sent again.
pub(super) fn plan_deployments(
    context: &PlanContext<'_>,
    desired: &Desired,
    observed: &Observed,
    count: &Part,
    quiet: &mut Part,
    plan: &mut ResourcePlan,
) -> Vec<(Part, Risk)> {
    let (mut deploy, mut network) = (Part::default(), Part::default());
    let known = plan_revision(context, desired, observed, &mut deploy, plan)
        & plan_load_balancer(context, desired, observed, &mut deploy, plan);
    plan_network(desired, observed, &mut network);
    plan_grace(desired, observed, quiet, &mut deploy, plan);
    if !known {
        // A deployment is made of the whole: half of it may not run, or be what failed before.
        return Vec::new();
    }
    let risk = deployment_risk(desired, observed, count.update.desired_count);
    let riskier = risk.max(network_risk(observed, &network));
    // Of one risk they make one deployment. A riskier network holds no new revision up.
    let mut all = if riskier == risk || deploy.is_empty() {
        deploy.absorb(network);
        vec![(deploy, riskier)]
    } else {
        network.after.clone_from(&deploy.after);
        vec![(deploy, risk), (network, riskier)]
    };
    let (mut wanted, mut failed) = (Vec::new(), None);
    let mut before = Update::default();
    for (part, _) in &mut all {
        let update = before.clone().over(part.update.clone());
        let content = rollout::Content::with(observed, &update);
        if part.after.is_none() && rollout::has_failed(context, observed, &content) {
            if !part.is_empty() {
                plan.waits.push(rollout_failed(observed, part));
            }
            *part = Part::default();
            failed = Some(content.clone());
        } else {
            before = update;
        }
        wanted.push(content);
    }
    let seen = secrets::seen(context, desired, observed);
    // Whatever is deployed at this risk reads them too.
    if all.iter().all(|(part, of)| part.is_empty() || *of > risk) {
        all.insert(0, (secrets::plan_restart(&seen, observed, plan), risk));
    }
    let rollouts = rollout::remember(context, observed, &wanted, failed.as_ref());
    plan.remember = remember(context, observed, rollouts, &seen);
    all
}

fn rollout_failed(observed: &Observed, part: &Part) -> Wait {
    let live = &observed.task_definition;
    let message = match &part.update.task_definition {
        Some(wanted) => format!(
            "the rollout of {wanted} failed and is not tried again with the same content; the service runs {live}"
        ),
        None => format!(
            "the rollout of {live} with the declared network and target group failed and is not tried again with the \
             same content; the service runs as before"
        ),
    };
    Wait::new(WaitKind::Stalled, "RolloutFailed", message)
}

/// What to remember, when it is not remembered already: what rollouts became, which versions secrets have, and since when
/// tasks lack.
fn remember(
    context: &PlanContext<'_>,
    observed: &Observed,
    rollouts: Value,
    secrets: &BTreeMap<String, Seen>,
) -> Option<Value> {
    let memory = context.memory.unwrap_or(&Value::Null);
    let mut all = match rollouts {
        Value::Object(rollouts) => rollouts,
        _ => Map::new(),
    };
    if !secrets.is_empty() {
        all.insert(SECRETS.to_owned(), json!(secrets));
    }
    if let Some(since) = health::lacking_since_ms(context, observed) {
        all.insert(health::LACKING_SINCE_MS.to_owned(), json!(since));
    }
    let all = if all.is_empty() { Value::Null } else { Value::Object(all) };
    (all != *memory).then_some(all)
}

/// What to remember while it is not known what is to be deployed, or somebody else decides that.
pub(super) fn remember_meanwhile(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> Option<Value> {
    let rollouts = rollout::of_rollout(context.memory.unwrap_or(&Value::Null));
    remember(context, observed, rollouts, &secrets::seen(context, desired, observed))
}

/// What whoever owns the deployments changes, as a note.
pub(super) fn note_foreign(
    context: &PlanContext<'_>,
    desired: &Desired,
    observed: &Observed,
    mut foreign: Part,
    quiet: &mut Part,
    plan: &mut ResourcePlan,
) {
    let mut deploy = Part::default();
    let mut unheard = ResourcePlan::in_sync();
    // Under an external controller the service itself runs no revision.
    if !observed.task_definition.is_empty() {
        plan_revision(context, desired, observed, &mut deploy, &mut unheard);
    }
    plan_network(desired, observed, &mut deploy);
    plan_load_balancer(context, desired, observed, &mut deploy, &mut unheard);
    plan_grace(desired, observed, quiet, &mut deploy, plan);
    deploy.absorb(std::mem::take(&mut foreign));
    if !deploy.is_empty() {
        plan.notes.push(Note {
            changes: deploy.changes,
            ..Note::new(
                "DeploymentsNotOurs",
                "another deployment controller owns this service's deployments: only reported",
            )
        });
    }
}

/// Whether the wanted revision was made from the live one, by us. `live` is an ARN that ends in `/family:revision`.
fn is_made_from(context: &PlanContext<'_>, desired: &Desired, live: &str) -> bool {
    let Reference::Of { key, .. } = &desired.task_definition else { return true };
    if let Observation::Present(Value::Object(owner)) = context.output(key, "owner")
        && [TAG_ENVIRONMENT, TAG_MANAGED_BY]
            .iter()
            .any(|tag| owner.get(*tag).and_then(Value::as_str) != desired.tags.get(*tag).map(String::as_str))
    {
        return false;
    }
    match context.output(key, "base") {
        Observation::Present(Value::String(base)) => live.rsplit('/').next() == Some(&base),
        Observation::Present(_) | Observation::Absent | Observation::Unknown { .. } => false,
    }
}
