//! What the document wants of manual snapshots.

use engine::Expansion;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::schedule::CronSchedule;
use model::{Environment, ResourceKey, Tags};
use serde::Serialize;

/// What the document wants of manual snapshots.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// DB instance identifier.
    pub instance: String,
    /// The node of that instance.
    pub instance_key: ResourceKey,
    /// First part of the names.
    pub prefix: String,
    /// When they are taken.
    pub schedule: CronSchedule,
    /// How many to keep.
    pub keep: u32,
    /// Oldest that the newest may be, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u32>,
    /// The nodes that copy these snapshots to other regions.
    pub copies: Vec<ResourceKey>,
    /// Tags of what we take.
    pub tags: Tags,
}

impl Desired {
    /// The name of the snapshot of a slot.
    pub fn id_of(&self, slot: Timestamp) -> String {
        let utc = slot.to_zoned(TimeZone::UTC);
        // Asked as of the slot, so that the answer is the same whenever it is asked.
        let form = if self.schedule.more_than_daily(slot) { "%Y%m%d-%H%M" } else { "%Y%m%d" };
        format!("{}-{}", self.prefix, utc.strftime(form))
    }
}

/// The part of a name that tells the slot, when the name is one that the schedule makes.
pub(super) fn slot_of<'a>(prefix: &str, id: &'a str) -> Option<&'a str> {
    let slot = id.strip_prefix(prefix)?.strip_prefix('-')?;
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let fits = match slot.split_once('-') {
        Some((day, time)) => digits(day, 8) && digits(time, 4),
        None => digits(slot, 8),
    };
    fits.then_some(slot)
}

/// One node when snapshots are declared.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    let Some(database) = &environment.spec.database else { return };
    let Some(spec) = &database.snapshots else { return };
    // A schedule that cannot be read was refused with its path.
    let Ok(schedule) = CronSchedule::parse(&spec.schedule, "UTC") else { return };
    let instance_key = expansion.key("RdsInstance", &database.identifier);
    let copies = spec
        .copy_to
        .iter()
        .map(|copy| expansion.key_in("RdsSnapshotCopy", &database.identifier, copy.region.clone()))
        .collect();
    let desired = Desired {
        instance: database.identifier.clone(),
        instance_key: instance_key.clone(),
        prefix: Environment::snapshot_prefix(database),
        schedule,
        keep: spec.keep,
        max_age_seconds: spec.max_age.map(model::quantity::Span::as_secs),
        copies,
        tags: expansion.tags().clone(),
    };
    expansion.add(&database.identifier, "spec.database.snapshots", desired).parent(instance_key);
}
