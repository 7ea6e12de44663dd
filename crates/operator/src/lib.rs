//! The daemon: configuration and wiring. The decisions are in the crates around it.

pub mod config;
