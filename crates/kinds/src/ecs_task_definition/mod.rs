//! `EcsTaskDefinition`: the task definition family of one service, and the revision that the service shall run.
//!
//! - API: Amazon ECS API Reference: RegisterTaskDefinition, DescribeTaskDefinition, DeregisterTaskDefinition.
//! - Identity: the family, which is the service's full name. The revision looked at is the one the service runs: the
//!   node follows the output `taskDefinition` of the service. Without a service it is the family's newest.
//! - Immutable: a revision. Its content is read once and kept; whether it is still ACTIVE is looked at again now and then.
//! - What is wanted: the revision the service runs, overlaid with the declared fields. Whatever else it holds (health
//!   checks, limits, more containers, more variables) is carried over. A revision is registered only when the overlay
//!   differs; the comparison is by meaning: variables and secrets by name, ports by (port, protocol), order ignored,
//!   AWS's defaults dropped.
//! - The managed container is the one named like the service's key in the document, else the only one.
//! - Variables and secrets: declared ones are enforced; `{}` enforces none; one that an earlier document declared and
//!   this one does not is removed (the plan remembers the names); any other is left alone.
//! - No revision is made that names a secret without a value: its tasks could not start.
//! - Image: `image` is enforced; `initialImage`, or none, is used at creation only, and then the live one is carried.
//! - A revision of ours carries the tag `eventchain.io/base`: the revision it was made from. The newest revision of the
//!   family is the *successor* of the one that runs when it was made from it by us. It is what the output `arn` names,
//!   so that a crash, or a deployment that has to wait, never leads to a second revision of the same content. A
//!   successor that is no longer wanted is deregistered before it was ever used.
//! - Revisions are made for a service of ours, one being adopted, or one that is not there yet. Under a CODE_DEPLOY or
//!   EXTERNAL deployment controller none is made: what differs is only reported.
//! - AWS fills in: `essential`, `cpu` 0, `hostPort`, `protocol` tcp, empty lists.
//! - Limits: DescribeTaskDefinition takes one revision, 20 a second; RegisterTaskDefinition one a second.
//! - Values of variables are kept as SHA-256 only, here, in what is shown, and in the step's body. The values themselves
//!   travel in the private part of the step, which is never written anywhere.

mod content;
mod desired;
#[cfg(feature = "aws")]
mod errors;
mod observed;
mod overlay;
mod plan;
#[cfg(feature = "aws")]
pub mod provider;
mod registration;
#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;

pub use content::{Container, Content, Logs, Masked, Plain, Port};
pub use desired::Desired;
pub use observed::{Observed, Revision};
pub use overlay::{Edit, Fields, apply, edits};
pub use plan::{Action, EcsTaskDefinition};
pub use registration::Registration;

/// Tag on a revision of ours: `family:revision` it was made from.
pub const TAG_BASE: &str = "eventchain.io/base";

/// What the provider calls, as IAM names it.
pub const IAM_ACTIONS: &[&str] = &[
    "ecs:DescribeTaskDefinition",
    "ecs:RegisterTaskDefinition",
    "ecs:DeregisterTaskDefinition",
    "ecs:TagResource",
    "iam:PassRole",
];
