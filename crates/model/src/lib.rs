//! The vocabulary of the operator: ids, the `Environment` API types, observations, plans, conditions, error
//! classes and policy.
//!
//! Plain data and pure functions. No IO, no async, no clock: what needs the time takes `now` as a parameter.

pub mod condition;
pub mod diff;
pub mod env;
pub mod fault;
pub mod finding;
#[cfg(test)]
mod fuzz;
pub mod ids;
pub mod merge;
pub mod object;
pub mod observation;
pub mod parse;
pub mod plan;
pub mod problem;
pub mod quantity;
pub mod schedule;
pub mod secret;
pub mod validate;

pub use condition::{Condition, ConditionStatus, ConditionType};
pub use env::Environment;
pub use fault::{ActError, Class, Effect, ObserveError};
pub use finding::{Evidence, Finding, Severity};
pub use ids::{AwsAccountId, KindName, Region, ResourceKey};
pub use object::{AnyObject, Object, SharedObject};
pub use observation::{Observation, Unknown};
pub use plan::{FieldChange, Note, ResourcePlan, Risk, Step, Wait, WaitKind};
pub use problem::{Problem, Problems};
pub use quantity::Span;
pub use secret::Secret;

/// Tags of an AWS object, by key.
pub type Tags = std::collections::BTreeMap<String, String>;

/// Tag that names the `Environment` an AWS object belongs to.
pub const TAG_ENVIRONMENT: &str = "eventchain.io/environment";
/// Tag that names the installation of the operator that manages an AWS object.
pub const TAG_MANAGED_BY: &str = "eventchain.io/managed-by";
