//! What the document wants of a secret.

use engine::Expansion;
use model::{Environment, Tags};
use serde::{Deserialize, Serialize};

/// What the document wants of a secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Description. `None`: not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// KMS key, used at creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// Rotation. `None`: not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// Tags given at creation.
    pub tags: Tags,
}

/// Rotation by a Lambda function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// ARN of the function.
    pub lambda_arn: String,
    /// Days between rotations.
    pub every_days: u32,
}

/// One secret for each that is declared.
pub(super) fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
    for (name, spec) in &environment.spec.secrets {
        let desired = Desired {
            description: spec.description.clone(),
            kms_key_id: spec.kms_key_id.clone(),
            rotation: spec
                .rotation
                .as_ref()
                .map(|rotation| Rotation { lambda_arn: rotation.lambda_arn.clone(), every_days: rotation.every_days }),
            tags: expansion.tags().clone(),
        };
        expansion.add(name, model::problem::join("spec.secrets", name), desired);
    }
}
