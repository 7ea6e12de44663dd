//! Secrets Manager: names only so far.
use crate::service::{Identity, Op, Service};

/// The service.
pub(crate) struct SecretsManager;

impl Service for SecretsManager {
    fn identity(&self) -> Identity {
        Identity { name: "secretsmanager", target: "secretsmanager", version: "", namespace: "", elements: &[], cbor: false }
    }

    fn operations(&self) -> Vec<Op> {
        Vec::new()
    }
}
