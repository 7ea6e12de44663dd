//! What is known of an AWS object: that it is not there, what it is, or that nothing is known now.
//!
//! `Unknown` never leads to a mutation, only to another look. A listing never proves `Absent`.

use jiff::Timestamp;
use serde::Serialize;

use crate::fault::Class;

/// What is known of one AWS object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Observation<T> {
    /// A direct read by name answered NotFound.
    Absent,
    /// It is there and looks like this.
    Present(T),
    /// Nothing may be concluded.
    Unknown {
        /// Since when.
        since: Timestamp,
        /// Why.
        why: Unknown,
    },
}

/// Why an observation is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unknown {
    /// Nobody has looked yet.
    NotObservedYet,
    /// A batch read did not return it. It may be gone, or the listing may lag: a direct read decides.
    NotListed,
    /// A call that may have changed it is on its way, or its outcome is not known.
    InFlight,
    /// The read depends on another object whose observation is unknown.
    Dependency,
    /// The read failed.
    Failed {
        /// Class of the failure.
        class: Class,
        /// What AWS said, for people.
        message: String,
    },
}

impl<T> Observation<T> {
    /// The value when present.
    pub fn present(&self) -> Option<&T> {
        match self {
            Observation::Present(value) => Some(value),
            Observation::Absent | Observation::Unknown { .. } => None,
        }
    }

    /// Whether nothing may be concluded.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Observation::Unknown { .. })
    }

    /// Maps the present value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observation<U> {
        match self {
            Observation::Absent => Observation::Absent,
            Observation::Present(value) => Observation::Present(f(value)),
            Observation::Unknown { since, why } => Observation::Unknown { since, why },
        }
    }

    /// Borrows the present value.
    pub fn as_ref(&self) -> Observation<&T> {
        match self {
            Observation::Absent => Observation::Absent,
            Observation::Present(value) => Observation::Present(value),
            Observation::Unknown { since, why } => Observation::Unknown { since: *since, why: why.clone() },
        }
    }
}
