//! `ApplyImmediately` makes everything pending hold, not just what is sent with it: what that would be, and what it risks.
//! (RDS API Reference, ModifyDBInstance, ApplyImmediately.) Pure.

use std::collections::BTreeMap;

use model::{FieldChange, Risk};
use serde_json::Value;

use super::Observed;
use super::diff::Part;
use super::plan::Settings;

/// What each pending value risks when it comes to hold.
pub(super) fn flushed(observed: &Observed) -> BTreeMap<String, (FieldChange, Risk)> {
    let risk = |name: &str, value: &Value| match (name, value) {
        ("AllocatedStorage" | "PendingCloudwatchLogsExports", _) => Risk::Safe,
        ("BackupRetentionPeriod", value) => match value.as_u64() {
            Some(days) if days > 0 && observed.retention_days == 0 => Risk::Disruptive,
            Some(days) if days >= u64::from(observed.retention_days) => Risk::Safe,
            _ => Risk::Destructive,
        },
        // Another name is another endpoint; another password locks out whoever uses the present one.
        ("DBInstanceIdentifier" | "MasterUserPassword" | "Engine", _) => Risk::Destructive,
        _ => Risk::Disruptive,
    };
    let entry = |(name, value): (&String, &Value)| {
        let change = FieldChange::new(format!("pendingModifiedValues.{name}"), value.clone(), "applied now");
        (name.clone(), (change, risk(name, value)))
    };
    observed.pending.iter().map(entry).collect()
}

/// Which of AWS's pending names a call replaces.
fn replaces(settings: &Settings, name: &str) -> bool {
    match name {
        "AllocatedStorage" => settings.storage_gib.is_some(),
        "DBInstanceClass" => settings.instance_class.is_some(),
        "StorageType" => settings.storage_type.is_some(),
        "Iops" => settings.iops.is_some(),
        "MultiAZ" => settings.multi_az.is_some(),
        "EngineVersion" => settings.engine_version.is_some(),
        "BackupRetentionPeriod" => settings.retention_days.is_some(),
        "DBSubnetGroupName" => settings.subnet_group.is_some(),
        _ => false,
    }
}

/// `ApplyImmediately` makes everything pending hold, so the call shows and risks that too.
pub(super) fn flush(part: &mut Part, flushed: &BTreeMap<String, (FieldChange, Risk)>) {
    for (name, (change, risk)) in flushed {
        if !replaces(&part.settings, name) {
            part.changes.push(change.clone());
            part.risk = part.risk.max(*risk);
            if !part.reasons.contains(&"applies what is pending") {
                part.reasons.push("applies what is pending");
            }
        }
    }
}

/// Makes one call of two that are both sent with `ApplyImmediately`.
pub(super) fn merge(into: &mut Part, part: Part) {
    let Settings {
        engine_version,
        allow_major_version_upgrade,
        instance_class,
        storage_gib,
        storage_type,
        iops,
        multi_az,
        subnet_group,
        retention_days,
        // These never wait for ApplyImmediately.
        publicly_accessible: _,
        deletion_protection: _,
        auto_minor_version_upgrade: _,
        security_groups: _,
        managed_password: _,
        backup_window: _,
        maintenance_window: _,
    } = part.settings;
    let own = &mut into.settings;
    own.engine_version = own.engine_version.take().or(engine_version);
    own.allow_major_version_upgrade = own.allow_major_version_upgrade.or(allow_major_version_upgrade);
    own.instance_class = own.instance_class.take().or(instance_class);
    own.storage_gib = own.storage_gib.or(storage_gib);
    own.iops = own.iops.or(iops);
    own.storage_type = own.storage_type.take().or(storage_type);
    own.multi_az = own.multi_az.or(multi_az);
    own.subnet_group = own.subnet_group.take().or(subnet_group);
    own.retention_days = own.retention_days.or(retention_days);
    into.risk = into.risk.max(part.risk);
    into.changes.extend(part.changes);
    into.reasons.extend(part.reasons);
}
