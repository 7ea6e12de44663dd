//! `operator iam-policy`: prints the policies that [`kinds::iam`] makes. The files under `deploy/` that hold them are made by
//! this code too, so that no action is typed twice.

mod cloudformation;
#[cfg(test)]
mod tests;

use kinds::iam::{Own, Terms, target_role, task_role};
use serde_json::Value;

use crate::cli::IamPolicy;
use crate::say::say;

/// The roles of the deployment guide's tasks.
pub const PASS_ROLES: [&str; 2] = ["arn:aws:iam::*:role/ecsTaskExecutionRole", "arn:aws:iam::*:role/ecsTaskRole"];

/// What the functions are called that Secrets Manager offers for rotation.
pub const ROTATION_FUNCTIONS: [&str; 1] = ["arn:aws:lambda:*:*:function:SecretsManager*"];

/// What `deploy/cloudformation/target-account-role.yaml` calls the role, in any account.
pub const TARGET_ROLES: [&str; 1] = ["arn:aws:iam::*:role/eventchain-operator-target"];

/// Prints a policy.
pub fn print(of: &IamPolicy) {
    say(format!("{:#}", document(of)));
}

fn document(of: &IamPolicy) -> Value {
    match of {
        IamPolicy::TargetRole { installation, pass_roles, rotation_functions, topics } => target_role(&Terms {
            installation: installation.clone(),
            pass_roles: pass_roles.clone(),
            rotation_functions: rotation_functions.clone(),
            topics: topics.clone(),
        }),
        IamPolicy::TaskRole { target_roles, secrets } => {
            task_role(&Own { target_roles: target_roles.clone(), secrets: secrets.clone() })
        }
    }
}
