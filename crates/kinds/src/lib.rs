//! The resource kinds: one folder each, and [`registry`].
//!
//! A kind's pure half (`desired`, `observed`, `plan`) builds without any AWS SDK; its provider, the only file that may
//! name an `aws_sdk_*` crate, is behind the feature `aws`. No SQL, no HTTP handlers, no kind importing another.

#[cfg(feature = "aws")]
pub mod aws;
pub mod changes;
pub mod provider;
pub mod registry;

pub mod log_group;

#[cfg(test)]
mod testing;

pub use provider::{Acted, Cloud, ObserveKey, Provider, Scope};
#[cfg(feature = "aws")]
pub use registry::providers;
pub use registry::registry;
