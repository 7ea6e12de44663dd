//! AWS clients for each account and region, with what every call needs: a token of the service's rate bucket, a
//! time-out, a count, a class when it fails. No decisions about resources.
//!
//! Accounts and the roles to enter them come from the daemon's configuration ([`Config`]). An account is used only
//! after STS has confirmed that the credentials reach it.

pub mod budget;
pub mod classify;
mod client;
pub mod config;
#[cfg(test)]
mod fuzz;
mod in_process;
mod own_secret;
pub mod page;
mod sns;
pub mod tags;

pub use budget::{Bucket, Budgets};
pub use classify::{Classify, shared_only};
pub use client::{Aws, CallRecord, Observer, RegionClients, not_tried};
pub use config::{AccountConfig, Config, EndpointConfig, StaticCredentials};
pub use in_process::in_process;
pub use own_secret::is_secret_arn;
pub use page::TokenGuard;
pub use sns::Publication;
