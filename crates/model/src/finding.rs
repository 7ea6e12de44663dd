//! What a diagnosis found: in what state something is, what shows it, and what helps. Data only; never a secret value, and
//! no line of an application's log.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;

/// How much a finding matters. The greatest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Severity {
    /// Something does not work and will not come to work by itself.
    Error,
    /// It may be why something does not work, or will not.
    Warning,
    /// Good to know: under way, left alone on purpose.
    Info,
}

/// What shows it: what somebody said, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Who said it: the AWS operation as IAM names it, or the part of the daemon.
    pub source: Cow<'static, str>,
    /// The words.
    pub said: String,
    /// When it happened, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// CamelCase.
    pub reason: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// What a person can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What shows it, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

impl Finding {
    /// A finding without evidence and remedy.
    pub fn new(severity: Severity, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { severity, reason: reason.into(), message: message.into(), remedy: None, evidence: Vec::new() }
    }

    /// With what helps.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// With what shows it.
    #[must_use]
    pub fn shown_by(
        mut self,
        source: impl Into<Cow<'static, str>>,
        said: impl Into<String>,
        at: Option<Timestamp>,
    ) -> Self {
        self.evidence.push(Evidence { source: source.into(), said: said.into(), at });
        self
    }
}
