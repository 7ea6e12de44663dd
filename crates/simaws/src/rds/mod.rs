//! Relational Database Service: names only so far.
use crate::service::{Identity, Op, Service};

/// The service.
pub(crate) struct Rds;

impl Service for Rds {
    fn identity(&self) -> Identity {
        Identity {
            name: "rds",
            target: "",
            version: "2014-10-31",
            namespace: "http://rds.amazonaws.com/doc/2014-10-31/",
            elements: &[],
            cbor: false,
        }
    }

    fn operations(&self) -> Vec<Op> {
        Vec::new()
    }
}
