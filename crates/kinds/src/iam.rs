//! What the operator's roles must grant: policies made of what the kinds declare ([`crate::registry::iam_actions`]), with
//! the terms on which AWS may be held to them. No role is made here, and no second list of actions is kept: an action that no
//! kind declares is in no policy, save what publishing to a topic takes.
//!
//! Facts are of the Service Authorization Reference (2026-11): every action that removes supports `aws:ResourceTag`, save
//! those that are named here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::registry::iam_actions;

/// What belongs to all kinds: the sweep of tags. `sts:GetCallerIdentity` needs no permission.
const SHARED: &[&str] = &["tag:GetResources"];

/// Calls for which AWS asks for no permission at all.
pub const NEEDS_NONE: &[&str] = &["sts:GetCallerIdentity"];

/// The tag by whose value a role may remove an object.
const MANAGED_BY: &str = "aws:ResourceTag/eventchain.io/managed-by";

/// Permissions besides the one of its own name that AWS asks for when an operation is called as the providers call it: for
/// tags given at creation, for a role that is passed on, for what a service does in the caller's name.
pub fn dependent_actions(operation: &str) -> &'static [&'static str] {
    match operation {
        "ecs:RegisterTaskDefinition" | "ecs:CreateService" => &["ecs:TagResource", "iam:PassRole"],
        "ecs:UpdateService" => &["iam:PassRole"],
        "ecs:CreateCluster" => &["ecs:TagResource"],
        "application-autoscaling:RegisterScalableTarget" => {
            &["application-autoscaling:TagResource", "iam:CreateServiceLinkedRole"]
        }
        // Target tracking keeps two alarms of its own.
        "application-autoscaling:PutScalingPolicy" => &["cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms"],
        "application-autoscaling:DeleteScalingPolicy" => &["cloudwatch:DeleteAlarms"],
        "elasticloadbalancing:CreateTargetGroup" | "elasticloadbalancing:CreateListener" => {
            &["elasticloadbalancing:AddTags"]
        }
        "logs:CreateLogGroup" => &["logs:TagResource"],
        "cloudwatch:PutMetricAlarm" => &["cloudwatch:TagResource"],
        // A key of one's own; and the password that RDS keeps in a secret.
        "rds:CreateDBInstance" => &[
            "rds:AddTagsToResource",
            "kms:CreateGrant",
            "kms:DescribeKey",
            "secretsmanager:CreateSecret",
            "secretsmanager:TagResource",
        ],
        "rds:CreateDBSnapshot" => &["rds:AddTagsToResource"],
        // The final snapshot.
        "rds:DeleteDBInstance" => &["rds:CreateDBSnapshot", "rds:AddTagsToResource"],
        "rds:CopyDBSnapshot" => &["rds:AddTagsToResource", "kms:CreateGrant", "kms:DescribeKey"],
        "secretsmanager:CreateSecret" => &["secretsmanager:TagResource", "kms:GenerateDataKey", "kms:Decrypt"],
        // Setting a rotation up runs the function's test of it.
        "secretsmanager:RotateSecret" => &["lambda:InvokeFunction"],
        _ => &[],
    }
}

/// What a policy is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Id of the installation, as in the tag `eventchain.io/managed-by`.
    pub installation: String,
    /// Roles that may be given to tasks.
    pub pass_roles: Vec<String>,
    /// Functions that rotate secrets.
    pub rotation_functions: Vec<String>,
    /// Topics that notifications are published to; often none.
    pub topics: Vec<String>,
}

/// On which objects, and under which conditions, an action is granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Grant {
    /// Reading: of everything, since most readings cannot be narrowed.
    Look,
    /// Making and changing.
    MakeAndChange,
    /// Removing what is marked as this installation's.
    RemoveOwn,
    /// Where AWS takes no condition.
    RemoveUnmarked,
    /// Target tracking's alarms, which have no tags.
    AlarmsOfAutoscaling,
    PassRoles,
    LinkedRoleOfAutoscaling,
    KeysForServices,
    UseKeys,
    RotateSecrets,
}

impl Grant {
    const fn sid(&self) -> &'static str {
        match self {
            Self::Look => "Look",
            Self::MakeAndChange => "MakeAndChange",
            Self::RemoveOwn => "RemoveOwn",
            Self::RemoveUnmarked => "RemoveUnmarked",
            Self::AlarmsOfAutoscaling => "AlarmsOfAutoscaling",
            Self::PassRoles => "PassRolesToTasks",
            Self::LinkedRoleOfAutoscaling => "LinkedRoleOfAutoscaling",
            Self::KeysForServices => "LetServicesUseKeys",
            Self::UseKeys => "UseKeysThroughServices",
            Self::RotateSecrets => "RotateSecrets",
        }
    }

    fn resources(&self, terms: &Terms) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::AlarmsOfAutoscaling => one("arn:aws:cloudwatch:*:*:alarm:TargetTracking-*"),
            Self::PassRoles => terms.pass_roles.clone(),
            Self::LinkedRoleOfAutoscaling => {
                one("arn:aws:iam::*:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/*")
            }
            Self::RotateSecrets => terms.rotation_functions.clone(),
            Self::Look
            | Self::MakeAndChange
            | Self::RemoveOwn
            | Self::RemoveUnmarked
            | Self::KeysForServices
            | Self::UseKeys => one("*"),
        }
    }

    fn condition(&self, terms: &Terms) -> Option<Value> {
        let through = json!(["rds.*.amazonaws.com", "secretsmanager.*.amazonaws.com"]);
        match self {
            Self::RemoveOwn => Some(json!({ "StringEquals": { MANAGED_BY: terms.installation } })),
            Self::PassRoles => Some(json!({ "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } })),
            Self::LinkedRoleOfAutoscaling => {
                Some(json!({ "StringEquals": { "iam:AWSServiceName": "ecs.application-autoscaling.amazonaws.com" } }))
            }
            Self::KeysForServices => Some(json!({
                "Bool": { "kms:GrantIsForAWSResource": "true" },
                "StringLike": { "kms:ViaService": through },
            })),
            Self::UseKeys => Some(json!({ "StringLike": { "kms:ViaService": through } })),
            Self::Look
            | Self::MakeAndChange
            | Self::RemoveUnmarked
            | Self::AlarmsOfAutoscaling
            | Self::RotateSecrets => None,
        }
    }
}

/// How an action is granted.
fn grants_of(action: &str) -> &'static [Grant] {
    let verb = action.split_once(':').map_or(action, |(_, name)| name);
    match action {
        "iam:PassRole" => &[Grant::PassRoles],
        "iam:CreateServiceLinkedRole" => &[Grant::LinkedRoleOfAutoscaling],
        "kms:CreateGrant" => &[Grant::KeysForServices],
        "lambda:InvokeFunction" => &[Grant::RotateSecrets],
        "ecs:DeregisterTaskDefinition" => &[Grant::RemoveUnmarked],
        "cloudwatch:DeleteAlarms" => &[Grant::RemoveOwn, Grant::AlarmsOfAutoscaling],
        _ if action.starts_with("kms:") => &[Grant::UseKeys],
        _ if ["Delete", "Deregister"].iter().any(|with| verb.starts_with(with)) => &[Grant::RemoveOwn],
        _ if ["Describe", "List", "Get"].iter().any(|with| verb.starts_with(with)) => &[Grant::Look],
        _ => &[Grant::MakeAndChange],
    }
}

/// The policy of the role that each target account grants.
pub fn target_role(terms: &Terms) -> Value {
    let declared = iam_actions().into_values().flatten().copied();
    let mut by_grant: BTreeMap<&Grant, BTreeSet<&str>> = BTreeMap::new();
    for action in declared.chain(SHARED.iter().copied()) {
        for grant in grants_of(action) {
            by_grant.entry(grant).or_default().insert(action);
        }
    }
    let statements = by_grant.into_iter().map(|(grant, actions)| {
        let actions: Vec<&str> = actions.into_iter().collect();
        statement(grant.sid(), &json!(actions), &json!(grant.resources(terms)), grant.condition(terms))
    });
    policy(statements.chain(notifying(&terms.topics)).collect())
}

/// The policy of a role that publishes notifications to topics, and does nothing else.
pub fn notifier(topics: &[String]) -> Value {
    policy(notifying(topics))
}

/// Publishing; and what an encrypted topic asks of whoever publishes (Amazon SNS Developer Guide, "Configure AWS KMS
/// permissions for SNS").
fn notifying(topics: &[String]) -> Vec<Value> {
    if topics.is_empty() {
        return Vec::new();
    }
    let through = json!({ "StringLike": { "kms:ViaService": ["sns.*.amazonaws.com"] } });
    vec![
        statement("Notify", &json!(["sns:Publish"]), &json!(topics), None),
        statement("UseKeysOfTopics", &json!(["kms:Decrypt", "kms:GenerateDataKey"]), &json!(["*"]), Some(through)),
    ]
}

/// What the daemon's own role may reach besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The roles of the target accounts.
    pub target_roles: Vec<String>,
    /// The secrets that it reads: its database's password.
    pub secrets: Vec<String>,
}

/// The policy of the daemon's own role: it enters target accounts, and reads its database's password. All it does to
/// environments it does as a target account's role.
pub fn task_role(own: &Own) -> Value {
    let mut statements = Vec::new();
    if !own.target_roles.is_empty() {
        statements.push(statement("EnterAccounts", &json!(["sts:AssumeRole"]), &json!(own.target_roles), None));
    }
    if !own.secrets.is_empty() {
        let read = json!(["secretsmanager:GetSecretValue"]);
        statements.push(statement("ReadOwnSecrets", &read, &json!(own.secrets), None));
    }
    policy(statements)
}

fn policy(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn statement(sid: &str, actions: &Value, resources: &Value, condition: Option<Value>) -> Value {
    let mut statement = json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources });
    if let Some(condition) = condition {
        statement["Condition"] = condition;
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        let (roles, functions) = ("arn:aws:iam::*:role/task", "arn:aws:lambda:*:*:function:rotate");
        Terms {
            installation: "here".to_owned(),
            pass_roles: vec![roles.to_owned()],
            rotation_functions: vec![functions.to_owned()],
            topics: Vec::new(),
        }
    }

    /// Statements that grant an action.
    fn granting<'a>(policy: &'a Value, action: &str) -> Vec<&'a Value> {
        let statements = policy["Statement"].as_array().unwrap().iter();
        statements.filter(|statement| statement["Action"].as_array().unwrap().contains(&json!(action))).collect()
    }

    #[test]
    fn every_declared_action_is_granted_and_no_other() {
        let policy = target_role(&terms());
        let mut declared: BTreeSet<&str> = iam_actions().into_values().flatten().copied().collect();
        declared.extend(SHARED);
        let statements = policy["Statement"].as_array().unwrap();
        let granted: BTreeSet<&str> = statements
            .iter()
            .flat_map(|statement| statement["Action"].as_array().unwrap())
            .map(|action| action.as_str().unwrap())
            .collect();
        assert_eq!(granted, declared);
        assert!(granted.iter().all(|action| !action.contains('*')), "a wildcard among the actions");
    }

    #[test]
    fn what_removes_is_granted_on_marked_objects_only() {
        let policy = target_role(&terms());
        for action in ["rds:DeleteDBInstance", "ecs:DeleteService", "application-autoscaling:DeregisterScalableTarget"]
        {
            let granting = granting(&policy, action);
            assert_eq!(granting.len(), 1, "{action}");
            assert_eq!(granting[0]["Condition"]["StringEquals"][MANAGED_BY], "here", "{action}");
        }
        let alarms = granting(&policy, "cloudwatch:DeleteAlarms");
        for statement in alarms {
            let narrowed = statement["Condition"].is_object() || statement["Resource"][0] != "*";
            assert!(narrowed, "{statement}");
        }
    }

    #[test]
    fn what_reaches_beyond_the_objects_is_narrowed() {
        let policy = target_role(&terms());
        for action in ["iam:PassRole", "iam:CreateServiceLinkedRole", "lambda:InvokeFunction"] {
            for statement in granting(&policy, action) {
                assert_ne!(statement["Resource"][0], "*", "{action}");
            }
        }
        for action in ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"] {
            for statement in granting(&policy, action) {
                assert!(statement["Condition"]["StringLike"]["kms:ViaService"].is_array(), "{action}");
            }
        }
        for statement in granting(&policy, "iam:PassRole") {
            assert_eq!(statement["Condition"]["StringEquals"]["iam:PassedToService"], "ecs-tasks.amazonaws.com");
        }
    }

    #[test]
    fn publishing_is_granted_for_the_topics_that_are_named_and_not_at_all_without_any() {
        assert!(granting(&target_role(&terms()), "sns:Publish").is_empty());
        let topics = vec!["arn:aws:sns:us-east-1:123456789012:ops".to_owned()];
        for policy in [notifier(&topics), target_role(&Terms { topics: topics.clone(), ..terms() })] {
            let publish = granting(&policy, "sns:Publish");
            assert_eq!((publish.len(), &publish[0]["Resource"]), (1, &json!(topics)), "{policy}");
            let keys = granting(&policy, "kms:GenerateDataKey");
            assert!(keys.iter().all(|statement| statement["Condition"]["StringLike"]["kms:ViaService"].is_array()));
        }
    }

    #[test]
    fn no_role_reads_or_writes_the_value_of_an_environments_secret() {
        let policy = target_role(&terms()).to_string();
        assert!(!policy.contains("GetSecretValue") && !policy.contains("PutSecretValue"), "{policy}");
    }
}
