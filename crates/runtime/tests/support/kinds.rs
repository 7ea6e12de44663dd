//! Two kinds: a crate for each secret of the document, and a lid on each crate whose description mentions one.
//!
//! A crate whose description is `existing` is somebody else's. The first letter of a colour tells the risk of painting: `!` is Disruptive, `?` is Destructive.

use engine::kind::Backup;
use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext, Reference};
use model::plan::Verb;
use model::{Environment, FieldChange, KindName, Note, ResourceKey, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is seen of either kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) colour: String,
    pub(crate) arn: String,
    pub(crate) state: String,
    pub(crate) tags: Tags,
}

/// A crate.
pub(crate) struct Crate;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CrateDesired {
    colour: Option<String>,
    tags: Tags,
}

fn risk_of(colour: &str) -> Risk {
    match colour.chars().next() {
        Some('!') => Risk::Disruptive,
        Some('?') => Risk::Destructive,
        _ => Risk::Safe,
    }
}

impl Kind for Crate {
    const NAME: &'static str = "Crate";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Hot, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = CrateDesired;
    type Observed = Seen;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, CrateDesired>) {
        let tags = expansion.tags().clone();
        for (name, secret) in &environment.spec.secrets {
            let colour = secret.description.as_ref().map(|text| text.replace(" lid", ""));
            let existing = colour.as_ref().is_some_and(|colour| colour == "existing");
            let desired = CrateDesired { colour, tags: tags.clone() };
            let node = expansion.add(name, format!("spec.secrets[{name:?}]"), desired);
            if existing {
                node.existing();
            }
        }
    }

    fn plan_absent(_: &PlanContext<'_>, desired: &CrateDesired) -> ResourcePlan {
        let body = json!({ "colour": desired.colour, "tags": desired.tags });
        ResourcePlan::step(Step::new("CreateCrate", Verb::Create, Risk::Safe, "does not exist", body))
    }

    fn plan_present(_: &PlanContext<'_>, desired: &CrateDesired, observed: &Seen) -> ResourcePlan {
        if observed.state == "busy" {
            return ResourcePlan::wait(Wait::new(WaitKind::Progressing, "Busy", "the crate is busy"));
        }
        let mut plan = ResourcePlan::in_sync();
        if let Some(colour) = desired.colour.as_ref().filter(|colour| **colour != observed.colour) {
            let change = FieldChange::new("colour", observed.colour.as_str(), colour.as_str());
            if observed.colour == "tampered" {
                plan.notes.push(Note::new("Tampering", "somebody painted it").with(change.clone()));
            }
            let step =
                Step::new("PaintCrate", Verb::Update, risk_of(colour), "wrong colour", json!({ "colour": colour }));
            plan.steps.push(step.changing(vec![change]));
        }
        plan
    }

    fn plan_delete(_: &PlanContext<'_>, observed: &Seen) -> ResourcePlan {
        if observed.state == "deleting" {
            return ResourcePlan::wait(Wait::new(WaitKind::Progressing, "Deleting", "it is being deleted"));
        }
        ResourcePlan::step(Step::new("DeleteCrate", Verb::Delete, Risk::Destructive, "no longer declared", Value::Null))
    }

    fn health(_: &PlanContext<'_>, _: &CrateDesired, observed: &Seen) -> Health {
        match observed.state.as_str() {
            "busy" => Health::Progressing { reason: "Busy", message: "the crate is busy".to_owned() },
            "broken" => Health::Stalled { reason: "Broken", message: "the crate is broken".to_owned() },
            _ => Health::Ready,
        }
    }

    fn tags(observed: &Seen) -> Option<&Tags> {
        Some(&observed.tags)
    }

    fn tag_step_body(_: &Seen, set: &Tags) -> Value {
        json!({ "tags": set })
    }

    fn output(observed: &Seen, name: &str) -> Option<Output> {
        (name == "arn").then(|| Value::from(observed.arn.as_str()))
    }

    fn backup(_: &PlanContext<'_>, _: &CrateDesired, observed: &Seen) -> Option<Backup> {
        (observed.colour == "backup").then(|| Backup {
            newest: None,
            healthy: false,
            next: None,
            message: "none yet".to_owned(),
        })
    }
}

/// A lid: it belongs with its crate, needs its ARN, and is read there.
pub(crate) struct Lid;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LidDesired {
    of: Reference,
}

impl Kind for Lid {
    const NAME: &'static str = "Lid";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Slow, ownership: Ownership::Parent, stale_after_periods: 4 };
    type Desired = LidDesired;
    type Observed = Seen;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, LidDesired>) {
        for (name, secret) in &environment.spec.secrets {
            if secret.description.as_ref().is_some_and(|text| text.ends_with(" lid")) {
                let of = expansion.reference(Crate::NAME, name, "arn");
                let parent = expansion.key(Crate::NAME, name);
                let node = expansion.add(name, format!("spec.secrets[{name:?}].lid"), LidDesired { of });
                node.parent(parent.clone()).follows(parent, "arn");
            }
        }
    }

    fn plan_absent(context: &PlanContext<'_>, desired: &LidDesired) -> ResourcePlan {
        match context.resolve_text(&desired.of) {
            Ok(arn) => {
                let body = json!({ "colour": arn });
                ResourcePlan::step(Step::new("PutLid", Verb::Create, Risk::Safe, "has no lid", body))
            }
            Err((_, wait)) => ResourcePlan::wait(wait),
        }
    }

    fn plan_present(context: &PlanContext<'_>, desired: &LidDesired, observed: &Seen) -> ResourcePlan {
        match context.resolve_text(&desired.of) {
            Ok(arn) if arn == observed.colour => ResourcePlan::in_sync(),
            Ok(arn) => {
                let body = json!({ "colour": arn });
                let step = Step::new("PutLid", Verb::Update, Risk::Safe, "the lid is another crate's", body);
                ResourcePlan::step(step.changing(vec![FieldChange::new("of", observed.colour.as_str(), arn)]))
            }
            Err((_, wait)) => ResourcePlan::wait(wait),
        }
    }

    fn plan_delete(_: &PlanContext<'_>, _: &Seen) -> ResourcePlan {
        ResourcePlan::step(Step::new("TakeLid", Verb::Delete, Risk::Destructive, "no longer declared", Value::Null))
    }

    fn health(_: &PlanContext<'_>, _: &LidDesired, _: &Seen) -> Health {
        Health::Ready
    }

    fn tags(_: &Seen) -> Option<&Tags> {
        None
    }

    fn parent_of(key: &ResourceKey) -> Option<ResourceKey> {
        Some(ResourceKey { kind: KindName::of(Crate::NAME), ..key.clone() })
    }

    fn tag_step_body(_: &Seen, _: &Tags) -> Value {
        Value::Null
    }

    fn output(_: &Seen, _: &str) -> Option<Output> {
        None
    }
}

pub(crate) fn registry() -> engine::Registry {
    engine::Registry::new(vec![
        Box::new(engine::erased::Erased::<Crate>::new()),
        Box::new(engine::erased::Erased::<Lid>::new()),
    ])
}
