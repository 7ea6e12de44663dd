//! Elastic Container Service: names only so far.
use crate::service::{Identity, Op, Service};

/// The service.
pub(crate) struct Ecs;

impl Service for Ecs {
    fn identity(&self) -> Identity {
        Identity {
            name: "ecs",
            target: "AmazonEC2ContainerServiceV20141113",
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
