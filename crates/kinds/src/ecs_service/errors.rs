//! Error codes of ECS's service operations. (Amazon ECS API Reference, errors of each operation.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    Some(match code {
        // `ServiceNotActiveException`: it is on its way out, so look again.
        "ServiceNotFoundException" | "ServiceNotActiveException" | "ClusterNotFoundException" => {
            (Class::NotFound, Effect::NotApplied)
        }
        "UpdateInProgressException" | "ResourceInUseException" => (Class::NotYet, Effect::NotApplied),
        "LimitExceededException" => (Class::Quota, Effect::NotApplied),
        "BlockedException" => (Class::Denied, Effect::NotApplied),
        "ClientException"
        | "UnsupportedFeatureException"
        | "PlatformUnknownException"
        | "PlatformTaskDefinitionIncompatibilityException"
        | "NamespaceNotFoundException" => (Class::Invalid, Effect::NotApplied),
        _ => return None,
    })
}
