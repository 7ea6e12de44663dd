//! Resource Groups Tagging: names only so far.
use crate::service::{Identity, Op, Service};

/// The service.
pub(crate) struct Tagging;

impl Service for Tagging {
    fn identity(&self) -> Identity {
        Identity { name: "tagging", target: "ResourceGroupsTaggingAPI_20170126", version: "", namespace: "", elements: &[], cbor: false }
    }

    fn operations(&self) -> Vec<Op> {
        Vec::new()
    }
}
