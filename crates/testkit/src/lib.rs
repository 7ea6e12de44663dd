//! Test support: launchers, fixtures, the suite every kind passes. Used by tests and by `operator dev` only.

pub mod fixtures;
#[cfg(feature = "aws")]
mod iam;
pub mod postgres;
#[cfg(feature = "aws")]
pub mod scenario;
#[cfg(feature = "aws")]
pub mod suite;
#[cfg(feature = "aws")]
pub mod world;
