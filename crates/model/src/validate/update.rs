//! What must not change between two versions of one document.

use crate::env::Environment;
use crate::problem::{Problems, Reason};

/// Checks a new version of a document against the one that holds. What AWS cannot change in place, and what would
/// silently replace a database, is refused with its path.
pub fn validate_update(old: &Environment, new: &Environment) -> Problems {
    let mut problems = Problems::default();
    let mut fixed = |path: &str, why: &str| problems.add(path, Reason::FieldValueForbidden, why);
    if old.metadata.name != new.metadata.name {
        fixed("metadata.name", "cannot be changed");
    }
    if old.spec.aws.account_id != new.spec.aws.account_id {
        fixed("spec.aws.accountId", "cannot be changed: make another Environment");
    }
    if old.spec.aws.region != new.spec.aws.region {
        fixed("spec.aws.region", "cannot be changed: make another Environment");
    }
    let (Some(before), Some(after)) = (&old.spec.database, &new.spec.database) else { return problems };
    if before.identifier != after.identifier {
        return problems;
    }
    if let (Some(live), Some(wanted)) = (before.storage_gib, after.storage_gib)
        && wanted < live
    {
        fixed("spec.database.storageGib", &format!("storage cannot shrink (it is {live} GiB)"));
    }
    let differs = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
    if differs(&before.engine, &after.engine) {
        fixed("spec.database.engine", "cannot be changed in place");
    }
    if matches!((before.encrypted, after.encrypted), (Some(a), Some(b)) if a != b) {
        fixed("spec.database.encrypted", "is fixed at creation");
    }
    if differs(&before.kms_key_id, &after.kms_key_id) {
        fixed("spec.database.kmsKeyId", "is fixed at creation");
    }
    if differs(&before.master_username, &after.master_username) {
        fixed("spec.database.masterUsername", "is fixed at creation");
    }
    if differs(&before.database_name, &after.database_name) {
        fixed("spec.database.databaseName", "is used at creation only");
    }
    problems
}
