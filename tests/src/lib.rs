//! Support for the end-to-end tests and the benchmark: the real daemon as a process, someone's hand inside the simulated
//! AWS, a proxy that counts calls. It must not reach into the daemon by any way that a user does not have, except that it
//! reads its tables.

pub mod access;
pub mod api;
pub mod aws;
pub mod chaos;
pub mod daemon;
pub mod figures;
pub mod gate;
pub mod hand;
pub mod hook;
pub mod inventory;
pub mod machine;
pub mod programs;
pub mod proxy;
pub mod say;
pub mod simaws_process;
pub mod wait;
pub mod wire;
pub mod world;
