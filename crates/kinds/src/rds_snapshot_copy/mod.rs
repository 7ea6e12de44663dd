//! `RdsSnapshotCopy`: copies of one DB instance's manual snapshots in another region.
//!
//! - API: RDS API Reference, all in the target region: CopyDBSnapshot, DescribeDBSnapshots, DeleteDBSnapshot.
//! - Identity: the DB instance identifier, in the target region. The observation is all manual snapshots there that were
//!   copied from a snapshot of that instance.
//! - The newest available snapshot of ours is copied, under its own name, so that a copy is made once.
//! - An encrypted snapshot needs a key of the target region. No presigned URL is needed outside GovCloud and China.
//! - At most 20 copies are in progress into a region (RDS User Guide, "Copying a DB snapshot"): what is refused for that
//!   is asked for again later.
//! - Removal lets the copies go.
//! - Limits: DescribeDBSnapshots gives 100 a page, with tags.

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
pub use observed::{Copy, Observed};
pub use plan::{Action, RdsSnapshotCopy};

/// What the provider calls, as IAM names it, and what RDS needs on our behalf for tags and keys.
pub const IAM_ACTIONS: &[&str] = &[
    "rds:DescribeDBSnapshots",
    "rds:CopyDBSnapshot",
    "rds:DeleteDBSnapshot",
    "rds:AddTagsToResource",
    "kms:CreateGrant",
    "kms:DescribeKey",
];
