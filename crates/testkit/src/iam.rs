//! What the kinds declare for IAM, held against the calls that were really made: each call of a provider, in every test that
//! has a [`crate::world::World`], must be granted; what is declared and never needed must have a reason here.

use std::collections::BTreeSet;

use kinds::iam::{NEEDS_NONE, dependent_actions};

/// The tag sweep belongs to all kinds.
const SHARED: &[&str] = &["tag:GetResources"];

/// Declared, and needed by no call of the suite: by kind, with the reason why it is declared all the same, and the kind's
/// own test that needs it.
const NOT_SEEN: &[(&str, &str, &str)] = &[
    ("Alarm", "cloudwatch:EnableAlarmActions", "after tampering: actions_that_someone_switches_off_…"),
    ("EcsService", "ecs:ListTasks", "to say why tasks fail: failing_tasks_are_a_stall_that_says_why_they_stopped"),
    ("EcsService", "ecs:DescribeTasks", "the same"),
    (
        "EcsTaskDefinition",
        "ecs:DeregisterTaskDefinition",
        "a revision nobody wants any more: a_revision_registered_and_not_wanted_any_more_is_deregistered",
    ),
    ("RdsSnapshot", "rds:CreateDBSnapshot", "when a slot is due: each_day_has_its_snapshot_and_only_the_last_few_stay"),
    ("RdsSnapshot", "rds:DeleteDBSnapshot", "pruning: the same"),
    ("RdsSnapshot", "rds:AddTagsToResource", "tags given at creation: the same"),
    (
        "RdsSnapshotCopy",
        "rds:CopyDBSnapshot",
        "when there is something to copy: each_snapshot_is_copied_and_each_region_keeps_its_own_number",
    ),
    ("RdsSnapshotCopy", "rds:DeleteDBSnapshot", "pruning: the same"),
    ("RdsSnapshotCopy", "rds:AddTagsToResource", "tags given at creation: the same"),
    ("RdsSnapshotCopy", "kms:CreateGrant", "the key of the copy: the same"),
    ("RdsSnapshotCopy", "kms:DescribeKey", "the key of the copy: the same"),
    (
        "TargetGroup",
        "elasticloadbalancing:DescribeTargetHealth",
        "when somebody asks what is wrong: a_diagnosis_tells_which_targets_get_no_traffic_and_why",
    ),
];

fn declared(kind: &str) -> &'static [&'static str] {
    kinds::registry::iam_actions().get(kind).copied().expect("the kind is registered")
}

/// A kind has made this call.
pub(crate) fn assert_granted(kind: &str, operation: &str) {
    if SHARED.contains(&operation) || NEEDS_NONE.contains(&operation) {
        return;
    }
    let declared = declared(kind);
    for action in std::iter::once(operation).chain(dependent_actions(operation).iter().copied()) {
        assert!(declared.contains(&action), "{kind} calls {operation}, and {action} is not in its IAM_ACTIONS");
    }
}

/// A kind has made these calls: they need all that it declares, but for what has a reason in [`NOT_SEEN`].
pub(crate) fn assert_needed(kind: &str, operations: &BTreeSet<String>) {
    let needed: BTreeSet<&str> = operations
        .iter()
        .flat_map(|operation| std::iter::once(operation.as_str()).chain(dependent_actions(operation).iter().copied()))
        .collect();
    let unseen: BTreeSet<&str> = declared(kind).iter().copied().filter(|action| !needed.contains(action)).collect();
    let explained: BTreeSet<&str> =
        NOT_SEEN.iter().filter(|(of, _, _)| *of == kind).map(|(_, action, _)| *action).collect();
    assert_eq!(unseen, explained, "left: what {kind} declares and the suite never needs; right: what has a reason");
}
