//! `Change` on the wire.

use model::Risk;
use serde::Deserialize as _;
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
    let open = row.finished_at.is_none();
    some("origin", row.origin.as_ref().map(|origin| json!(origin)));
    some("risk", risk(&row.plan).map(|risk| json!(risk)));
    some("planHash", row.plan_hash.as_ref().map(|hash| json!(hash)));
    some("requires", Some(row.requires.clone()).filter(|_| row.plan_hash.is_some()));
    some("approvals", row.approvals.as_array().filter(|all| !all.is_empty()).map(|all| json!(all)));
    some("waiting", Some(row.waiting.clone()));
    some("revision", row.revision.map(|revision| json!(revision)));
    some("baseRevision", row.base_revision.map(|revision| json!(revision)));
    some("appliedAt", row.applied_at.map(time));
    some("outcome", Some(row.outcome.clone()));
    some("expiresAt", row.expires_at.filter(|_| open && row.phase != "Applying").map(time));
    some("finishedAt", row.finished_at.map(time));
    let mut spec = json!({ "environment": row.environment, "message": row.message, "patch": row.patch });
    if let Some(apply) = &row.apply {
        spec["apply"] = json!(apply);
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": "Change",
        "metadata": meta,
        "spec": spec,
        "status": status,
    })
}

/// The highest risk among the steps of a plan.
fn risk(plan: &Value) -> Option<Risk> {
    let resources = plan.get("resources")?.as_array()?;
    resources.iter().filter_map(|resource| Risk::deserialize(resource.get("risk")?).ok()).max()
}
