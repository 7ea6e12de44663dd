//! Who may do what.

mod scope;

pub(crate) use scope::Scope;
