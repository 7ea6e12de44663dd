//! The files under `deploy/` hold exactly what this code makes. `UPDATE_GENERATED=1` writes them.

use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

/// Holds a file against what it should be, or writes it.
fn holds(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(path, expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let hint = "UPDATE_GENERATED=1 cargo test -p operator iam";
    assert!(found == expected, "{} is not up to date: {hint}", path.display());
}

/// A file whose part between the marks of a command is `generated`.
fn holds_between_marks(path: &Path, command: &str, generated: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    let mark = format!("# generated: operator iam-policy {command} (");
    let begin = text.find(&mark).expect("a line that begins what is generated");
    let begin = begin + text[begin..].find('\n').unwrap() + 1;
    let end = text[begin..].find("# end of what is generated").expect("a line that ends it") + begin;
    let end = text[..end].rfind('\n').unwrap() + 1;
    holds(path, &format!("{}{generated}{}", &text[..begin], &text[end..]));
}

fn of_command_line(words: &[&str]) -> Value {
    let cli = Cli::try_parse_from(["operator", "iam-policy"].iter().chain(words)).unwrap();
    match cli.command {
        Command::IamPolicy { of } => document(&of),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_policies_in_deploy_are_what_the_command_prints() {
    holds(&deploy("iam/target-role.json"), &format!("{:#}\n", of_command_line(&["target-role"])));
    let secret = "arn:aws:secretsmanager:*:*:secret:rds!db-*";
    holds(&deploy("iam/task-role.json"), &format!("{:#}\n", of_command_line(&["task-role", "--secret", secret])));
}

#[test]
fn the_templates_hold_the_same_policies() {
    let one = |name: &str| vec![name.to_owned()];
    let target = target_role(&Terms {
        installation: "${Installation}".to_owned(),
        pass_roles: one("${PassRoleArns}"),
        rotation_functions: one("${RotationFunctionArns}"),
        // In a policy of its own, since most accounts have none.
        topics: Vec::new(),
    });
    let indent = 14;
    let template = deploy("cloudformation/target-account-role.yaml");
    holds_between_marks(&template, "target-role", &cloudformation::render(&target, indent));
    let notify = kinds::iam::notifier(&one("${NotificationTopicArns}"));
    holds_between_marks(&template, "target-role --topic", &cloudformation::render(&notify, 8));
    let own = Own { target_roles: one("${TargetRoleArns}"), secrets: one("${Database.MasterUserSecret.SecretArn}") };
    let template = deploy("cloudformation/operator.yaml");
    holds_between_marks(&template, "task-role", &cloudformation::render(&task_role(&own), indent));
}

#[test]
fn a_policy_fits_into_a_role() {
    // IAM and AWS STS quotas: inline policies of a role, 10,240 characters without white space.
    let policy = of_command_line(&["target-role"]).to_string();
    assert!(policy.len() < 10_240, "{} characters", policy.len());
}
