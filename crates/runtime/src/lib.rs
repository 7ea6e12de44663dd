//! Leases, sweeps, the queue, passes, requests, shutdown. Knows no kind, holds no SQL, decides nothing pure.
#![doc = ""]
#![doc = include_str!("../README.md")]

mod audit;
mod cache;
mod clock;
mod config;
mod holdings;
#[cfg(feature = "inline")]
pub mod inline;
mod janitor;
mod keys;
mod leased;
mod look;
mod observer;
mod pass;
mod queue;
mod runner;
mod runtime;
mod shard;
mod shared;
mod store_metrics;
mod tasks;
mod wake;

pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use leased::{Held, Lessee, while_leased};
pub use runtime::{Deps, Handle, Owned, Runtime};
pub use store_metrics::StoreMetrics;
pub use tasks::Heartbeat;
