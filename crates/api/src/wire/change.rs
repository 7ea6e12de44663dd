//! `Change` on the wire.

use serde_json::{Map, Value, json};
use store::ChangeRow;

use super::{API_VERSION, labels_of_environment, metadata, time};

/// A change: what was asked for, by whom, and what became of it.
pub(crate) fn change(row: &ChangeRow) -> Value {
    let mut meta = metadata(&row.name, row.uid, row.resource_version, row.created_at);
    meta.labels = Some(labels_of_environment(&row.environment));
    let mut status = Map::new();
    status.insert("phase".to_owned(), json!(row.phase));
    status.insert("author".to_owned(), json!(row.author));
    status.insert("plan".to_owned(), row.plan.clone());
    let mut some = |field: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            status.insert(field.to_owned(), value);
        }
    };
    some("planHash", row.plan_hash.as_ref().map(|hash| json!(hash)));
    some("revision", row.revision.map(|revision| json!(revision)));
    some("approvals", row.approvals.as_array().filter(|all| !all.is_empty()).map(|all| json!(all)));
    some("outcome", Some(row.outcome.clone()));
    some("expiresAt", row.expires_at.map(time));
    some("finishedAt", row.finished_at.map(time));
    json!({
        "apiVersion": API_VERSION,
        "kind": "Change",
        "metadata": meta,
        "spec": { "environment": row.environment, "message": row.message, "patch": row.patch },
        "status": status,
    })
}
