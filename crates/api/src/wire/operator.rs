//! `Operator` on the wire: the whole installation.

use serde_json::{Map, Value, json};
use store::{LeaseRow, OperatorRow, ReceiverRow};

use super::{API_VERSION, metadata};

/// What is joined to the installation when it is shown.
#[derive(Default)]
pub(crate) struct Working {
    /// Who works on what.
    pub(crate) leases: Vec<LeaseRow>,
    /// How those fare who are told of events.
    pub(crate) receivers: Vec<ReceiverRow>,
}

/// The installation's settings, who works on which account, and how the receivers of notifications fare.
pub(crate) fn operator(row: &OperatorRow, working: &Working) -> Value {
    let mut meta = metadata("default", row.uid, row.resource_version, row.created_at);
    meta.generation = Some(row.generation);
    let mut status = match &row.status {
        Value::Object(status) => status.clone(),
        _ => Map::new(),
    };
    let (accounts, tasks): (Vec<&LeaseRow>, Vec<&LeaseRow>) =
        working.leases.iter().partition(|lease| is_account(lease));
    let all = |leases: &[&LeaseRow], named: &str| leases.iter().map(|lease| shard(lease, named)).collect::<Value>();
    status.insert("shards".to_owned(), all(&accounts, "account"));
    // What one replica does for all: the audit's chain, notifications.
    status.insert("tasks".to_owned(), all(&tasks, "task"));
    status.insert("notifications".to_owned(), working.receivers.iter().map(receiver).collect());
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

/// Why a receiver heard nothing: it is away, or there was nothing to tell it since.
fn receiver(row: &ReceiverRow) -> Value {
    let mut shown = json!({
        "receiver": row.name,
        "state": if row.failing_since.is_some() { "Failing" } else { "Healthy" },
        "toldSince": row.enrolled_at,
        "waiting": row.waiting,
    });
    if row.waiting > 0 {
        shown["oldest"] = json!(format!("{}s", row.oldest.as_secs()));
    }
    if let Some(at) = row.last_delivered_at {
        shown["lastDeliveredAt"] = json!(at);
    }
    if let Some(since) = row.failing_since {
        shown["failingSince"] = json!(since);
        shown["failures"] = json!(row.failures);
    }
    if let Some(error) = &row.last_error {
        shown["lastError"] = json!(error);
    }
    shown
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
