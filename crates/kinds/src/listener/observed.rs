//! What AWS says of a listener.

use std::collections::BTreeMap;

use model::Tags;
use serde::{Deserialize, Serialize};

/// What AWS says of a listener.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// ARN.
    pub arn: String,
    /// `HTTP` or `HTTPS`.
    pub protocol: Option<String>,
    /// ARN of the default certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// TLS policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_policy: Option<String>,
    /// The default action.
    pub action: DefaultAction,
    /// Tags; `None` while they are not known.
    pub tags: Option<Tags>,
}

/// A default action, normalised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DefaultAction {
    /// To another address.
    Redirect(Redirect),
    /// To target groups, by ARN, with their weights.
    Forward(BTreeMap<String, i32>),
    /// Something else that stands alone: a fixed response.
    Other(String),
    /// Several actions, such as a login before a forward. AWS hands out no client secret, so the whole cannot be put
    /// back with one of them changed.
    Several(Vec<String>),
}

/// A redirect. `None` and AWS's own placeholders mean the same: as requested.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Redirect {
    /// `HTTP`, `HTTPS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// `HTTP_301` or `HTTP_302`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}
