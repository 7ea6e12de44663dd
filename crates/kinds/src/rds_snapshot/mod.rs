//! `RdsSnapshot`: the manual snapshots of one DB instance, taken by schedule and pruned.
//!
//! - API: RDS API Reference: CreateDBSnapshot, DescribeDBSnapshots, DeleteDBSnapshot.
//! - Identity: the DB instance identifier. The observation is all manual snapshots of that instance.
//! - What is due follows from AWS and the schedule, never from memory: the last slot's snapshot has a name that follows
//!   from the slot, `<prefix>-YYYYMMDD` in UTC (`-HHMM` too when slots fall more than once a day). If it is missing it is
//!   taken, so it is taken once.
//! - Ours are those with the environment's ownership tags whose names the schedule makes. No other is ever deleted.
//! - Removal lets the snapshots go: a backup is not deleted because its schedule is no longer declared.
//! - Limits: DescribeDBSnapshots gives 100 a page, with tags; 100 manual snapshots in a region.

mod desired;
#[cfg(feature = "aws")]
mod errors;
mod observed;
mod plan;
#[cfg(feature = "aws")]
pub mod provider;
#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;

pub use desired::Desired;
pub use observed::{Observed, Snapshot};
pub use plan::{Action, RdsSnapshot};

/// What the provider calls, as IAM names it; tagging at creation needs `rds:AddTagsToResource`.
pub const IAM_ACTIONS: &[&str] =
    &["rds:DescribeDBSnapshots", "rds:CreateDBSnapshot", "rds:DeleteDBSnapshot", "rds:AddTagsToResource"];
