//! What the document wants of the DB instance.

use std::collections::BTreeSet;

use engine::Expansion;
use model::schedule::{DailyWindow, WeeklyWindow};
use model::{Environment, Tags};
use serde::Serialize;

/// What the document wants of the DB instance. `None`: not managed.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// DB instance identifier.
    pub identifier: String,
    /// Engine; used at creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// `major` or `major.minor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// Instance class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_class: Option<String>,
    /// First database; used at creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_name: Option<String>,
    /// Allocated storage in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_gib: Option<u32>,
    /// Storage type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<String>,
    /// Provisioned IOPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<u32>,
    /// Encryption at rest; used at creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// Key of the encryption; used at creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// Standby in a second zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_az: Option<bool>,
    /// Public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publicly_accessible: Option<bool>,
    /// Whether AWS refuses to delete it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// Whether AWS upgrades minor versions by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_minor_version_upgrade: Option<bool>,
    /// DB subnet group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_group: Option<String>,
    /// Security groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<BTreeSet<String>>,
    /// Master user; used at creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_username: Option<String>,
    /// Whether RDS keeps the master password in Secrets Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_password: Option<bool>,
    /// Days to keep automated backups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// Backup window, normalised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_window: Option<String>,
    /// Maintenance window, normalised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_window: Option<String>,
    /// Tags given at creation.
    pub tags: Tags,
}

/// A daily window as AWS would write it; what cannot be read stays as it is.
pub(super) fn daily(text: &str) -> String {
    DailyWindow::parse(text).map_or_else(|_| text.to_owned(), |window| window.to_string())
}

/// A weekly window as AWS would write it.
pub(super) fn weekly(text: &str) -> String {
    WeeklyWindow::parse(text).map_or_else(|_| text.to_owned(), |window| window.to_string())
}

/// The one instance.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let Some(spec) = &environment.spec.database else { return };
    let backups = spec.backups.clone().unwrap_or_default();
    let desired = Desired {
        identifier: spec.identifier.clone(),
        engine: spec.engine.clone(),
        engine_version: spec.engine_version.clone(),
        instance_class: spec.instance_class.clone(),
        database_name: spec.database_name.clone(),
        storage_gib: spec.storage_gib,
        storage_type: spec.storage_type.clone(),
        iops: spec.iops,
        encrypted: spec.encrypted,
        kms_key_id: spec.kms_key_id.clone(),
        multi_az: spec.multi_az,
        publicly_accessible: spec.publicly_accessible,
        deletion_protection: spec.deletion_protection,
        auto_minor_version_upgrade: spec.auto_minor_version_upgrade,
        // AWS keeps names of subnet groups in lower case. (RDS API Reference, CreateDBSubnetGroup.)
        subnet_group: spec.subnet_group.as_ref().map(|group| group.existing.to_ascii_lowercase()),
        security_groups: spec.security_groups.as_ref().map(|groups| groups.iter().cloned().collect()),
        master_username: spec.master_username.clone(),
        managed_password: spec.master_password.map(|password| password.managed_by_aws),
        retention_days: backups.retention_days,
        backup_window: backups.window.as_deref().map(daily),
        maintenance_window: spec.maintenance_window.as_deref().map(weekly),
        tags: expansion.tags().clone(),
    };
    expansion.add(&spec.identifier, "spec.database", desired);
}
