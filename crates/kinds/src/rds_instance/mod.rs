//! `RdsInstance`: an RDS DB instance, its automated backups and its windows.
//!
//! - API: RDS API Reference: CreateDBInstance, DescribeDBInstances, ModifyDBInstance, DeleteDBInstance, AddTagsToResource.
//! - Identity: the DB instance identifier, unique in the region, in lower case.
//! - Fixed at creation: engine, database name, master user name, encryption and its key. What differs is reported.
//! - AWS fills in: port, windows, parameter and option group, IOPS of gp3, the secret of a managed password.
//! - What is asked for may wait in `PendingModifiedValues` until the maintenance window. Desired is compared with live
//!   overlaid by all of it. `ApplyImmediately` flushes all of it too, so a step that sends it carries the highest risk of
//!   what it flushes.
//! - A maintenance window moved to be open now flushes it as well: the same risk.
//! - Another subnet group is only reported: RDS takes none of the same VPC, and one of another VPC moves the database.
//! - Storage never shrinks, and grows by 10 % at least (ModifyDBInstance, AllocatedStorage). Versions never go down.
//! - Deletion always leaves a final snapshot.
//! - Limits: DescribeDBInstances gives 100 a page, with tags.

mod desired;
mod diff;
#[cfg(feature = "aws")]
mod errors;
mod flush;
mod observed;
mod plan;
#[cfg(feature = "aws")]
pub mod provider;
mod status;
#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;
mod version;

pub use desired::Desired;
pub use observed::Observed;
pub use plan::{Action, AtCreation, RdsInstance, Settings};

/// What the provider calls, as IAM names it, and what RDS calls on our behalf for a managed password, a key and
/// the final snapshot. (Service Authorization Reference, Amazon RDS, dependent actions of CreateDBInstance and DeleteDBInstance.)
pub const IAM_ACTIONS: &[&str] = &[
    "rds:DescribeDBInstances",
    "rds:CreateDBInstance",
    "rds:ModifyDBInstance",
    "rds:DeleteDBInstance",
    "rds:AddTagsToResource",
    "rds:CreateDBSnapshot",
    "kms:CreateGrant",
    "kms:DescribeKey",
    "secretsmanager:CreateSecret",
    "secretsmanager:TagResource",
];
