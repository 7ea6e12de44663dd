//! Elastic Load Balancing v2: names only so far.
use crate::service::{Identity, Op, Service};

/// The service.
pub(crate) struct Elbv2;

impl Service for Elbv2 {
    fn identity(&self) -> Identity {
        Identity {
            name: "elasticloadbalancing",
            target: "",
            version: "2015-12-01",
            namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
            elements: &[],
            cbor: false,
        }
    }

    fn operations(&self) -> Vec<Op> {
        Vec::new()
    }
}
