//! `Secret`: that a secret of Secrets Manager exists, how it is described, rotated and tagged. Never its value.
//!
//! - API: AWS Secrets Manager API Reference: CreateSecret, DescribeSecret, ListSecrets, UpdateSecret, RotateSecret,
//!   DeleteSecret.
//! - Identity: the secret's name, unique in the region.
//! - Immutable: the name; the KMS key is used at creation, and one that differs afterwards is only reported.
//! - RotateSecret replaces the rotation rules whole: a rotation window set by hand is sent back. Its caller also needs
//!   `lambda:InvokeFunction` on the function.
//! - Limits: ListSecrets gives 100 a page with tags, and may lag by minutes; DescribeSecret does not.
//! - A secret is made without a value. While it has none it is reported: no task that needs it can start.
//! - What version is current is an output: a service whose tasks read another one is deployed again.
//! - Deleting leaves a recovery window of 30 days, in which the name is taken.

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

pub use desired::{Desired, Rotation};
pub use observed::{Observed, Rotated};
pub use plan::{Action, Secret};

/// What the provider calls, as IAM names it, and what Secrets Manager asks for besides: a key of one's own, and the function
/// that rotates. Neither GetSecretValue nor PutSecretValue, on purpose.
pub const IAM_ACTIONS: &[&str] = &[
    "secretsmanager:ListSecrets",
    "secretsmanager:DescribeSecret",
    "secretsmanager:CreateSecret",
    "secretsmanager:UpdateSecret",
    "secretsmanager:RotateSecret",
    "secretsmanager:TagResource",
    "secretsmanager:DeleteSecret",
    // Of CreateSecret, with a key of one's own.
    "kms:GenerateDataKey",
    "kms:Decrypt",
    // Of RotateSecret. (Secrets Manager API Reference, RotateSecret, required permissions.)
    "lambda:InvokeFunction",
];
