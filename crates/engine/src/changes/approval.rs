//! Who must approve a change, and whether those who did suffice.

use std::collections::BTreeSet;

use model::env::{ChangesPolicy, Disruptive, Policy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Who must approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Requires {
    /// How many persons.
    pub approvals: u32,
    /// The author is not among them.
    pub second_person: bool,
}

impl Default for Requires {
    fn default() -> Self {
        Self::of(&ChangesPolicy::default())
    }
}

/// Why somebody may not approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// He made the change.
    #[error("the author of a change may not approve it: spec.policy.changes.secondPerson asks for somebody else")]
    Author,
}

impl Requires {
    /// As a policy says.
    pub fn of(policy: &ChangesPolicy) -> Self {
        Self { approvals: policy.approvals.max(1), second_person: policy.second_person }
    }

    /// What both ask for.
    pub fn and(self, other: Self) -> Self {
        Self {
            approvals: self.approvals.max(other.approvals),
            second_person: self.second_person || other.second_person,
        }
    }

    /// Whether this person may approve a change of this author.
    ///
    /// # Errors
    /// `Author`.
    pub fn admit(self, author: &str, approver: &str) -> Result<(), Refusal> {
        if self.second_person && author == approver { Err(Refusal::Author) } else { Ok(()) }
    }

    /// How many approvals are still missing. Nobody counts twice, nor does the author where a second person is asked for.
    pub fn missing<'a>(self, author: &str, approvers: impl IntoIterator<Item = &'a str>) -> usize {
        let who: BTreeSet<&str> =
            approvers.into_iter().filter(|approver| self.admit(author, approver).is_ok()).collect();
        (self.approvals as usize).saturating_sub(who.len())
    }

    /// For people.
    pub fn told(self, author: &str) -> String {
        let persons =
            if self.approvals == 1 { "1 approval".to_owned() } else { format!("{} approvals", self.approvals) };
        if self.second_person { format!("{persons}, not by {author}") } else { persons }
    }
}

/// What a new policy asks for less than the old one, where the old one asks for more than one approval by anybody. Such
/// a change is itself judged by the old policy: otherwise nobody would need the second person.
pub fn loosened(old: &Policy, new: &Policy) -> Option<&'static str> {
    let guarded = old.changes.second_person || old.changes.approvals > 1;
    if !guarded {
        return None;
    }
    if old.changes.second_person && !new.changes.second_person {
        return Some("spec.policy.changes.secondPerson");
    }
    if new.changes.approvals < old.changes.approvals {
        return Some("spec.policy.changes.approvals");
    }
    if old.disruptive == Disruptive::RequireApproval && new.disruptive != Disruptive::RequireApproval {
        return Some("spec.policy.disruptive");
    }
    None
}

/// What an approval of a change is of: the hash of its gated steps; and, where it loosens the policy by which it is
/// judged, the new spec besides. `None` where nothing needs an approval.
pub fn approval_hash(plan: &Value, loosens: Option<&str>, spec: &Value) -> Option<String> {
    let gated = plan.get("hash").and_then(Value::as_str);
    let Some(loosens) = loosens else { return gated.map(str::to_owned) };
    let text = json!([gated, plan.get("generation"), loosens, spec]).to_string();
    Some(hex::encode(Sha256::digest(text.as_bytes()))[..32].to_owned())
}
