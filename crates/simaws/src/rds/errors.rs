//! RDS's errors, by the codes that clients see (RDS API Reference, errors of each operation).
use crate::AwsError;

pub(super) fn value(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterValue", message)
}

pub(super) fn combination(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterCombination", message)
}

pub(super) fn instance_not_found(id: &str) -> AwsError {
    AwsError::new("DBInstanceNotFound", format!("DBInstance {id} not found.")).status(404)
}

pub(super) fn instance_state(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidDBInstanceState", message)
}

pub(super) fn snapshot_not_found(id: &str) -> AwsError {
    AwsError::new("DBSnapshotNotFound", format!("DBSnapshot {id} not found.")).status(404)
}

pub(super) fn snapshot_state(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidDBSnapshotState", message)
}

pub(super) fn snapshot_exists(id: &str) -> AwsError {
    let message = format!("Cannot create the snapshot because a snapshot with the identifier {id} already exists.");
    AwsError::new("DBSnapshotAlreadyExists", message)
}

pub(super) fn same_network(id: &str, group: &str) -> AwsError {
    let message = format!(
        "You cannot move DB instance {id} to subnet group {group}. The specified DB subnet group and DB instance are in \
         the same VPC. Choose a DB subnet group in different VPC than the specified DB instance and try again."
    );
    AwsError::new("InvalidVPCNetworkStateFault", message)
}

pub(super) fn subnet_group_not_found(name: &str) -> AwsError {
    AwsError::new("DBSubnetGroupNotFoundFault", format!("DB subnet group '{name}' does not exist.")).status(404)
}

pub(super) fn key_not_accessible(key: Option<&str>) -> AwsError {
    let key = key.map_or_else(|| "None".to_owned(), str::to_owned);
    let message = format!(
        "The target KMS key [{key}] does not exist, is not enabled or you do not have permissions to access it."
    );
    AwsError::new("KMSKeyNotAccessibleFault", message)
}

pub(super) fn bad_marker() -> AwsError {
    value("Invalid marker.")
}
