//! Planning a listener. Pure.

use engine::kind::Reference;
use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use model::plan::{Note, Verb};
use model::{Environment, FieldChange, Observation, ResourceKey, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DefaultAction, Desired, Observed, Redirect, Target, desired};
use crate::changes::{Changes, created};

/// The kind.
pub struct Listener;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    CreateListener { load_balancer: String, port: u16, settings: Settings, tags: Tags },
    ModifyListener { arn: String, settings: Settings },
    TagResource { arn: String, tags: Tags },
    DeleteListener { arn: String },
}

/// What a step sets; what is left out stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// `HTTP` or `HTTPS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// ARN of the default certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// TLS policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_policy: Option<String>,
    /// Default action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_action: Option<DefaultAction>,
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

/// Why a default action cannot be said yet.
enum Pending {
    /// This pass makes the target group first.
    After(ResourceKey),
    Wait(Wait),
}

/// The ARN of the target group. It never changes while the group is there, so one that is merely being modified is known.
fn group_arn(context: &PlanContext<'_>, reference: &Reference) -> Result<String, Pending> {
    let (key, output) = match reference {
        Reference::Literal(arn) => return Ok(arn.clone()),
        Reference::Of { key, output } => (key, output),
    };
    let wait = |kind, reason, message| Pending::Wait(Wait::new(kind, reason, message));
    match context.output(key, output) {
        Observation::Present(Value::String(arn)) => Ok(arn),
        Observation::Absent if context.outputs.will_change(key) => Err(Pending::After(key.clone())),
        Observation::Present(_) | Observation::Absent => {
            Err(wait(WaitKind::Progressing, "DependencyNotReady", format!("{key} is not there yet")))
        }
        Observation::Unknown { .. } => {
            Err(wait(WaitKind::Unknown, "DependencyUnknown", format!("{key} is not known now")))
        }
    }
}

/// The default action that is wanted, given the live one: of a redirect, only what the document says is changed.
fn wanted(context: &PlanContext<'_>, target: &Target, live: Option<&DefaultAction>) -> Result<DefaultAction, Pending> {
    match target {
        Target::ForwardTo(reference) => {
            let arn = group_arn(context, reference)?;
            match live {
                // The weight of a single group means nothing.
                Some(DefaultAction::Forward(groups)) if groups.len() == 1 && groups.contains_key(&arn) => {
                    Ok(DefaultAction::Forward(groups.clone()))
                }
                _ => Ok(DefaultAction::Forward([(arn, 1)].into_iter().collect())),
            }
        }
        Target::RedirectTo(port) => {
            let kept = match live {
                Some(DefaultAction::Redirect(redirect)) => redirect.clone(),
                _ => Redirect::default(),
            };
            Ok(DefaultAction::Redirect(Redirect {
                protocol: Some("HTTPS".to_owned()),
                port: Some(port.to_string()),
                status: Some("HTTP_301".to_owned()),
                ..kept
            }))
        }
    }
}

/// Whose it is to move a listener from one target group to another: with a blue/green deployment that is the service's
/// deployment controller, which leaves it at either of two.
fn forward_held(
    context: &PlanContext<'_>,
    desired: &Desired,
    live: &DefaultAction,
    to: &DefaultAction,
) -> Option<Held> {
    let (DefaultAction::Forward(_), DefaultAction::Forward(_)) = (live, to) else { return None };
    let service = desired.service.as_ref()?;
    match context.output(service, "controller") {
        Observation::Present(controller) if controller != "ECS" => Some(Held::Foreign),
        Observation::Present(_) | Observation::Absent => None,
        Observation::Unknown { .. } => Some(Held::Unknown(Wait::new(
            WaitKind::Unknown,
            "DependencyUnknown",
            format!("who moves the traffic of {service} is not known now"),
        ))),
    }
}

/// Why a forward is left where it is.
enum Held {
    /// Another deployment controller moves it.
    Foreign,
    Unknown(Wait),
}

fn protocol(desired: &Desired) -> &'static str {
    if desired.certificate.is_some() { "HTTPS" } else { "HTTP" }
}

fn show(action: &DefaultAction) -> Value {
    match action {
        DefaultAction::Redirect(redirect) => json!({ "redirectTo": redirect }),
        DefaultAction::Forward(groups) => json!({ "forwardTo": groups }),
        DefaultAction::Other(kind) => json!(kind),
        DefaultAction::Several(kinds) => json!(kinds),
    }
}

/// What is shown of a step whose target group is not there yet; nobody carries it out before it is planned anew.
fn later(operation: &'static str, verb: Verb, risk: Risk, key: ResourceKey, changes: Vec<FieldChange>) -> ResourcePlan {
    let reason = format!("follows once {key} is made");
    ResourcePlan::step(Step::new(operation, verb, risk, reason, Value::Null).changing(changes).after(key))
}

impl Kind for Listener {
    const NAME: &'static str = "Listener";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Slow, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        let Some(target) = &desired.target else {
            let message = "a listener cannot be made without redirectTo or forwardTo";
            return ResourcePlan::wait(Wait::new(WaitKind::Stalled, "SpecIncomplete", message));
        };
        let action = match wanted(context, target, None) {
            Ok(action) => action,
            Err(Pending::After(key)) => {
                return later("CreateListener", Verb::Create, Risk::Safe, key, created(desired));
            }
            Err(Pending::Wait(wait)) => return ResourcePlan::wait(wait),
        };
        let settings = Settings {
            protocol: Some(protocol(desired).to_owned()),
            certificate: desired.certificate.clone(),
            ssl_policy: desired.ssl_policy.clone(),
            default_action: Some(action),
        };
        let body = Action::CreateListener {
            load_balancer: desired.load_balancer.clone(),
            port: desired.port,
            settings,
            tags: desired.tags.clone(),
        };
        ResourcePlan::step(
            Step::new("CreateListener", Verb::Create, Risk::Safe, "does not exist", body.body())
                .changing(created(desired)),
        )
    }

    fn plan_present(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        let mut plan = ResourcePlan::in_sync();
        let mut settings = Settings::default();
        let mut changes = Changes::new();
        if desired.certificate.is_some() {
            if changes.field("protocol", Some(&"HTTPS".to_owned()), observed.protocol.as_ref()) {
                settings.protocol = Some("HTTPS".to_owned());
            }
            if changes.field("certificate", desired.certificate.as_ref(), observed.certificate.as_ref()) {
                settings.certificate.clone_from(&desired.certificate);
            }
        }
        if changes.field("sslPolicy", desired.ssl_policy.as_ref(), observed.ssl_policy.as_ref()) {
            settings.ssl_policy.clone_from(&desired.ssl_policy);
        }
        if let Some(target) = &desired.target {
            match wanted(context, target, Some(&observed.action)) {
                Ok(action) if action == observed.action => {}
                Ok(action) => {
                    let change = FieldChange::new("defaultAction", show(&observed.action), show(&action));
                    if let DefaultAction::Several(kinds) = &observed.action {
                        let message = format!(
                            "the default action is several ({}), which cannot be put back with one of them changed",
                            kinds.join(", ")
                        );
                        plan.waits.push(Wait::new(WaitKind::Stalled, "SeveralDefaultActions", message.clone()));
                        plan.notes.push(Note::new("SeveralDefaultActions", message).with(change));
                    } else {
                        match forward_held(context, desired, &observed.action, &action) {
                            Some(Held::Foreign) => plan.notes.push(
                                Note::new(
                                    "DeploymentsNotOurs",
                                    "another deployment controller moves this service's traffic: only reported",
                                )
                                .with(change),
                            ),
                            Some(Held::Unknown(wait)) => plan.waits.push(wait),
                            None => {
                                changes.push(change);
                                settings.default_action = Some(action);
                            }
                        }
                    }
                }
                Err(Pending::After(key)) => {
                    changes.push(FieldChange::new("defaultAction", show(&observed.action), key.to_string()));
                    return later("ModifyListener", Verb::Update, Risk::Disruptive, key, changes.into_vec());
                }
                Err(Pending::Wait(wait)) => plan.waits.push(wait),
            }
        }
        if !changes.is_empty() {
            let body = Action::ModifyListener { arn: observed.arn.clone(), settings }.body();
            let reason = "the listener is not as declared; requests are answered otherwise from then on";
            let step = Step::new("ModifyListener", Verb::Update, Risk::Disruptive, reason, body);
            plan.steps.push(step.changing(changes.into_vec()));
        }
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, observed: &Observed) -> ResourcePlan {
        let body = Action::DeleteListener { arn: observed.arn.clone() }.body();
        ResourcePlan::step(Step::new("DeleteListener", Verb::Delete, Risk::Destructive, "no longer declared", body))
    }

    fn health(_context: &PlanContext<'_>, _desired: &Desired, _observed: &Observed) -> Health {
        Health::Ready
    }

    fn tags(observed: &Observed) -> Option<&Tags> {
        observed.tags.as_ref()
    }

    fn tag_step_body(observed: &Observed, set: &Tags) -> Value {
        Action::TagResource { arn: observed.arn.clone(), tags: set.clone() }.body()
    }

    fn output(observed: &Observed, name: &str) -> Option<Output> {
        (name == "arn").then(|| Value::from(observed.arn.as_str()))
    }
}
