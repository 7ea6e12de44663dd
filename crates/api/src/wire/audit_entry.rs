//! `AuditEntry` on the wire. What was hashed is spec; its place in the chain, and what followed, is status.

use serde_json::{Map, Value, json};
use store::{AuditRow, JournalRow};

use super::{API_VERSION, labels_of_environment, metadata, time};

/// An entry, with at most so many of the acts that followed. `None`: they were not looked for.
pub(crate) fn audit_entry(row: &AuditRow, acts: Option<&[JournalRow]>, most: usize) -> Value {
    let mut meta = metadata(&row.name(), row.uid, row.resource_version, row.occurred_at);
    if !row.environment.is_empty() {
        meta.labels = Some(labels_of_environment(&row.environment));
    }
    let mut status = Map::new();
    status.insert("previousHash".to_owned(), json!(row.previous));
    status.insert("hash".to_owned(), json!(row.hash));
    if let Some(acts) = acts.filter(|acts| !acts.is_empty()) {
        status.insert("acts".to_owned(), acts.iter().take(most).map(act).collect());
        if acts.len() > most {
            status.insert("moreActs".to_owned(), json!(true));
        }
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": "AuditEntry",
        "metadata": meta,
        "spec": row.content,
        "status": status,
    })
}

fn act(row: &JournalRow) -> Value {
    let mut act = json!({
        "operation": row.step,
        "risk": row.risk,
        "resource": { "kind": row.resource.kind, "identity": row.resource.identity, "region": row.resource.region },
        "begunAt": time(row.begun_at),
        // Begun, and not known how it ended.
        "outcome": row.outcome.map_or("Unknown", Into::into),
    });
    for (field, value) in [("requestId", &row.request_id), ("errorClass", &row.error_class)] {
        if let Some(value) = value {
            act[field] = json!(value);
        }
    }
    if let Some(effective) = row.effective {
        act["effective"] = json!(effective);
    }
    act
}
