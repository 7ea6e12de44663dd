//! Who sets fields: the manager of a write, and what `metadata.managedFields` says after it.

use http::HeaderMap;
use http::header::USER_AGENT;
use jiff::Timestamp;
use model::problem::Reason;
use serde_json::Value;

use crate::apply::{FieldSet, Managed, Operation, Writer};
use crate::error::{ApiError, ApiResult};
use crate::extract::Params;

/// Longest name of a manager, as in Kubernetes.
const LONGEST: usize = 128;

/// Who sets fields.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    pub(crate) writer: Writer,
    /// With server-side apply: what the manager states, and whether it takes fields over from others.
    pub(crate) applied: Option<(FieldSet, bool)>,
}

impl Manager {
    /// From `fieldManager`, or from the client's name.
    pub(crate) fn from(params: &Params, headers: &HeaderMap) -> ApiResult<Self> {
        let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let client: String = agent.split('/').next().unwrap_or_default().chars().take(LONGEST).collect();
        let name = params.text("fieldManager").unwrap_or(if client.is_empty() { "unknown" } else { &client });
        if name.len() > LONGEST || name.chars().any(char::is_control) {
            let rule = format!("must be text of at most {LONGEST} bytes");
            return Err(ApiError::field("fieldManager", Reason::FieldValueInvalid, rule));
        }
        Ok(Self { writer: Writer::new(Operation::Update, name), applied: None })
    }

    /// One that is known by name.
    pub(crate) fn named(name: &str) -> Self {
        Self { writer: Writer::new(Operation::Update, name), applied: None }
    }

    /// Who owns which field after a write from the one document to the other.
    pub(crate) fn after(
        &self,
        before: Managed,
        (old, new): (&Value, &Value),
        now: Timestamp,
        name: &str,
    ) -> ApiResult<Value> {
        let managed = match &self.applied {
            None => before.updated(&self.writer, old, new, now),
            Some((applied, force)) => before
                .applied(&self.writer, applied, (old, new), *force, now)
                .map_err(|conflicts| ApiError::fields_taken(name, &conflicts))?,
        };
        Ok(managed.to_json())
    }
}
