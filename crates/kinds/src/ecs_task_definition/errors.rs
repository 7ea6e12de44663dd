//! Error codes of ECS's task definition operations. (Amazon ECS API Reference, errors of each operation.)

use model::{Class, Effect};

/// What DescribeTaskDefinition answers for a family or a revision that does not exist.
pub(super) const NO_SUCH_REVISION: &str = "ClientException";

/// Class and effect of a code; `None` leaves it to the codes that all services share.
pub(super) fn classify(code: &str) -> Option<(Class, Effect)> {
    Some(match code {
        NO_SUCH_REVISION => (Class::Invalid, Effect::NotApplied),
        "LimitExceededException" => (Class::Quota, Effect::NotApplied),
        _ => return None,
    })
}
