//! CloudWatch Logs' error codes. (CloudWatch Logs API Reference, errors of each operation.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    Some(match code {
        "ResourceNotFoundException" => (Class::NotFound, Effect::NotApplied),
        "ResourceAlreadyExistsException" | "OperationAbortedException" => (Class::Conflict, Effect::NotApplied),
        "LimitExceededException" => (Class::Quota, Effect::NotApplied),
        "InvalidParameterException" => (Class::Invalid, Effect::NotApplied),
        "ServiceUnavailableException" => (Class::Transient, Effect::Unknown),
        _ => return None,
    })
}
