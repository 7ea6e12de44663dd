//! `spec.database`: the RDS instance, its automated backups, manual snapshots and their copies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Region;
use crate::quantity::Span;

/// The RDS instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseSpec {
    /// DB instance identifier.
    pub identifier: String,
    /// Engine; needed to create. `postgres`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Pinned `major` or `major.minor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// Instance class, such as `db.t3.medium`; needed to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_class: Option<String>,
    /// Name of the first database; used at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_name: Option<String>,
    /// Allocated storage in GiB; it cannot shrink. Needed to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_gib: Option<u32>,
    /// `gp2`, `gp3`, `io1`, `io2`, `standard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<String>,
    /// Provisioned IOPS: `io1` and `io2` need them, `gp3` may have more than come with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iops: Option<u32>,
    /// Encryption at rest; fixed at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// KMS key for encryption; fixed at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// Standby in a second zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_az: Option<bool>,
    /// Whether it has a public address. Always sent at creation: false when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publicly_accessible: Option<bool>,
    /// Whether AWS refuses to delete it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// Whether AWS upgrades minor versions by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_minor_version_upgrade: Option<bool>,
    /// DB subnet group, by name: `{ existing: … }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_group: Option<SubnetGroupRef>,
    /// Security group ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    /// Master user; needed to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_username: Option<String>,
    /// `{ managedByAws: true }`; needed to create. A literal password is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_password: Option<MasterPassword>,
    /// Automated backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<BackupSpec>,
    /// `ddd:hh:mm-ddd:hh:mm`, UTC, at least 30 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_window: Option<String>,
    /// Manual snapshots by schedule, and their copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<SnapshotSpec>,
}

/// A DB subnet group that is used and not managed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubnetGroupRef {
    /// Its name.
    pub existing: String,
}

/// Where the master password comes from. There is no way to write one down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MasterPassword {
    /// RDS keeps it in Secrets Manager and rotates it.
    pub managed_by_aws: bool,
}

impl<'de> Deserialize<'de> for MasterPassword {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The value itself must not appear in the error: it may be a password.
        const RULE: &str =
            "a literal password is refused: write { managedByAws: true }, and RDS keeps it in Secrets Manager";
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Form {
            managed_by_aws: bool,
        }
        let value = serde_json::Value::deserialize(deserializer)?;
        match serde_json::from_value::<Form>(value) {
            Ok(Form { managed_by_aws: true }) => Ok(Self { managed_by_aws: true }),
            Ok(_) | Err(_) => Err(serde::de::Error::custom(RULE)),
        }
    }
}

/// Automated backups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BackupSpec {
    /// Days to keep: 0 (off) to 35.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// `hh:mm-hh:mm`, UTC, at least 30 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
}

/// Manual snapshots by schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotSpec {
    /// First part of their names; from the identifier when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Five-field cron, UTC.
    pub schedule: String,
    /// How many of ours to keep; older ones are deleted.
    pub keep: u32,
    /// Copies in other regions, by region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy_to: Vec<SnapshotCopySpec>,
    /// `BackupHealthy` turns False when the newest is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
}

/// Copies of snapshots in another region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotCopySpec {
    /// Target region.
    pub region: Region,
    /// KMS key of the target region; needed for an encrypted instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// How many copies to keep there.
    pub keep: u32,
}
