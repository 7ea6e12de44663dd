//! What the document wants of copies in one region.

use engine::Expansion;
use model::{Environment, Region, ResourceKey, Tags};
use serde::Serialize;

/// What the document wants of copies in one region.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// DB instance identifier.
    pub instance: String,
    /// Region of the snapshots that are copied.
    pub source_region: Region,
    /// The node of those snapshots.
    pub source: ResourceKey,
    /// Where this is declared.
    pub path: String,
    /// First part of the names.
    pub prefix: String,
    /// Key of the target region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// How many to keep.
    pub keep: u32,
    /// Oldest that the newest may be, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u32>,
    /// Tags of ours.
    pub tags: Tags,
}

/// Whether a name is one that the schedule of snapshots makes: `<prefix>-YYYYMMDD`, or with `-HHMM`.
pub(super) fn is_scheduled(prefix: &str, id: &str) -> bool {
    let Some(slot) = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    match slot.split_once('-') {
        Some((day, time)) => digits(day, 8) && digits(time, 4),
        None => digits(slot, 8),
    }
}

/// One node for each target region.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let Some(database) = &environment.spec.database else { return };
    let Some(spec) = &database.snapshots else { return };
    let id = &database.identifier;
    let source = expansion.key("RdsSnapshot", id);
    let parent = expansion.key("RdsInstance", id);
    for (n, copy) in spec.copy_to.iter().enumerate() {
        let path = format!("spec.database.snapshots.copyTo[{n}]");
        let desired = Desired {
            instance: id.clone(),
            source_region: environment.spec.aws.region.clone(),
            source: source.clone(),
            path: path.clone(),
            prefix: Environment::snapshot_prefix(database),
            kms_key_id: copy.kms_key_id.clone(),
            keep: copy.keep,
            max_age_seconds: spec.max_age.map(model::quantity::Span::as_secs),
            tags: expansion.tags().clone(),
        };
        expansion.add_in(copy.region.clone(), id, path, desired).parent(parent.clone()).needs(source.clone());
    }
}
