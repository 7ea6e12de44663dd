//! `operator plan -f env.yaml`: reads AWS and prints what the daemon would do. No database, no write.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use engine::Registry;
use engine::guard::{Guard, StepFacts, Verdict};
use engine::plan::{EnvironmentContext, Snapshot, plan_environment};
use jiff::Timestamp;
use kinds::provider::{Cloud, ObserveKey, Scope};
use model::observation::Unknown;
use model::schedule::Windows;
use model::{Environment, Observation, Problems};
use serde_json::Value;

use crate::say::say;

/// Reads a document, from a file or standard input; all its problems at once.
pub fn read_document(file: &Path) -> Result<Environment> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?
    };
    let document: Value = serde_saphyr::from_str(&text).context("the document is no YAML")?;
    parse(document).map_err(|problems| anyhow::anyhow!("the document is refused:\n{problems}"))
}

/// Parses and validates a document.
pub fn parse(document: Value) -> Result<Environment, Problems> {
    let (environment, mut problems) = model::parse::parse::<Environment>(document);
    match environment {
        Some(environment) => {
            problems.extend(model::validate::validate(&environment));
            problems.into_result(environment)
        }
        None => Err(problems),
    }
}

/// Reads AWS and prints the plan. Yields whether everything is in sync.
pub async fn run(
    environment: &Environment,
    registry: &Registry,
    cloud: &Arc<dyn Cloud>,
    installation: &str,
    now: Timestamp,
) -> Result<bool> {
    let graph = engine::expand(registry, environment, installation)?;
    let mut snapshot = Snapshot::default();
    let (first, following): (Vec<_>, Vec<_>) = graph.nodes().iter().partition(|node| node.follows.is_none());
    for node in first.into_iter().chain(following) {
        let provider = cloud.provider(node.key.kind.as_str()).context("a kind without provider")?;
        let at = node.follows.as_ref().and_then(|follow| {
            let observation = snapshot.get(&follow.key);
            let output = registry.of(&follow.key)?.output(&***observation.present()?, &follow.output)?;
            output.as_str().map(str::to_owned)
        });
        let key = ObserveKey { identity: Arc::clone(&node.key.identity), at };
        let observation = match provider.read(&Scope::of(&node.key, now), &key).await {
            Ok(observation) => observation,
            Err(error) => {
                let why = Unknown::Failed { class: error.class, message: error.to_string() };
                Observation::Unknown { since: now, why }
            }
        };
        snapshot.set(node.key.clone(), observation);
    }
    let context = EnvironmentContext {
        now,
        environment: &environment.metadata.name,
        policy: &environment.spec.policy,
        memory: &BTreeMap::new(),
        adopted_now: &BTreeSet::new(),
    };
    let plan = plan_environment(registry, &graph, &snapshot, &context);
    let windows = Windows::parse(&environment.spec.policy.windows).unwrap_or_default();
    let guard = Guard {
        now,
        policy: &environment.spec.policy,
        windows: &windows,
        operator_mode: model::env::Mode::Enforce,
        paused: None,
        cap: None,
        generation: 0,
        approved: &[],
    };
    let mut in_sync = true;
    for resource in &plan.resources {
        if resource.plan.steps.is_empty() && resource.plan.waits.is_empty() && resource.plan.notes.is_empty() {
            continue;
        }
        in_sync &= resource.plan.steps.is_empty();
        say(format!("{} ({})", resource.key, resource.path));
        say(format!("  {}", resource.plan.to_string().replace('\n', "\n  ")));
        for step in &resource.plan.steps {
            let facts = StepFacts { adopted_now: resource.adopted_now, ..StepFacts::default() };
            if let Verdict::Hold(hold) = guard.judge(&resource.key, step, &facts) {
                say(format!("  held {}: {}", hold.reason, hold.message));
            }
        }
    }
    let total = plan.resources.len();
    let changed = plan.resources.iter().filter(|resource| !resource.plan.steps.is_empty()).count();
    say(format!("{changed} of {total} resources would be changed"));
    Ok(in_sync)
}
