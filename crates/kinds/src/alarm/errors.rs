//! CloudWatch's error codes for alarms. (CloudWatch API Reference, errors of each operation.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    Some(match code {
        "ResourceNotFound" | "ResourceNotFoundException" => (Class::NotFound, Effect::NotApplied),
        // The quota of alarms of the account, not a throttle.
        "LimitExceeded" | "LimitExceededFault" => (Class::Quota, Effect::NotApplied),
        "ConcurrentModificationException" | "ConflictException" => (Class::Conflict, Effect::NotApplied),
        "InvalidFormat"
        | "InvalidFormatFault"
        | "InvalidParameterValueException"
        | "InvalidParameterCombinationException"
        | "MissingRequiredParameterException"
        | "InvalidNextToken" => (Class::Invalid, Effect::NotApplied),
        _ => return None,
    })
}
