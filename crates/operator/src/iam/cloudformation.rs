//! A policy as a part of a CloudFormation template: YAML in which `${Name}` is a reference to a parameter or a resource's
//! attribute. Only for what the tests write into `deploy/`.

#![cfg(test)]

use std::fmt::Write as _;

use serde_json::Value;

/// In this order; anything else follows.
const ORDER: [&str; 7] = ["Version", "Statement", "Sid", "Effect", "Action", "Resource", "Condition"];

/// The policy, indented by so many spaces.
pub(super) fn render(policy: &Value, indent: usize) -> String {
    let mut out = String::new();
    block(policy, indent, &mut out);
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_by_key(|key| ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len()));
            for key in keys {
                let _ = write!(out, "{:indent$}{key}:", "");
                nested(&fields[key], indent, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut text = String::new();
                match item {
                    Value::Object(_) => block(item, indent + 2, &mut text),
                    scalar => text = format!("{:1$}{2}\n", "", indent + 2, inline(scalar)),
                }
                // The first line carries the dash.
                let _ = write!(out, "{:indent$}- {}", "", text.trim_start());
            }
        }
        scalar => {
            let _ = writeln!(out, "{:indent$}{}", "", inline(scalar));
        }
    }
}

/// What follows a key.
fn nested(value: &Value, indent: usize, out: &mut String) {
    match value {
        // A list that is a parameter as a whole.
        Value::Array(items) if items.len() == 1 && items[0].as_str().is_some_and(is_reference) => {
            let _ = writeln!(out, " {}", inline(&items[0]));
        }
        Value::Object(_) | Value::Array(_) => {
            out.push('\n');
            block(value, indent + 2, out);
        }
        scalar => {
            let _ = writeln!(out, " {}", inline(scalar));
        }
    }
}

fn is_reference(text: &str) -> bool {
    text.starts_with("${") && text.ends_with('}')
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) if is_reference(text) => {
            let name = &text[2..text.len() - 1];
            format!("{} {name}", if name.contains('.') { "!GetAtt" } else { "!Ref" })
        }
        // Quoted, always: `*` and a date mean something else in YAML.
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    }
}

#[test]
fn references_are_tags_and_everything_else_is_quoted() {
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Action": ["a:B", "*"], "Sid": "X", "Resource": ["${Roles}"], "Condition": { "Bool": { "k": "${Db.Arn}" } } }],
    });
    let expected = "  Version: '2012-10-17'
  Statement:
    - Sid: 'X'
      Action:
        - 'a:B'
        - '*'
      Resource: !Ref Roles
      Condition:
        Bool:
          k: !GetAtt Db.Arn
";
    assert_eq!(render(&policy, 2), expected);
}
