//! Error classes and effects: what kind of failure it was, and whether the call may have happened all the same.
//!
//! Plain data. Mapping AWS codes to classes is each kind's `errors.rs` on top of `awskit`.

use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

/// What kind of failure, and thereby what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display, IntoStaticStr)]
pub enum Class {
    /// AWS asked to slow down: back off, and tell the bucket's limiter.
    Throttled,
    /// 5xx, connection lost, time-out: back off.
    Transient,
    /// The object is busy or a prerequisite is not there yet: a short poll; a wait, not a failure.
    NotYet,
    /// Already exists, precondition failed: look again at once, then plan.
    Conflict,
    /// On an act: look again.
    NotFound,
    /// An AWS quota is used up: blocked, retried slowly, alerted.
    Quota,
    /// Access denied or credentials expired: blocked, retried slowly, alerted.
    Denied,
    /// AWS refused the input: looked at again slowly, and at once when the spec changes.
    Invalid,
    /// An answer of a shape nobody expected.
    Bug,
}

/// Whether a call that failed may have been carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr)]
pub enum Effect {
    /// Certainly not carried out.
    NotApplied,
    /// Perhaps: look before planning.
    Unknown,
    /// Carried out, although an error came back.
    Applied,
}

/// A failed act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{operation}: {code}: {message}")]
#[serde(rename_all = "camelCase")]
pub struct ActError {
    /// What kind of failure.
    pub class: Class,
    /// Whether it may have been carried out.
    pub effect: Effect,
    /// The AWS operation, as IAM names it: `rds:ModifyDBInstance`.
    pub operation: String,
    /// AWS's error code, or ours for a failure on this side (`Timeout`, `ConnectionLost`).
    pub code: String,
    /// What AWS said; never holds a secret value.
    pub message: String,
    /// AWS's request id.
    pub request_id: Option<String>,
}

/// A failed read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{operation}: {code}: {message}")]
#[serde(rename_all = "camelCase")]
pub struct ObserveError {
    /// What kind of failure.
    pub class: Class,
    /// The AWS operation, as IAM names it.
    pub operation: String,
    /// AWS's error code, or ours.
    pub code: String,
    /// What AWS said.
    pub message: String,
    /// AWS's request id.
    pub request_id: Option<String>,
}
