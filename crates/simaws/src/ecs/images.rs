//! What becomes of a task: the hook through which a bad rollout is played. Container images are never pulled; their
//! names tell. Must not move tasks.
use serde::{Deserialize, Serialize};

use super::state::TaskDefinition;

/// What becomes of a task's container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// It runs.
    Runs,
    /// It exits with code 1 soon after it started: an image whose name contains `broken`.
    Exits,
    /// It can't be pulled: an image whose name contains `unpullable`.
    Unpullable,
    /// It runs, and fails its health checks: an image whose name contains `unhealthy`. Without a target group and
    /// without a health check of the container nobody notices.
    Unhealthy,
}

/// A rule of the control plane: images whose name contains `image` have this fate, whatever the name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageRule {
    pub(crate) image: String,
    pub(crate) fate: Fate,
}

fn of_image(image: &str, rules: &[ImageRule]) -> Fate {
    if let Some(rule) = rules.iter().rev().find(|r| image.contains(&r.image)) {
        return rule.fate;
    }
    let words = [("broken", Fate::Exits), ("unpullable", Fate::Unpullable), ("unhealthy", Fate::Unhealthy)];
    words.into_iter().find(|(word, _)| image.contains(word)).map_or(Fate::Runs, |(_, fate)| fate)
}

/// What becomes of a task of this definition, and the image that decides it: of the first essential container that
/// doesn't simply run.
pub(super) fn fate(definition: &TaskDefinition, rules: &[ImageRule]) -> Fate {
    let essential = definition.containers().iter().filter(|c| c.flag("essential").unwrap_or(true));
    essential.map(|c| of_image(c.need("image"), rules)).find(|f| *f != Fate::Runs).unwrap_or(Fate::Runs)
}
