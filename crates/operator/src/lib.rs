//! The daemon: configuration and wiring. The decisions are in the crates around it.

pub mod audit;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod dev;
pub mod http;
pub mod iam;
pub mod login;
pub mod plan_file;
pub mod say;
pub mod serve;
pub mod sns;
