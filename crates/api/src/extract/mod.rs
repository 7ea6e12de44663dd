//! What handlers take out of a request. Each refusal is a `Status`.

mod accept;
mod acting;
mod actor;
mod asking;
mod body;
mod params;
mod path;

pub(crate) use accept::Accept;
pub(crate) use acting::{Acting, RequestId, origin};
pub(crate) use actor::Actor;
pub(crate) use asking::Asking;
pub(crate) use body::{Body, Patch, read as read_body};
pub(crate) use params::{FieldValidation, Params};
pub(crate) use path::Name;
