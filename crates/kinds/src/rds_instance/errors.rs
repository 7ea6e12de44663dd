//! RDS's error codes for instances. (RDS API Reference, errors of each operation.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    let class = match code {
        "DBInstanceNotFound" => Class::NotFound,
        "DBInstanceAlreadyExists" | "DBSnapshotAlreadyExists" => Class::Conflict,
        // Busy, or no machine of that class is free now.
        "InvalidDBInstanceState" | "InsufficientDBInstanceCapacity" => Class::NotYet,
        "InstanceQuotaExceeded" | "StorageQuotaExceeded" | "SnapshotQuotaExceeded" => Class::Quota,
        "DBSubnetGroupNotFoundFault"
        | "DBSubnetGroupDoesNotCoverEnoughAZs"
        | "DBParameterGroupNotFound"
        | "InvalidSubnet"
        | "InvalidVPCNetworkStateFault"
        | "KMSKeyNotAccessibleFault"
        | "StorageTypeNotSupported"
        | "ProvisionedIopsNotAvailableInAZFault"
        | "DBUpgradeDependencyFailure" => Class::Invalid,
        _ => return None,
    };
    Some((class, Effect::NotApplied))
}
