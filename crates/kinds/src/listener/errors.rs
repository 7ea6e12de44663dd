//! Elastic Load Balancing's error codes for listeners. (ELB API Reference, errors of each operation.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    let class = match code {
        "ListenerNotFound" | "LoadBalancerNotFound" => Class::NotFound,
        // Somebody took the port meanwhile.
        "DuplicateListener" => Class::Conflict,
        // Made in this very pass, or by someone else soon: looked at again.
        "TargetGroupNotFound" => Class::NotYet,
        "TooManyListeners"
        | "TooManyCertificates"
        | "TooManyTargets"
        | "TooManyRegistrationsForTargetId"
        | "TooManyUniqueTargetGroupsPerLoadBalancer"
        | "TargetGroupAssociationLimit"
        | "TooManyTags" => Class::Quota,
        "CertificateNotFound"
        | "SSLPolicyNotFound"
        | "InvalidConfigurationRequest"
        | "IncompatibleProtocols"
        | "InvalidLoadBalancerAction"
        | "UnsupportedProtocol"
        | "TooManyActions"
        | "DuplicateTagKeys" => Class::Invalid,
        _ => return None,
    };
    Some((class, Effect::NotApplied))
}
