//! The audit trail: who wrote what, from where, and what AWS was asked to do because of it.
//!
//! Flow: a writing transaction says what it did (`Act`) and puts down its pen, which inserts the entry into
//! `audit_pending` in the same statement as the log; `chain` moves entries behind into the chain of hashes; `read` shows
//! them with the journal's acts; `verify` (pure) walks the chain.
//!
//! Guarantees: an accepted write and its entry commit together. Entries of writes stand in the order of commits, since
//! the pen is held while they are inserted. The database refuses to change or lose one (`migrations/`).

mod act;
mod chain;
mod read;
mod verify;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub(crate) use act::{Act, change_fields, masked_patch, metadata_fields, nested, raised};
pub use chain::{AUDIT_SHARD, Chained};
pub use read::{AuditFilter, AuditState};
pub use verify::{Broken, Checkpoint, Head, Link, Verifier};

use crate::pool::Store;

/// How the API names the kind, also in the object log.
pub(crate) const KIND: &str = "AuditEntry";

/// Who writes where nobody else is named: the daemon itself.
pub const DAEMON: &str = "system:operator";

/// Who asks for a write, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who.
    pub actor: String,
    /// The groups that the actor is in.
    pub groups: Vec<String>,
    /// Address of the client.
    pub address: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Id of the request, as the answer's header told it.
    pub request_id: Option<Uuid>,
    /// Method and path of the request.
    pub request: Option<String>,
    /// What is asked for, where the statement itself does not tell: `patch`, `rollback`, `approve`, `reject`.
    pub verb: Option<&'static str>,
    /// The caller's clock.
    pub at: Timestamp,
}

/// A request that was refused before it could write anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked for.
    pub verb: String,
    /// Kind of the object.
    pub kind: String,
    /// Its name; empty where the request names none.
    pub name: String,
    /// Name of the environment; empty where the request names none.
    pub environment: String,
    /// HTTP status.
    pub code: u16,
    /// Why.
    pub message: String,
    /// How often within a short time.
    pub count: u64,
}

/// One entry of the chain. Also what the object log holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Place in the chain, from 1, without gaps.
    pub sequence: i64,
    /// When it was chained, in the store's order.
    pub resource_version: i64,
    /// Identity; given when it happened.
    pub uid: Uuid,
    /// When it happened, by the database's clock.
    pub occurred_at: Timestamp,
    /// Name of the environment; empty for the installation itself.
    pub environment: String,
    /// The environment itself.
    pub environment_uid: Option<Uuid>,
    /// The generation that the write left in force, where AWS may be asked for something because of it.
    pub generation: Option<i64>,
    /// Acts for that generation count from then on; none: all of them.
    pub acts_since: Option<Timestamp>,
    /// All of the entry, as it was hashed.
    pub content: Value,
    /// The hash before, in hexadecimal.
    pub previous: String,
    /// Its own.
    pub hash: String,
}

impl AuditRow {
    /// The name under which the API shows it: the number with leading zeros, so that names sort by it.
    pub fn name(&self) -> String {
        name_of(self.sequence)
    }
}

pub(crate) fn name_of(sequence: i64) -> String {
    format!("{sequence:012}")
}

impl Store {
    /// The same store, in the name of somebody: what is written through it is told as theirs in the audit trail. Through
    /// a store without an origin, writes are told as the author's that they name, or else as the daemon's own.
    pub fn acting_as(&self, origin: Origin) -> Self {
        self.with_origin(Some(Arc::new(origin)))
    }
}
