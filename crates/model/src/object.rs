//! Envelopes that let the engine carry a kind's typed desired and observed values without knowing the kind.
//!
//! A kind downcasts its own values again; nobody else looks inside but through `to_json`.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

/// What a kind's desired or observed type must be. Its JSON is shown to people and stored, so a type that carries
/// something private serialises a mask or a hash of it.
pub trait Object: fmt::Debug + Clone + PartialEq + Serialize + Send + Sync + 'static {}
impl<T: fmt::Debug + Clone + PartialEq + Serialize + Send + Sync + 'static> Object for T {}

/// An [`Object`] with its type erased.
pub trait AnyObject: fmt::Debug + Send + Sync {
    /// For downcasting by the kind.
    fn as_any(&self) -> &dyn Any;
    /// The public form: what status, store and API show.
    fn to_json(&self) -> Value;
    /// Whether the other is of the same type and equal.
    fn same(&self, other: &dyn AnyObject) -> bool;
}

impl<T: Object> AnyObject for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn to_json(&self) -> Value {
        // A kind's type that cannot be shown must not take the daemon down: the error is shown in its place.
        serde_json::to_value(self).unwrap_or_else(|error| Value::String(format!("unprintable: {error}")))
    }

    fn same(&self, other: &dyn AnyObject) -> bool {
        other.as_any().downcast_ref::<T>().is_some_and(|other| other == self)
    }
}

/// A shared, type-erased desired or observed value.
pub type SharedObject = Arc<dyn AnyObject>;
