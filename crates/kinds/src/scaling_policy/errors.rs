//! Application Auto Scaling's error codes. (Application Auto Scaling API Reference, errors of each operation.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    Some(match code {
        "ObjectNotFoundException" | "ResourceNotFoundException" => (Class::NotFound, Effect::NotApplied),
        // Another change of the same target is under way.
        "ConcurrentUpdateException" => (Class::NotYet, Effect::NotApplied),
        "LimitExceededException" | "TooManyTagsException" => (Class::Quota, Effect::NotApplied),
        "FailedResourceAccessException" => (Class::Denied, Effect::NotApplied),
        "InvalidNextTokenException" => (Class::Invalid, Effect::NotApplied),
        "InternalServiceException" => (Class::Transient, Effect::Unknown),
        _ => return None,
    })
}
