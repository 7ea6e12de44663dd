//! Pure functions between the spec and the steps: expand the spec into a resource graph, plan each resource, order
//! the plan, guard its steps, and say in conditions how things stand.
//!
//! No `await`, no clock, no randomness, no knowledge of any one kind: kinds come in through [`Registry`].

pub mod changes;
pub mod conditions;
pub mod erased;
pub mod expand;
pub mod graph;
pub mod guard;
pub mod kind;
pub mod plan;
pub mod requeue;

pub use erased::{ErasedKind, Registry};
pub use expand::{Expansion, expand};
pub use graph::{Graph, Node};
pub use guard::{Guard, Hold, Verdict};
pub use kind::{Health, Kind, KindTraits, Lane, Output, Outputs, Ownership, PlanContext, Reference, Resolved};
pub use plan::{EnvironmentPlan, PlannedResource, Snapshot, plan_environment, plan_resource};
