//! What a DB instance's status means. (Amazon RDS User Guide, "Viewing Amazon RDS DB instance status".)

use engine::Health;

/// What may be done, and what to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It serves, and takes modifications.
    Available,
    /// It serves, and is busy with something that interrupts nothing.
    Serving,
    /// It is on its way somewhere, and may not serve meanwhile.
    Busy,
    /// Its storage is full: it takes growth and nothing else.
    StorageFull,
    /// It is being deleted.
    Deleting,
    /// It stays so until someone does something.
    Stuck,
}

/// Reads a status. One that is new to us counts as busy: it is waited for, never acted on.
pub(super) fn of(status: &str) -> Status {
    match status {
        "available" => Status::Available,
        "backing-up"
        | "storage-optimization"
        | "storage-config-upgrade"
        | "storage-initialization"
        | "configuring-enhanced-monitoring"
        | "configuring-iam-database-auth"
        | "configuring-log-exports"
        | "configuring-associated-roles" => Status::Serving,
        "storage-full" => Status::StorageFull,
        "deleting" | "delete-precheck" => Status::Deleting,
        "failed"
        | "stopped"
        | "restore-error"
        | "insufficient-capacity"
        | "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable" => Status::Stuck,
        other if other.starts_with("incompatible-") => Status::Stuck,
        _ => Status::Busy,
    }
}

/// Whether an instance in this status serves.
pub(super) fn health(identifier: &str, status: &str) -> Health {
    let message = format!("{identifier} is {status}");
    match of(status) {
        Status::Available | Status::Serving => Health::Ready,
        Status::Busy => Health::Progressing { reason: "InstanceBusy", message },
        Status::Deleting => Health::Progressing { reason: "Deleting", message },
        Status::StorageFull => Health::Stalled {
            reason: "StorageFull",
            message: format!("{identifier} is {status}: declare a larger spec.database.storageGib"),
        },
        Status::Stuck => Health::Stalled { reason: "InstanceNotAvailable", message },
    }
}
