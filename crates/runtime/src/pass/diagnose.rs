//! What is wrong with an environment, and what shows it: a fresh look at everything, what the plan waits for, and what each
//! kind finds when it looks further. Changes nothing, neither in AWS nor in the store nor in the cache.

use engine::guard::{StepFacts, Verdict};
use engine::{Health, PlannedResource};
use futures::StreamExt as _;
use model::env::Mode;
use model::{Finding, Observation, ObserveError, ResourceKey, Severity, SharedObject, Unknown, WaitKind};
use serde_json::{Value, json};
use store::EnvironmentRow;

use super::Document;
use super::preview::{Known, Planned, READS_AT_ONCE, look, planned};
use crate::shared::Shared;

/// A finding about an object; about the environment as a whole without one.
type About = (Option<ResourceKey>, Finding);

/// Answers a diagnosis request.
pub(crate) async fn diagnose(shared: &Shared, environment: &str) -> Result<Value, store::Error> {
    let row = shared.store.get_environment(environment).await?;
    let document = match Document::read(&shared.registry, &shared.config.installation, &row) {
        Ok(document) => document,
        Err(error) => {
            let finding = Finding::new(Severity::Error, "InvalidSpec", error.to_string())
                .remedy("this release cannot read the stored document: write one that it accepts, or roll back");
            return Ok(answer(shared, &row, vec![(None, finding)]));
        }
    };
    let known = look(shared, Some(&row), &document).await?;
    let mut found =
        planned(shared, Some(&row), &document, &known, |planned| of_plan(&document, &known, planned)).await?;
    found.extend(further(shared, &document, &known).await);
    Ok(answer(shared, &row, found))
}

fn answer(shared: &Shared, row: &EnvironmentRow, mut found: Vec<About>) -> Value {
    found.sort_by(|(a, one), (b, other)| (one.severity, a, &one.reason).cmp(&(other.severity, b, &other.reason)));
    let count = |severity| found.iter().filter(|(_, finding)| finding.severity == severity).count();
    let shown: Vec<Value> = found
        .iter()
        .map(|(key, finding)| {
            let mut shown = json!(finding);
            if let Some(key) = key {
                shown["resource"] = json!({ "kind": key.kind, "identity": key.identity, "region": key.region });
            }
            shown
        })
        .collect();
    json!({
        "generation": row.generation,
        "observedAt": shared.clock.now(),
        "summary": {
            "errors": count(Severity::Error),
            "warnings": count(Severity::Warning),
            "infos": count(Severity::Info),
        },
        "findings": shown,
    })
}

/// What the plan and the guard say.
fn of_plan(document: &Document, known: &Known, planned: &Planned<'_>) -> Vec<About> {
    let guard = &planned.guard;
    let mut found = Vec::new();
    if guard.operator_mode == Mode::Observe {
        let message = "operators/default is in mode Observe: nothing is changed anywhere";
        found.push((None, Finding::new(Severity::Warning, "OperatorObserves", message)));
    }
    if let Some(pause) = &guard.paused {
        let until = pause.until.map_or_else(|| "until resumed".to_owned(), |until| format!("until {until}"));
        let message = format!("paused by {} {until}: {}", pause.owner, pause.reason);
        found.push((None, Finding::new(Severity::Info, "Paused", message)));
    }
    if known.deleting {
        found.push((None, Finding::new(Severity::Info, "Deleting", "the environment is on its way out")));
    }
    for resource in &planned.plan.resources {
        let about = |finding| (Some(resource.key.clone()), finding);
        found.extend(of_resource(known, planned, resource).into_iter().map(about));
    }
    let seen = |key: &ResourceKey| planned.plan.resources.iter().any(|resource| resource.key == *key);
    for node in document.graph.nodes().iter().filter(|node| !seen(&node.key)) {
        found.extend(unknown(known, &node.key).map(|finding| (Some(node.key.clone()), finding)));
    }
    found
}

fn of_resource(known: &Known, planned: &Planned<'_>, resource: &PlannedResource) -> Vec<Finding> {
    let mut found = Vec::new();
    let unread = unknown(known, &resource.key);
    let read = unread.is_none();
    found.extend(unread);
    match &resource.health {
        None | Some(Health::Ready) => {}
        Some(Health::Progressing { reason, message }) => {
            found.push(Finding::new(Severity::Info, *reason, message.clone()));
        }
        Some(Health::Stalled { reason, message }) => {
            found.push(Finding::new(Severity::Error, *reason, message.clone()));
        }
    }
    if let Some(backup) = resource.backup.as_ref().filter(|backup| !backup.healthy) {
        found.push(Finding::new(Severity::Error, "BackupOverdue", backup.message.clone()));
    }
    for wait in &resource.plan.waits {
        let severity = match wait.kind {
            WaitKind::Blocked | WaitKind::Stalled => Severity::Error,
            WaitKind::Progressing => Severity::Info,
            // Why it is not known stands above.
            WaitKind::Unknown if !read => continue,
            WaitKind::Unknown => Severity::Warning,
        };
        found.push(Finding::new(severity, wait.reason.clone(), wait.message.clone()));
    }
    for step in &resource.plan.steps {
        let facts = StepFacts { adopted_now: resource.adopted_now, ..StepFacts::default() };
        let what = format!("{} ({}): {}", step.operation, step.risk, step.reason);
        found.push(match planned.guard.judge(&resource.key, step, &facts) {
            Verdict::Allow => Finding::new(Severity::Info, "Drift", format!("the next pass does {what}")),
            Verdict::Hold(hold) => {
                let reason: &'static str = hold.reason.into();
                let until = hold.until.map(|until| format!(" (until {until})")).unwrap_or_default();
                Finding::new(Severity::Warning, reason, format!("{}{until}; it holds {what}", hold.message))
            }
        });
    }
    found.extend(
        resource.plan.notes.iter().map(|note| Finding::new(Severity::Info, note.reason.clone(), note.message.clone())),
    );
    found
}

fn unknown(known: &Known, key: &ResourceKey) -> Option<Finding> {
    let Observation::Unknown { why, .. } = known.snapshot.get(key) else { return None };
    Some(match why {
        Unknown::Failed { class, message } => {
            let said = format!("AWS cannot be asked about it ({class})");
            Finding::new(Severity::Error, "NotRead", said).shown_by("aws", message.clone(), None)
        }
        Unknown::Dependency => Finding::new(
            Severity::Info,
            "DependencyUnknown",
            "it is read where another object says, which is not known",
        ),
        Unknown::InFlight => Finding::new(Severity::Info, "InFlight", "a call that may have changed it is on its way"),
        Unknown::NotObservedYet | Unknown::NotListed => {
            Finding::new(Severity::Warning, "NotRead", "nothing is known of it now")
        }
    })
}

/// What kinds find that look further into what is there.
async fn further(shared: &Shared, document: &Document, known: &Known) -> Vec<About> {
    let mut looks = Vec::new();
    for node in document.graph.nodes() {
        if let Observation::Present(object) = known.snapshot.get(&node.key) {
            looks.push(look_into(shared, node.key.clone(), SharedObject::clone(object)));
        }
    }
    let found: Vec<Vec<About>> = futures::stream::iter(looks).buffer_unordered(READS_AT_ONCE).collect().await;
    found.into_iter().flatten().collect()
}

async fn look_into(shared: &Shared, key: ResourceKey, object: SharedObject) -> Vec<About> {
    let found = shared.diagnose(&key, &object, shared.clock.now()).await.unwrap_or_else(|error: ObserveError| {
        let message = "it could not be looked into further; the other findings about it stand";
        let finding = Finding::new(Severity::Warning, "NotLookedInto", message);
        vec![finding.shown_by(error.operation.clone(), error.to_string(), None)]
    });
    found.into_iter().map(|finding| (Some(key.clone()), finding)).collect()
}
