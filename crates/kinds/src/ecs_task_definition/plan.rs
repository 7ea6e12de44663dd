//! Planning a task definition. Pure.

use std::collections::{BTreeMap, BTreeSet};

use engine::kind::Owner;
use engine::plan::owner_by_tags;
use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext, Resolved};
use model::env::Adoption;
use model::plan::{Private, Verb};
use model::{Environment, FieldChange, Note, Observation, ResourceKey, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::overlay::{Dropped, Edit, apply, changes, edits};
use super::registration::Registration;
use super::{Desired, Observed, desired};
use crate::changes::created;

/// The kind.
pub struct EcsTaskDefinition;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    RegisterTaskDefinition(Box<Registration>),
    DeregisterTaskDefinition { arn: String },
}

impl Action {
    pub(super) fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

/// Declared secrets with their ARNs, and those whose ARN is not known now.
struct Secrets<'a> {
    resolved: Option<BTreeMap<String, String>>,
    pending: Vec<(&'a str, ResourceKey, Wait)>,
}

/// Resolves the declared secrets. A secret keeps its ARN for life, so one that is merely about to be changed counts.
fn secrets<'a>(context: &PlanContext<'_>, desired: &'a Desired) -> Secrets<'a> {
    let mut pending = Vec::new();
    let Some(declared) = &desired.secrets else { return Secrets { resolved: None, pending } };
    let mut resolved = BTreeMap::new();
    for (name, reference) in declared {
        let known = match reference {
            engine::Reference::Of { key, output } => match context.output(key, output) {
                Observation::Present(Value::String(arn)) => Some(arn),
                Observation::Present(_) | Observation::Absent | Observation::Unknown { .. } => None,
            },
            engine::Reference::Literal(arn) => Some(arn.clone()),
        };
        match known {
            Some(arn) => drop(resolved.insert(name.clone(), arn)),
            None => {
                if let Resolved::Pending { key, wait } = context.resolve(reference) {
                    pending.push((name.as_str(), key, wait));
                }
            }
        }
    }
    Secrets { resolved: Some(resolved), pending }
}

/// A step that needs the ARN of a secret which another step is about to make; or the waits that say why there is none.
fn awaiting(
    context: &PlanContext<'_>,
    step: Step,
    mut shown: Vec<FieldChange>,
    pending: Vec<(&str, ResourceKey, Wait)>,
) -> ResourcePlan {
    match pending.iter().find(|(_, key, _)| context.outputs.will_change(key)) {
        Some((_, after, _)) => {
            let after = after.clone();
            shown.extend(pending.iter().map(|(name, key, _)| {
                FieldChange::new(format!("secrets[{name:?}]"), Value::Null, format!("(known after {key} is there)"))
            }));
            ResourcePlan::step(
                Step { body: Value::Null, private: Private::default(), ..step }.changing(shown).after(after),
            )
        }
        None => ResourcePlan { waits: pending.into_iter().map(|(_, _, wait)| wait).collect(), ..Default::default() },
    }
}

/// Names that the memory holds and the document no longer declares, as far as the live container has them.
fn dropped(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> Dropped {
    let Some(memory) = context.memory.filter(|memory| **memory != desired.managed) else { return Dropped::default() };
    let container = observed.current.content.managed(&desired.fields.container);
    let Some(live) = container.map(|n| &observed.current.content.containers[n]) else { return Dropped::default() };
    let names = |what: &str| -> Vec<String> {
        let list = memory.get(what).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut dropped = Dropped::default();
    if let Some(declared) = &desired.fields.environment {
        let gone = |name: &String| !declared.contains_key(name) && live.environment.contains_key(name);
        dropped.environment = names("environment").into_iter().filter(gone).collect();
    }
    if let Some(declared) = &desired.secrets {
        let gone = |name: &String| !declared.contains_key(name) && live.secrets.contains_key(name);
        dropped.secrets = names("secrets").into_iter().filter(gone).collect();
    }
    dropped
}

/// What to remember: the declared names, and those still to be removed. `None` when that is remembered already.
fn remember(context: &PlanContext<'_>, desired: &Desired, dropped: &Dropped) -> Option<Value> {
    if *dropped == Dropped::default() {
        return (context.memory.unwrap_or(&Value::Null) != &desired.managed).then(|| desired.managed.clone());
    }
    let with = |what: &str, gone: &BTreeSet<String>| -> BTreeSet<String> {
        let declared = desired.managed.get(what).and_then(Value::as_array);
        let declared = declared.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        declared.chain(gone.iter().cloned()).collect()
    };
    let all = json!({
        "environment": with("environment", &dropped.environment),
        "secrets": with("secrets", &dropped.secrets),
    });
    (context.memory != Some(&all)).then_some(all)
}

/// A task cannot start with a secret that has no value, so no revision is made that names one.
fn empty_secret(context: &PlanContext<'_>, desired: &Desired) -> Option<Wait> {
    desired.secrets.iter().flatten().find_map(|(name, reference)| {
        let engine::Reference::Of { key, .. } = reference else { return None };
        let empty = context.output(key, "hasValue") == Observation::Present(Value::Bool(false));
        empty.then(|| {
            let message =
                format!("{key}, which {name} is read from, has no value yet, and a task cannot start without");
            Wait::new(WaitKind::Stalled, "SecretHasNoValue", message)
        })
    })
}

/// A revision is only planned on top of what the service runs now, as far as that is known.
fn base_wait(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> Option<Wait> {
    let wait = |message| Some(Wait::new(WaitKind::Unknown, "DependencyUnknown", message));
    match context.output(&desired.service, "taskDefinition") {
        Observation::Absent => None,
        Observation::Present(arn) if arn.as_str() == Some(&observed.current.arn) => None,
        Observation::Present(_) => {
            wait(format!("{} runs another revision than the one that was read", desired.service))
        }
        Observation::Unknown { .. } => wait(format!("which revision {} runs is not known now", desired.service)),
    }
}

/// Whether the service is one that we may make revisions for. One that is nobody's is adopted in this very pass, unless
/// policy forbids that.
fn service_wait(context: &PlanContext<'_>, desired: &Desired) -> Option<Wait> {
    let service = &desired.service;
    context.output(service, "arn").present()?;
    let (reason, message) = match context.outputs.owner(service) {
        Owner::Ours => return None,
        Owner::Nobody if context.policy.adoption != Adoption::CreateOnly => return None,
        Owner::Nobody => ("ExistsAlready", format!("{service} exists already, and policy.adoption is CreateOnly")),
        Owner::Another { who } => ("OwnedByAnother", format!("{service}, which runs it, is tagged for {who}")),
        Owner::Unknown => {
            return Some(Wait::new(WaitKind::Unknown, "TagsUnknown", format!("whose {service} is is not known")));
        }
    };
    Some(Wait::new(WaitKind::Blocked, reason, message))
}

/// Whether somebody else decides what the service runs.
fn deploys_elsewhere(context: &PlanContext<'_>, desired: &Desired) -> bool {
    match context.output(&desired.service, "controller") {
        Observation::Present(controller) => controller != "ECS",
        Observation::Absent | Observation::Unknown { .. } => false,
    }
}

fn not_ours(changes: Vec<FieldChange>) -> ResourcePlan {
    let message = "another deployment controller owns the service's deployments, so no revision is made: only reported";
    let note = Note { changes, ..Note::new("DeploymentsNotOurs", message) };
    ResourcePlan { notes: vec![note], ..ResourcePlan::in_sync() }
}

/// A successor that another installation or Environment registered is neither used nor taken away.
fn successor_wait(desired: &Desired, observed: &Observed) -> Option<Wait> {
    let successor = observed.successor.as_ref()?;
    match owner_by_tags(&successor.owner, &desired.tags) {
        Owner::Ours => None,
        Owner::Nobody | Owner::Unknown | Owner::Another { .. } => {
            let message = format!("{} was registered by another installation or Environment", successor.arn);
            Some(Wait::new(WaitKind::Blocked, "OwnedByAnother", message))
        }
    }
}

fn plan_registration(
    context: &PlanContext<'_>,
    desired: &Desired,
    observed: &Observed,
    secrets: Secrets<'_>,
    dropped: Dropped,
    edits: &[Edit],
) -> ResourcePlan {
    if let Some(wait) = base_wait(context, desired, observed).or_else(|| empty_secret(context, desired)) {
        return ResourcePlan::wait(wait);
    }
    let shown = changes(edits, &desired.fields.container, &observed.current.content);
    let reason = "the revision that the service runs differs from what is declared";
    let registration = Registration::new(desired, Some(&observed.current.arn), secrets.resolved, dropped);
    let step = registration.step(desired, Verb::Update, reason);
    if secrets.pending.is_empty() {
        ResourcePlan::step(step.changing(shown))
    } else {
        awaiting(context, step, shown, secrets.pending)
    }
}

impl Kind for EcsTaskDefinition {
    const NAME: &'static str = "EcsTaskDefinition";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Hot, ownership: Ownership::Additive, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        if let Some(wait) = service_wait(context, desired) {
            return ResourcePlan::wait(wait);
        }
        if deploys_elsewhere(context, desired) {
            return not_ours(created(desired));
        }
        let image = desired.fields.image.as_ref().or(desired.initial_image.as_ref());
        let missing: Vec<&str> = [
            ("image or initialImage", image.is_none()),
            ("cpu", desired.fields.cpu.is_none()),
            ("memoryMib", desired.fields.memory.is_none()),
        ]
        .into_iter()
        .filter_map(|(field, missing)| missing.then_some(field))
        .collect();
        if !missing.is_empty() {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Stalled,
                "SpecIncomplete",
                format!("the first revision of {} needs {}", desired.family, missing.join(", ")),
            ));
        }
        if let Some(wait) = empty_secret(context, desired) {
            return ResourcePlan::wait(wait);
        }
        let secrets = secrets(context, desired);
        let mut registration = Registration::new(desired, None, secrets.resolved, Dropped::default());
        registration.image = image.cloned();
        let step = registration.step(desired, Verb::Create, "the family has no revision");
        let shown = created(desired);
        let mut plan = if secrets.pending.is_empty() {
            ResourcePlan::step(step.changing(shown))
        } else {
            awaiting(context, step, shown, secrets.pending)
        };
        plan.remember = remember(context, desired, &Dropped::default());
        plan
    }

    fn plan_present(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        let content = &observed.current.content;
        if content.managed(&desired.fields.container).is_none() {
            let names: Vec<&str> = content.containers.iter().map(|container| container.name.as_str()).collect();
            return ResourcePlan::wait(Wait::new(
                WaitKind::Stalled,
                "ContainerNotFound",
                format!(
                    "{} has the containers {}, of which none is named {}",
                    observed.current.arn,
                    names.join(", "),
                    desired.fields.container
                ),
            ));
        }
        if let Some(wait) = service_wait(context, desired).or_else(|| successor_wait(desired, observed)) {
            return ResourcePlan::wait(wait);
        }
        let secrets = secrets(context, desired);
        let dropped = dropped(context, desired, observed);
        // With one of them unknown the secrets are not compared at all.
        let known = if secrets.pending.is_empty() { secrets.resolved.as_ref() } else { None };
        let edits = edits(&desired.fields, known, &dropped, content);
        let remember = remember(context, desired, &dropped);
        let mut plan = match &observed.successor {
            _ if deploys_elsewhere(context, desired) => {
                if edits.is_empty() {
                    ResourcePlan::in_sync()
                } else {
                    not_ours(changes(&edits, &desired.fields.container, content))
                }
            }
            _ if !secrets.pending.is_empty() => plan_registration(context, desired, observed, secrets, dropped, &edits),
            None if edits.is_empty() => ResourcePlan::in_sync(),
            Some(successor) if edits.is_empty() => {
                let body = Action::DeregisterTaskDefinition { arn: successor.arn.clone() }.body();
                let reason = "registered by us, never deployed, and no longer wanted";
                let change = FieldChange::new("revision", successor.name(), observed.current.name());
                ResourcePlan::step(
                    Step::new("DeregisterTaskDefinition", Verb::Update, Risk::Safe, reason, body)
                        .changing(vec![change]),
                )
            }
            Some(successor) if successor.content.means(&apply(&edits, &desired.fields.container, content)) => {
                ResourcePlan::in_sync()
            }
            Some(_) | None => plan_registration(context, desired, observed, secrets, dropped, &edits),
        };
        plan.remember = remember;
        if !observed.active {
            plan.notes.push(Note::new(
                "TaskDefinitionInactive",
                format!(
                    "{} was deregistered; the service goes on with it until its next revision",
                    observed.current.arn
                ),
            ));
        }
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, _observed: &Observed) -> ResourcePlan {
        // Revisions are history: they cost nothing and are what a rollback needs.
        ResourcePlan::in_sync()
    }

    fn health(_context: &PlanContext<'_>, _desired: &Desired, _observed: &Observed) -> Health {
        Health::Ready
    }

    fn tags(_observed: &Observed) -> Option<&Tags> {
        None
    }

    fn tag_step_body(_observed: &Observed, _set: &Tags) -> Value {
        Value::Null
    }

    fn output(observed: &Observed, name: &str) -> Option<Output> {
        let wanted = observed.wanted();
        match name {
            "arn" => Some(Value::from(wanted.arn.as_str())),
            "revision" => Some(Value::from(wanted.revision)),
            "base" => wanted.base.as_deref().map(Value::from),
            "owner" => wanted.base.as_ref().map(|_| wanted.owner.iter().map(|(k, v)| (k.clone(), v.clone())).collect()),
            "containers" => Some(wanted.content.containers.iter().map(|container| container.name.as_str()).collect()),
            _ => None,
        }
    }
}
