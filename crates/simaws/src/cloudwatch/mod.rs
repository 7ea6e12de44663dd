//! CloudWatch: names only so far.
use crate::service::{Identity, Op, Service};

/// The service.
pub(crate) struct CloudWatch;

impl Service for CloudWatch {
    fn identity(&self) -> Identity {
        Identity {
            name: "monitoring",
            target: "GraniteServiceVersion20100801",
            version: "2010-08-01",
            namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
            elements: &[],
            cbor: true,
        }
    }

    fn operations(&self) -> Vec<Op> {
        Vec::new()
    }
}
