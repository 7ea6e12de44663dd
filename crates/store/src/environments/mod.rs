//! Environments: desired state with its history and claims, and the status next to it. Documents are opaque here; what
//! they mean, which claims a spec makes and what a status says is the callers' business.

mod at_once;
mod claims;
mod lifecycle;
mod read;
mod rows;
mod status;
mod write;

pub use claims::ClaimConflict;
pub use lifecycle::{FINALIZER, Removal};
pub use read::EnvironmentFilter;
pub use rows::{EnvironmentRow, Pause};
pub use status::{StatusOutcome, StatusWrite};
pub use write::{ChangeLink, EnvironmentUpdate, NewEnvironment, SpecWrite, StatusFunction, StatusPatch, Written};

pub(crate) use claims::release_undeclared_in;
pub(crate) use status::{status_differs, write_status_in};
