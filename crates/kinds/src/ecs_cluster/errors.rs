//! Error codes of ECS's cluster operations. (Amazon ECS API Reference, errors of each operation.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    Some(match code {
        "ClusterNotFoundException" => (Class::NotFound, Effect::NotApplied),
        // It empties first: its services and tasks are on their way out, or ECS is still working on it.
        "ClusterContainsServicesException"
        | "ClusterContainsTasksException"
        | "ClusterContainsContainerInstancesException"
        | "ClusterContainsCapacityProviderException"
        | "UpdateInProgressException" => (Class::NotYet, Effect::NotApplied),
        "LimitExceededException" => (Class::Quota, Effect::NotApplied),
        "ClientException" | "NamespaceNotFoundException" => (Class::Invalid, Effect::NotApplied),
        _ => return None,
    })
}
