//! The annotation by which any write asks for a look and a pass now, and what its answer is: its value in the status.
//!
//! Flow: a pass that finds a value which the status does not have asks the observer for a fresh look at everything, under
//! an identity made of the value; the pass that the look wakes has that identity among its requests, and its status says
//! that the value was handled. All that lasts is the annotation and the status: a crash or another owner begins anew.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use store::EnvironmentRow;
use uuid::Uuid;

use super::Pass;
use crate::holdings::Group;
use crate::queue::Priority;

/// The annotation. Its value is anybody's: mostly a time.
pub(crate) const RECONCILE_REQUESTED_AT: &str = "eventchain.io/reconcile-requested-at";
/// Where the status has the last value that was handled.
pub(crate) const HANDLED: &str = "lastHandledReconcileAt";
/// The version of identities that are made here. Tokens that the store gives out are random (4).
const MADE: usize = 8;

/// What the annotation asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requested {
    /// The value.
    pub(super) value: String,
    /// Its identity among the requests.
    id: Uuid,
}

/// What the annotation asks for, unless the status says that it was handled.
pub(super) fn requested(row: &EnvironmentRow) -> Option<Requested> {
    let value = row.annotations.get(RECONCILE_REQUESTED_AT).filter(|value| !value.is_empty())?;
    if row.status[HANDLED].as_str() == Some(value) {
        return None;
    }
    let digest = Sha256::digest(format!("{}/{value}", row.uid));
    let id = uuid::Builder::from_custom_bytes(std::array::from_fn(|at| digest[at])).into_uuid();
    Some(Requested { value: value.clone(), id })
}

impl Pass<'_> {
    /// Asks for the look that the annotation wants, unless this pass follows it or it is under way.
    pub(super) fn hear_annotation(&mut self) {
        let Some(Requested { id, .. }) = requested(&self.row) else { return };
        if self.requests.contains(&id) {
            return;
        }
        let mut groups: BTreeSet<Group> = self.document.graph.claims().map(|node| Group::of(&node.key)).collect();
        groups.extend(self.shared.holdings.groups_of_environment(self.name));
        if groups.is_empty() {
            // There is nothing to look at: this pass does what there is to do.
            self.requests.insert(id);
        } else if !self.shared.wishes.waits_for(self.name, id) {
            self.shared.wishes.fresh(self.name, groups, self.shared.cache.ticket(), Priority::User, Some(id));
        }
    }

    /// The value that this pass handles.
    pub(super) fn handled_annotation(&self) -> Option<String> {
        requested(&self.row).filter(|requested| self.requests.contains(&requested.id)).map(|requested| requested.value)
    }

    /// The token of the latest request that was posted.
    pub(super) fn handled_token(&self) -> Option<Uuid> {
        self.requests.iter().rev().copied().find(|token| token.get_version_num() != MADE)
    }
}
