//! What AWS says of a family: the revision that counts, and its successor.

use std::sync::Arc;

use model::{TAG_ENVIRONMENT, TAG_MANAGED_BY, Tags};
use serde::Serialize;

use super::content::Content;

/// One revision.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// ARN, with the revision's number.
    pub arn: String,
    /// Family.
    pub family: String,
    /// Number within the family.
    pub revision: u32,
    /// The revision it was made from, `family:revision`, when we made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Its tags of ownership.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub owner: Tags,
    /// What it says.
    pub content: Content,
}

impl Revision {
    /// `family:revision`, as a successor names its base.
    pub fn name(&self) -> String {
        format!("{}:{}", self.family, self.revision)
    }

    /// Whether it was made by an operator from that one: both tags of ownership say so, besides the one of its base.
    pub fn succeeds(&self, base: &Revision) -> bool {
        let marked = [TAG_ENVIRONMENT, TAG_MANAGED_BY].iter().all(|tag| self.owner.contains_key(*tag));
        marked && self.arn != base.arn && self.base.as_deref().is_some_and(|name| names(name, base))
    }
}

/// Whether `name` is `family:revision` of a revision, without formatting it.
fn names(name: &str, revision: &Revision) -> bool {
    name.strip_prefix(revision.family.as_str())
        .and_then(|rest| rest.strip_prefix(':'))
        .and_then(|number| number.parse::<u32>().ok())
        .is_some_and(|number| number == revision.revision)
}

/// What AWS says of a family.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// The revision that the service runs; without a service the family's newest.
    pub current: Arc<Revision>,
    /// Whether `current` is ACTIVE: no new deployment can use one that is not.
    pub active: bool,
    /// The family's newest revision, when we made it from `current`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<Arc<Revision>>,
}

impl Observed {
    /// The revision that the service shall run, unless a step is planned.
    pub fn wanted(&self) -> &Revision {
        self.successor.as_deref().unwrap_or(&self.current)
    }
}
