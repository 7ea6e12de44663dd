//! RDS's error codes for copies of snapshots. (RDS API Reference, CopyDBSnapshot and DeleteDBSnapshot.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    let class = match code {
        "DBSnapshotNotFound" => Class::NotFound,
        "DBSnapshotAlreadyExists" => Class::Conflict,
        // The limit of copies in progress has the same code as the quota of snapshots, and is the usual reason: others'
        // copies end, and ours are pruned, so it is asked again either way.
        "InvalidDBSnapshotState" | "SnapshotQuotaExceeded" => Class::NotYet,
        "KMSKeyNotAccessibleFault" => Class::Invalid,
        _ => return None,
    };
    Some((class, Effect::NotApplied))
}
