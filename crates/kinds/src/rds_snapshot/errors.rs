//! RDS's error codes for snapshots. (RDS API Reference, errors of each operation.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    let class = match code {
        "DBInstanceNotFound" | "DBSnapshotNotFound" => Class::NotFound,
        "DBSnapshotAlreadyExists" => Class::Conflict,
        "InvalidDBInstanceState" | "InvalidDBSnapshotState" => Class::NotYet,
        "SnapshotQuotaExceeded" => Class::Quota,
        _ => return None,
    };
    Some((class, Effect::NotApplied))
}
