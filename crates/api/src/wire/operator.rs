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
    let (accounts, tasks): (Vec<&LeaseRow>, Vec<&LeaseRow>) = leases.iter().partition(|lease| is_account(lease));
    let all = |leases: &[&LeaseRow], named: &str| leases.iter().map(|lease| shard(lease, named)).collect::<Value>();
    status.insert("shards".to_owned(), all(&accounts, "account"));
    // What one replica does for all: the audit's chain, notifications.
    status.insert("tasks".to_owned(), all(&tasks, "task"));
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

/// The other leases have names.
pub(crate) fn is_account(lease: &LeaseRow) -> bool {
    !lease.shard.is_empty() && lease.shard.bytes().all(|byte| byte.is_ascii_digit())
}

fn shard(lease: &LeaseRow, named: &str) -> Value {
    let held = !lease.remaining.is_zero();
    json!({
        (named): lease.shard,
        "held": held,
        "holder": lease.holder,
        "epoch": lease.epoch,
        "remaining": format!("{}s", lease.remaining.as_secs()),
        "heldFor": format!("{}s", lease.held_for.as_secs()),
    })
}
