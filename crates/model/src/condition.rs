//! Conditions, after the Kubernetes API conventions: `lastTransitionTime` moves only when `status` does, and each
//! condition says which generation it speaks of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, IntoStaticStr};

/// The conditions of an Environment and of a managed resource.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumIter, IntoStaticStr,
)]
pub enum ConditionType {
    /// It serves: everything declared exists and is healthy.
    Ready,
    /// AWS was looked at and agrees with the spec.
    Synced,
    /// AWS differs from a spec that it agreed with before.
    Drifted,
    /// Work is under way.
    Progressing,
    /// No progress without someone doing something.
    Stalled,
    /// Reconciliation is paused.
    Paused,
    /// A guard holds a step: approval, window, cap, ownership.
    Blocked,
    /// Snapshots and their copies are as fresh as declared.
    BackupHealthy,
    /// AWS accepts our credentials for the account.
    CredentialsValid,
    /// The spec is the one before: a change failed, and the daemon took it back.
    RolledBack,
}

/// True, False or Unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, IntoStaticStr)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is not known.
    Unknown,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// CamelCase reason, listed in `docs/conditions.md`.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The generation it speaks of.
    pub observed_generation: i64,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
}

/// Sets a condition in a list: keeps `last_transition_time` when the status is the same as before.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|old| old.kind == new.kind) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time;
            }
            *old = new;
        }
        None => {
            conditions.push(new);
            conditions.sort_by_key(|condition| condition.kind);
        }
    }
}

/// The condition of a type.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: ConditionStatus, reason: &str, at: i64) -> Condition {
        Condition {
            kind: ConditionType::Ready,
            status,
            reason: reason.to_owned(),
            message: String::new(),
            observed_generation: 1,
            last_transition_time: Timestamp::from_second(at).unwrap(),
        }
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let mut list = vec![condition(ConditionStatus::True, "AllReady", 10)];
        set(&mut list, condition(ConditionStatus::True, "StillReady", 20));
        assert_eq!((list[0].last_transition_time.as_second(), list[0].reason.as_str()), (10, "StillReady"));
        set(&mut list, condition(ConditionStatus::False, "Gone", 30));
        assert_eq!(list[0].last_transition_time.as_second(), 30);
    }
}
