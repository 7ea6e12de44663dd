//! What AWS says of a DB instance.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::Tags;
use serde::Serialize;
use serde_json::Value;

/// What AWS says of a DB instance. It holds nothing that changes by the minute, such as the latest restorable time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// ARN.
    pub arn: String,
    /// DB instance identifier.
    pub identifier: String,
    /// `available`, `modifying`, …
    pub status: String,
    /// When it was created; not known while it is being created.
    pub created_at: Option<Timestamp>,
    /// Host name to connect to.
    pub address: Option<String>,
    /// Port to connect to.
    pub port: Option<u32>,
    /// Engine.
    pub engine: String,
    /// Whole version.
    pub engine_version: String,
    /// Instance class.
    pub instance_class: String,
    /// First database.
    pub database_name: Option<String>,
    /// Allocated storage in GiB.
    pub storage_gib: u32,
    /// Up to where AWS grows the storage by itself, when it does.
    pub max_storage_gib: Option<u32>,
    /// Storage type.
    pub storage_type: String,
    /// Provisioned IOPS.
    pub iops: Option<u32>,
    /// Encryption at rest.
    pub encrypted: bool,
    /// Key of the encryption.
    pub kms_key_id: Option<String>,
    /// Standby in a second zone.
    pub multi_az: bool,
    /// Public address.
    pub publicly_accessible: bool,
    /// Whether AWS refuses to delete it.
    pub deletion_protection: bool,
    /// Whether AWS upgrades minor versions by itself.
    pub auto_minor_version_upgrade: bool,
    /// DB subnet group.
    pub subnet_group: Option<String>,
    /// Security groups.
    pub security_groups: BTreeSet<String>,
    /// Master user.
    pub master_username: Option<String>,
    /// ARN of the secret that RDS keeps the password in, when it does. Never the password.
    pub secret_arn: Option<String>,
    /// Days to keep automated backups; 0: there are none.
    pub retention_days: u32,
    /// Backup window, normalised.
    pub backup_window: String,
    /// Maintenance window, normalised.
    pub maintenance_window: String,
    /// All of `PendingModifiedValues`, by AWS's names. A password is shown as its presence only.
    pub pending: BTreeMap<String, Value>,
    /// Tags.
    pub tags: Option<Tags>,
}

impl Observed {
    /// A pending text.
    pub(super) fn pending_text(&self, name: &str) -> Option<String> {
        self.pending.get(name)?.as_str().map(str::to_owned)
    }

    /// A pending number.
    pub(super) fn pending_number(&self, name: &str) -> Option<u32> {
        self.pending.get(name)?.as_u64().and_then(|n| u32::try_from(n).ok())
    }

    /// A pending flag.
    pub(super) fn pending_flag(&self, name: &str) -> Option<bool> {
        self.pending.get(name)?.as_bool()
    }
}
