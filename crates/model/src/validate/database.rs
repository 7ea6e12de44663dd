//! Checks of `spec.database`.

use super::{names, range, services};
use crate::env::{DatabaseSpec, Environment, SnapshotSpec};
use crate::problem::{Problems, Reason};
use crate::schedule::{CronSchedule, DailyWindow, WeeklyWindow};

const PATH: &str = "spec.database";

pub(super) fn check(environment: &Environment, database: &DatabaseSpec, problems: &mut Problems) {
    if !names::is_rds_identifier(&database.identifier) {
        let message = format!("{}, all in lower case", names::RDS_IDENTIFIER);
        problems.add(format!("{PATH}.identifier"), Reason::FieldValueInvalid, message);
    }
    if database.engine.as_deref().is_some_and(|engine| engine != "postgres") {
        problems.add(format!("{PATH}.engine"), Reason::FieldValueNotSupported, "must be postgres");
    }
    if let Some(version) = &database.engine_version {
        let number = |t: &str| !t.is_empty() && t.len() < 4 && t.bytes().all(|b| b.is_ascii_digit());
        if version.split('.').count() > 2 || !version.split('.').all(number) {
            problems.add(
                format!("{PATH}.engineVersion"),
                Reason::FieldValueInvalid,
                "must be major or major.minor, such as 16 or \"16.4\"",
            );
        }
    }
    if database.instance_class.as_ref().is_some_and(|class| !class.starts_with("db.") || class.split('.').count() != 3)
    {
        problems.add(
            format!("{PATH}.instanceClass"),
            Reason::FieldValueInvalid,
            "must be a DB instance class such as db.t3.medium",
        );
    }
    for (field, name) in [("databaseName", &database.database_name), ("masterUsername", &database.master_username)] {
        let fits = |name: &String| {
            (1..=63).contains(&name.len())
                && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if name.as_ref().is_some_and(|name| !fits(name)) {
            problems.add(
                format!("{PATH}.{field}"),
                Reason::FieldValueInvalid,
                "must be 1 to 63 letters, digits and underscores, not starting with a digit",
            );
        }
    }
    if database.master_username.as_deref() == Some("rdsadmin") {
        problems.add(format!("{PATH}.masterUsername"), Reason::FieldValueForbidden, "is reserved by RDS");
    }
    // Amazon RDS User Guide, "Amazon RDS DB instance storage": 20 GiB to 64 TiB for PostgreSQL.
    range(problems, format!("{PATH}.storageGib"), database.storage_gib, 20, 65_536);
    if let Some(kind) = &database.storage_type
        && !["gp2", "gp3", "io1", "io2", "standard"].contains(&kind.as_str())
    {
        problems.add(
            format!("{PATH}.storageType"),
            Reason::FieldValueNotSupported,
            "must be gp2, gp3, io1, io2 or standard",
        );
    }
    // Amazon RDS User Guide, "Amazon RDS DB instance storage": the least and the most of all types that have them.
    range(problems, format!("{PATH}.iops"), database.iops, 1_000, 256_000);
    if database.iops.is_some()
        && database.storage_type.as_deref().is_some_and(|kind| kind == "gp2" || kind == "standard")
    {
        let message = "only the storage types io1, io2 and gp3 have provisioned IOPS";
        problems.add(format!("{PATH}.iops"), Reason::FieldValueForbidden, message);
    }
    if database.kms_key_id.is_some() && database.encrypted != Some(true) {
        problems.add(format!("{PATH}.kmsKeyId"), Reason::FieldValueForbidden, "needs encrypted: true");
    }
    if database.security_groups.as_ref().is_some_and(Vec::is_empty) {
        // RDS takes an empty list for none given. (RDS API Reference, ModifyDBInstance, VpcSecurityGroupIds.)
        problems.add(
            format!("{PATH}.securityGroups"),
            Reason::FieldValueInvalid,
            "must name one at least: a DB instance always has a security group. Leave it out to leave them as they are",
        );
    }
    services::ids(problems, PATH, "securityGroups", database.security_groups.as_ref(), "sg");
    windows(database, problems);
    if let Some(snapshots) = &database.snapshots {
        check_snapshots(environment, database, snapshots, problems);
    }
}

fn windows(database: &DatabaseSpec, problems: &mut Problems) {
    let backups = database.backups.as_ref();
    range(problems, format!("{PATH}.backups.retentionDays"), backups.and_then(|b| b.retention_days), 0, 35);
    let daily = backups.and_then(|b| b.window.as_ref()).and_then(|window| match DailyWindow::parse(window) {
        Ok(daily) => Some(daily),
        Err(message) => {
            problems.add(format!("{PATH}.backups.window"), Reason::FieldValueInvalid, message);
            None
        }
    });
    let weekly = database.maintenance_window.as_ref().and_then(|window| match WeeklyWindow::parse(window) {
        Ok(weekly) => Some(weekly),
        Err(message) => {
            problems.add(format!("{PATH}.maintenanceWindow"), Reason::FieldValueInvalid, message);
            None
        }
    });
    if let (Some(daily), Some(weekly)) = (daily, weekly)
        && weekly.overlaps(daily)
    {
        problems.add(
            format!("{PATH}.maintenanceWindow"),
            Reason::FieldValueInvalid,
            format!("overlaps backups.window {daily}; RDS refuses that (they may touch)"),
        );
    }
}

fn check_snapshots(
    environment: &Environment,
    database: &DatabaseSpec,
    snapshots: &SnapshotSpec,
    problems: &mut Problems,
) {
    let path = format!("{PATH}.snapshots");
    if let Err(message) = CronSchedule::parse(&snapshots.schedule, "UTC") {
        problems.add(format!("{path}.schedule"), Reason::FieldValueInvalid, message);
    }
    // RDS allows 100 manual snapshots in a region (Amazon RDS User Guide, quotas).
    range(problems, format!("{path}.keep"), Some(snapshots.keep), 1, 100);
    if snapshots.prefix.as_ref().is_some_and(|prefix| !names::is_rds_identifier(prefix)) {
        problems.add(format!("{path}.prefix"), Reason::FieldValueInvalid, names::RDS_IDENTIFIER);
    }
    if snapshots.max_age.is_some_and(|age| age.as_secs() < 60) {
        problems.add(format!("{path}.maxAge"), Reason::FieldValueInvalid, "must be at least 1m");
    }
    let mut regions = std::collections::BTreeSet::new();
    for (n, copy) in snapshots.copy_to.iter().enumerate() {
        let at = format!("{path}.copyTo[{n}]");
        range(problems, format!("{at}.keep"), Some(copy.keep), 1, 100);
        if copy.region == environment.spec.aws.region {
            problems.add(format!("{at}.region"), Reason::FieldValueInvalid, "is the home region");
        }
        if !regions.insert(copy.region.clone()) {
            problems.add(format!("{at}.region"), Reason::FieldValueDuplicate, "is named twice");
        }
        match &copy.kms_key_id {
            None if database.encrypted == Some(true) => problems.add(
                format!("{at}.kmsKeyId"),
                Reason::FieldValueRequired,
                "must be given: the copy of an encrypted snapshot needs a key of the target region",
            ),
            Some(key) if names::arn(key).is_some_and(|arn| arn.region != copy.region.as_str()) => {
                problems.add(
                    format!("{at}.kmsKeyId"),
                    Reason::FieldValueInvalid,
                    format!("is no key of {}", copy.region),
                );
            }
            Some(_) | None => {}
        }
    }
}
