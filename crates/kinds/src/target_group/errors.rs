//! Elastic Load Balancing's error codes for target groups. (ELB API Reference, errors of each operation.)

use model::{Class, Effect};

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    let class = match code {
        "TargetGroupNotFound" | "LoadBalancerNotFound" => Class::NotFound,
        // Somebody made it meanwhile, with other settings.
        "DuplicateTargetGroupName" => Class::Conflict,
        // A listener still forwards to it: the listener goes first.
        "ResourceInUse" => Class::NotYet,
        "TooManyTargetGroups" | "TooManyTags" => Class::Quota,
        "InvalidConfigurationRequest" | "DuplicateTagKeys" => Class::Invalid,
        _ => return None,
    };
    Some((class, Effect::NotApplied))
}
