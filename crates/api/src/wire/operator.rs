//! `Operator` on the wire: the whole installation.

use serde_json::{Map, Value, json};
use store::{LeaseRow, OperatorRow};

use super::{API_VERSION, metadata};

/// The installation's settings, and who works on which account.
pub(crate) fn operator(row: &OperatorRow, leases: &[LeaseRow]) -> Value {
    let mut meta = metadata("default", row.uid, row.resource_version, row.created_at);
    meta.generation = Some(row.generation);
    let mut status = match &row.status {
        Value::Object(status) => status.clone(),
        _ => Map::new(),
    };
    status.insert("shards".to_owned(), Value::Array(leases.iter().map(shard).collect()));
    json!({
        "apiVersion": API_VERSION,
        "kind": "Operator",
        "metadata": meta,
        "spec": {
            "mode": row.mode,
            "blastRadius": { "count": row.caps.count, "share": row.caps.share },
        },
        "status": status,
    })
}

fn shard(lease: &LeaseRow) -> Value {
    let held = !lease.remaining.is_zero();
    json!({
        "account": lease.shard,
        "held": held,
        "holder": lease.holder,
        "epoch": lease.epoch,
        "remaining": format!("{}s", lease.remaining.as_secs()),
        "heldFor": format!("{}s", lease.held_for.as_secs()),
    })
}
