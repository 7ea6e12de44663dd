//! What every service stands on: documents, shapes, state, time, tags, pages, faults, counts.
pub(crate) mod agenda;
pub(crate) mod calls;
pub(crate) mod clock;
pub(crate) mod doc;
pub(crate) mod error;
pub(crate) mod faults;
pub(crate) mod page;
pub(crate) mod rates;
pub(crate) mod rng;
pub(crate) mod service;
pub(crate) mod shape;
pub(crate) mod tags;
pub(crate) mod timings;
pub(crate) mod world;
