//! Server-side apply and field managers, as pure functions over documents: which fields somebody wrote (FieldsV1), how a
//! configuration is merged into an object, who conflicts with whom. Nothing here reads or writes the
//! store. The rules are those of Kubernetes' structured-merge-diff; no kept crate has them.

mod fields;
mod managed;
mod schema;
mod walk;

pub(crate) use fields::FieldSet;
pub(crate) use managed::{Conflict, Managed, Operation, Writer};
pub(crate) use walk::{applied_set, merge, without_nulls};
