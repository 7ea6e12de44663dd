//! What handlers take out of a request. Each refusal is a `Status`.

mod actor;
mod body;
mod params;
mod path;

pub(crate) use actor::Actor;
pub(crate) use body::{Body, Patch};
pub(crate) use params::{FieldValidation, Params};
pub(crate) use path::Name;
