//! `Namespace` on the wire. There is one, and it means nothing: events must be in some.

use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};
use serde_json::{Value, json};
use store::OperatorRow;

use super::metadata;

/// Environments have no namespace; events, which must have one in Kubernetes, are said to be in this one.
pub(crate) const NAMESPACE: &str = "default";

/// The namespace, which is as old as the installation.
pub(crate) fn namespace(row: &OperatorRow) -> Value {
    // Its version is not the installation's: it never changes.
    let metadata = metadata(NAMESPACE, row.uid, 1, row.created_at);
    let status = NamespaceStatus { phase: Some("Active".to_owned()), ..NamespaceStatus::default() };
    json!(Namespace { metadata, status: Some(status), ..Namespace::default() })
}
