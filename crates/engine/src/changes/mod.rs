//! Governed changes, decided: who must approve, what becomes of an open change after a pass, and when a failed one is
//! taken back. Pure; carried out by the API and by the runtime.

mod approval;
mod settle;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};

pub use approval::{Refusal, Requires, approval_hash, loosened};
pub use settle::{Closed, Failure, Found, Open, Verdict, covers, opens, settle};

/// The daemon itself, repairing drift.
pub const DRIFT: &str = "system:drift";
/// The daemon itself, taking a failed change back.
pub const ROLLBACK: &str = "system:rollback";

/// Where a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, IntoStaticStr)]
pub enum Phase {
    /// Its plan is not known yet, so nothing was applied.
    Pending,
    /// Its gated steps wait for approval.
    PendingApproval,
    /// It is applied, and the environment converges on it.
    Applying,
    /// The environment is as it wants.
    Converged,
    /// It failed, and stays as it is.
    Failed,
    /// It failed, and was taken back.
    RolledBack,
    /// Somebody said no.
    Rejected,
    /// Nobody approved it in time.
    Expired,
    /// A later change, or AWS itself, made it pointless.
    Superseded,
    /// It was deleted while it was open.
    Withdrawn,
}

impl Phase {
    /// Whether something may still become of it.
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::PendingApproval | Self::Applying => true,
            Self::Converged
            | Self::Failed
            | Self::RolledBack
            | Self::Rejected
            | Self::Expired
            | Self::Superseded
            | Self::Withdrawn => false,
        }
    }
}

/// How a change came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, IntoStaticStr)]
pub enum Origin {
    /// Posted as a change.
    Posted,
    /// A direct write of the environment.
    Direct,
    /// The environment's deletion.
    Deletion,
    /// A failed change, taken back by the daemon.
    Rollback,
    /// Drift whose repair needs approval.
    Drift,
    /// Steps of the present spec that need approval and that no other change is about.
    Steps,
}

impl Origin {
    /// Whether it brings no spec of its own: it is about steps alone.
    pub fn is_about_steps(self) -> bool {
        matches!(self, Self::Drift | Self::Steps)
    }
}

/// When approved steps run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Display, EnumString, IntoStaticStr,
)]
pub enum Apply {
    /// At once.
    #[default]
    Immediately,
    /// Inside a window of the environment's policy.
    InWindow,
}

impl Apply {
    /// Unless a change says otherwise: what policy keeps for its windows waits for them.
    pub fn by_policy(policy: &model::env::Policy) -> Self {
        if policy.disruptive == model::env::Disruptive::Window { Self::InWindow } else { Self::Immediately }
    }
}

/// What holds a change now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// CamelCase: a guard's, or a wait's.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Until when, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}
