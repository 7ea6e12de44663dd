//! Application Auto Scaling: names only so far.
use crate::service::{Identity, Op, Service};

/// The service.
pub(crate) struct ApplicationAutoScaling;

impl Service for ApplicationAutoScaling {
    fn identity(&self) -> Identity {
        Identity {
            name: "application-autoscaling",
            target: "AnyScaleFrontendService",
            version: "",
            namespace: "",
            elements: &[],
            cbor: false,
        }
    }

    fn operations(&self) -> Vec<Op> {
        Vec::new()
    }
}
