//! Secrets Manager's error codes. (Secrets Manager API Reference, errors of each operation.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    Some(match code {
        "ResourceNotFoundException" => (Class::NotFound, Effect::NotApplied),
        "ResourceExistsException" | "PreconditionNotMetException" => (Class::Conflict, Effect::NotApplied),
        // Not valid for the current state: a rotation is on its way, or the secret was deleted meanwhile.
        "InvalidRequestException" => (Class::NotYet, Effect::NotApplied),
        // Documented as a quota, although the SDK's own list has this code among the throttles.
        "LimitExceededException" => (Class::Quota, Effect::NotApplied),
        "InvalidParameterException" | "MalformedPolicyDocumentException" | "InvalidNextTokenException" => {
            (Class::Invalid, Effect::NotApplied)
        }
        // The KMS key cannot be used: a matter of permission or of the key's state.
        "EncryptionFailure" | "DecryptionFailure" => (Class::Denied, Effect::NotApplied),
        "InternalServiceError" => (Class::Transient, Effect::Unknown),
        _ => return None,
    })
}
