//! All SQL of the operator, and the migration runner. No business rule, no HTTP.
#![doc = ""]
#![doc = include_str!("../README.md")]

mod approvals;
mod audit;
mod changes;
mod environments;
mod error;
mod events;
mod journal;
mod leases;
mod listen;
mod notifications;
mod object_log;
mod operation;
mod operator;
mod pass;
mod pool;
mod requests;
mod resources;
mod revisions;
mod rows;
mod schema;
mod sweeps;
mod types;

pub use approvals::{Approval, NewApproval};
pub use audit::{
    AUDIT_SHARD, AuditFilter, AuditRow, AuditState, Broken, Chained, Checkpoint, DAEMON, Head, Link, Origin, Refusal,
    Verifier,
};
pub use changes::{ChangeFilter, ChangeMove, ChangeRow, ChangeUpdate, ChangeWrite, NewChange};
pub use environments::{
    ChangeLink, ClaimConflict, EnvironmentFilter, EnvironmentRow, EnvironmentUpdate, FINALIZER, NewEnvironment, Pause,
    Removal, SpecWrite, StatusFunction, StatusOutcome, StatusPatch, StatusWrite, Written,
};
pub use error::{Error, Result, Unavailable};
pub use events::{EventFilter, EventRow, NewEvent};
pub use journal::{Begun, Cap, Intent, JournalFilter, JournalRow, MutationOutcome, Resolution};
pub use leases::{Acquired, Lease, LeaseRow};
pub use listen::{Listener, Notification};
pub use notifications::{Attempt, Delivery, Enrolment, NewDelivery, Queued, ReceiverRow};
pub use object_log::{LoggedChange, LoggedEvent};
pub use operation::{NoObserver, Operation, QueryObserver, QueryOutcome};
pub use operator::{Caps, OperatorMode, OperatorRow, OperatorUpdate};
pub use pass::{PassRecord, PassRecorded};
pub use pool::{Config, Store};
pub use requests::{NewRequest, PendingRequest, RequestKind};
pub use resources::{ManagedResourceRow, ResourceFilter, ResourceUpsert, ResourcesWritten};
pub use revisions::RevisionRow;
pub use schema::{MIGRATOR, SchemaStatus};
pub use sweeps::{AccountFreshness, Freshness, SweepRow};
pub use types::{Claim, Fence, LabelRequirement, Page, PageRequest, Precondition, ResourceKey};
