//! A cloud, two kinds, and an installation around a runtime.

pub(crate) mod cloud;
pub(crate) mod kinds;
pub(crate) mod rig;

pub(crate) use cloud::{FakeCloud, Fault, Live};
pub(crate) use rig::{Rig, eventually};
