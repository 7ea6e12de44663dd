//! From the stored spec to what a pass works with; done once for each generation.

use std::sync::Arc;

use engine::{Graph, Registry};
use model::env::{API_VERSION, EnvironmentSpec, KIND, Metadata};
use model::schedule::Windows;
use model::{Environment, Problems};
use serde_json::{Value, json};
use store::EnvironmentRow;

/// One generation of a document, ready to work with.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) generation: i64,
    pub(crate) environment: Environment,
    pub(crate) graph: Arc<Graph>,
    pub(crate) windows: Windows,
}

/// Why a stored spec cannot be used. The API refuses such specs, so this is one that another release accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidSpec(pub(crate) String);

impl Document {
    /// Reads a stored environment.
    pub(crate) fn read(registry: &Registry, installation: &str, row: &EnvironmentRow) -> Result<Self, InvalidSpec> {
        let metadata =
            Metadata { name: row.name.clone(), labels: row.labels.clone(), annotations: row.annotations.clone() };
        Self::from_spec(registry, installation, metadata, &row.spec, row.generation)
    }

    /// Reads a spec.
    pub(crate) fn from_spec(
        registry: &Registry,
        installation: &str,
        metadata: Metadata,
        spec: &Value,
        generation: i64,
    ) -> Result<Self, InvalidSpec> {
        let (parsed, problems) = model::parse::parse::<EnvironmentSpec>(spec.clone());
        let Some(spec) = parsed.filter(|_| problems.is_empty()) else { return Err(said(&problems)) };
        let environment = Environment { api_version: API_VERSION.to_owned(), kind: KIND.to_owned(), metadata, spec };
        let problems = model::validate::validate(&environment);
        if !problems.is_empty() {
            return Err(said(&problems));
        }
        let graph = engine::expand(registry, &environment, installation).map_err(|e| InvalidSpec(e.to_string()))?;
        let windows = Windows::parse(&environment.spec.policy.windows)
            .map_err(|(n, error)| InvalidSpec(format!("spec.policy.windows[{n}]: {error}")))?;
        Ok(Self { generation, environment, graph: Arc::new(graph), windows })
    }
}

/// A new version of a stored environment, checked as a whole against the one that holds.
#[derive(Debug)]
pub(crate) struct NewVersion {
    pub(crate) environment: Environment,
    /// The spec as it is stored.
    pub(crate) spec: Value,
    pub(crate) claims: Vec<store::Claim>,
}

impl NewVersion {
    /// Reads and checks a document. What other environments claim only the store can tell.
    ///
    /// # Errors
    /// All problems at once.
    pub(crate) fn read(
        registry: &Registry,
        installation: &str,
        row: &EnvironmentRow,
        document: Value,
    ) -> Result<Self, InvalidSpec> {
        let (parsed, mut problems) = model::parse::parse::<Environment>(document);
        let Some(environment) = parsed.filter(|_| problems.is_empty()) else { return Err(said(&problems)) };
        problems.extend(model::validate::validate(&environment));
        let old = Document::read(registry, installation, row)?;
        problems.extend(model::validate::validate_update(&old.environment, &environment));
        if !problems.is_empty() {
            return Err(said(&problems));
        }
        let graph = engine::expand(registry, &environment, installation).map_err(|e| InvalidSpec(e.to_string()))?;
        let claims = graph.claims().map(|node| crate::keys::to_store(&node.key)).collect();
        let spec = serde_json::to_value(&environment.spec).map_err(|e| InvalidSpec(e.to_string()))?;
        Ok(Self { environment, spec, claims })
    }
}

/// The stored environment as the document that patches apply to.
pub(crate) fn document_of(row: &EnvironmentRow) -> Value {
    let metadata = json!({ "name": row.name, "labels": row.labels, "annotations": row.annotations });
    json!({ "apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": row.spec })
}

fn said(problems: &Problems) -> InvalidSpec {
    InvalidSpec(problems.to_string().replace('\n', "; "))
}
