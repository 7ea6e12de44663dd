//! `environments`: desired state, its status, and what can be asked of it.

pub(crate) mod actions;
pub(crate) mod approve;
pub(crate) mod delete;
pub(crate) mod diagnosis;
pub(crate) mod edit;
mod finalizers;
pub(crate) mod manager;
pub(crate) mod plan;
pub(crate) mod read;
pub(crate) mod write;
mod writing;

#[cfg(test)]
pub(crate) use edit::{if_match, message};
