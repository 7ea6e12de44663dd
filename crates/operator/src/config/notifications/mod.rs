//! `notifications`: who outside is told of which events, and how. Secrets come from files or variables, never from here.

mod checks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::Span;
use model::problem::{Problems, Reason};
use notify::{Class, Receiver as Told, Secret, Severity, Target, Timing, Wants};
use serde::{Deserialize, Serialize};
use store::LabelRequirement;

pub(super) use checks::check;
pub use checks::topic_of;

use super::{Config, ConfigError};
use checks::check_url;

/// What a receiver is told of when it does not say.
const USUAL: [Class; 7] =
    [Class::Drift, Class::Repaired, Class::Blocked, Class::Stalled, Class::Backup, Class::Changes, Class::Failures];

/// Who outside is told of which events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Notifications {
    /// Who.
    pub receivers: Vec<Receiver>,
    /// How long one attempt may take.
    pub timeout: Span,
    /// What could not be delivered for so long is given up.
    pub give_up_after: Span,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { receivers: Vec::new(), timeout: Span::from_secs(10), give_up_after: Span::from_secs(86_400) }
    }
}

/// One receiver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receiver {
    /// Unique; a label of metrics.
    pub name: String,
    /// An HTTP POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// A topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sns: Option<Sns>,
    /// Classes and reasons of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Only of these environments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<LabelSelector>,
    /// `info`, `warning` or `critical`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<String>,
    /// So long passes between two messages about the same event.
    #[serde(default = "an_hour")]
    pub repeat_after: Span,
}

fn an_hour() -> Span {
    Span::from_secs(3600)
}

/// An HTTP POST.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// `https://…`, or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Variable with the URL: its path is often a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_env: Option<String>,
    /// Allows `http://` to other machines than this one.
    #[serde(default)]
    pub insecure_plain_http: bool,
    /// File with the signing secrets, one on each line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
    /// Variable with the signing secrets, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
    /// Headers besides.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are in variables.
    #[serde(default)]
    pub headers_env: BTreeMap<String, String>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The path of a URL is often the secret itself.
        out.debug_struct("Webhook").field("headers", &self.headers.keys()).finish_non_exhaustive()
    }
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sns {
    /// Its ARN, of an account in `aws.accounts`.
    pub topic_arn: String,
}

/// Kubernetes' LabelSelector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelSelector {
    /// Labels with their values.
    pub match_labels: BTreeMap<String, String>,
    /// What else must hold of labels.
    pub match_expressions: Vec<Expression>,
}

/// One rule about a label.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expression {
    /// The label.
    pub key: String,
    /// How.
    pub operator: Operator,
    /// With `In` and `NotIn`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum Operator {
    /// It has one of the values.
    In,
    /// It has none of them.
    NotIn,
    /// It is there.
    Exists,
    /// It is not.
    DoesNotExist,
}

/// What a receiver wants, and what is wrong with how it says so.
fn wants(receiver: &Receiver, path: &str) -> (Wants, Problems) {
    let mut problems = Problems::default();
    let mut wants = Wants::default();
    match &receiver.events {
        None => wants.classes.extend(USUAL),
        Some(named) => {
            for (at, name) in named.iter().enumerate() {
                if let Ok(class) = name.parse::<Class>() {
                    wants.classes.insert(class);
                } else if name.starts_with(|c: char| c.is_ascii_uppercase())
                    && name.chars().all(|c| c.is_ascii_alphanumeric())
                {
                    wants.reasons.insert(name.clone());
                } else {
                    let classes = notify::classes().collect::<Vec<_>>().join(", ");
                    let rule = format!("must be a reason such as DriftDetected, or one of {classes}");
                    problems.add(format!("{path}.events[{at}]"), Reason::FieldValueNotSupported, rule);
                }
            }
            if named.is_empty() {
                problems.add(
                    format!("{path}.events"),
                    Reason::FieldValueInvalid,
                    "must name something, or be left out",
                );
            }
        }
    }
    if let Some(least) = &receiver.min_severity {
        match least.parse::<Severity>() {
            Ok(least) => wants.least = Some(least),
            Err(_) => {
                let rule = "must be info, warning or critical";
                problems.add(format!("{path}.minSeverity"), Reason::FieldValueNotSupported, rule);
            }
        }
    }
    let selector = receiver.environments.clone().unwrap_or_default();
    wants.labels.extend(selector.match_labels.iter().map(|(key, value)| LabelRequirement::equals(key, value)));
    for (at, rule) in selector.match_expressions.into_iter().enumerate() {
        let path = format!("{path}.environments.matchExpressions[{at}].values");
        let Expression { key, operator, values } = rule;
        let needs_values = matches!(operator, Operator::In | Operator::NotIn);
        if needs_values && values.is_empty() {
            problems.add(path, Reason::FieldValueRequired, "must have values with In and NotIn");
        } else if !needs_values && !values.is_empty() {
            problems.add(path, Reason::FieldValueForbidden, "must have no values with Exists and DoesNotExist");
        }
        wants.labels.push(match operator {
            Operator::In => LabelRequirement::In { key, values },
            Operator::NotIn => LabelRequirement::NotIn { key, values },
            Operator::Exists => LabelRequirement::Exists { key },
            Operator::DoesNotExist => LabelRequirement::DoesNotExist { key },
        });
    }
    (wants, problems)
}

impl Config {
    /// What `notify` needs of it, secrets included. `holder` is unique for this process.
    pub fn notify(
        &self,
        holder: String,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<notify::Config, ConfigError> {
        let mut problems = Problems::default();
        let mut receivers = Vec::new();
        for (at, receiver) in self.notifications.receivers.iter().enumerate() {
            let path = format!("notifications.receivers[{at}]");
            let target = match (&receiver.webhook, &receiver.sns) {
                (Some(hook), _) => {
                    opened(hook, &format!("{path}.webhook"), &variable, &mut problems).map(Target::Webhook)
                }
                (None, Some(sns)) => Some(Target::Sns { topic_arn: sns.topic_arn.clone() }),
                (None, None) => None,
            };
            let Some(target) = target else { continue };
            receivers.push(Told {
                name: receiver.name.clone(),
                wants: wants(receiver, &path).0,
                repeat_after: receiver.repeat_after.as_duration(),
                target,
            });
        }
        if !problems.is_empty() {
            return Err(ConfigError::Refused(problems));
        }
        let timing = Timing {
            attempt: self.notifications.timeout.as_duration(),
            give_up_after: self.notifications.give_up_after.as_duration(),
            lease_ttl: self.leases.ttl.as_duration(),
            ..Timing::default()
        };
        Ok(notify::Config { installation: self.installation.clone(), holder, receivers, timing })
    }
}

/// A webhook with its secrets.
fn opened(
    hook: &Webhook,
    path: &str,
    variable: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
) -> Option<notify::Webhook> {
    let mut refuse =
        |field: String, rule: String| problems.add(format!("{path}.{field}"), Reason::FieldValueInvalid, rule);
    let (field, text) = match (&hook.secret_file, &hook.secret_env) {
        (Some(file), _) => {
            ("secretFile", std::fs::read_to_string(file).map_err(|error| format!("{file} cannot be read: {error}")))
        }
        (None, named) => {
            let named = named.as_deref().unwrap_or_default();
            ("secretEnv", variable(named).ok_or_else(|| format!("the variable {named} is not set")))
        }
    };
    let mut secrets = Vec::new();
    match text {
        Err(why) => refuse(field.to_owned(), why),
        Ok(text) => {
            for secret in text.split_whitespace() {
                match Secret::parse(secret) {
                    Ok(secret) => secrets.push(secret),
                    // The rule alone: what stands there may be nearly the secret.
                    Err(rule) => refuse(field.to_owned(), format!("what it holds {rule}")),
                }
            }
            if text.trim().is_empty() {
                refuse(field.to_owned(), "is empty".to_owned());
            }
        }
    }
    let mut headers = hook.headers.clone();
    for (name, named) in &hook.headers_env {
        match variable(named).filter(|value| value.parse::<http::HeaderValue>().is_ok()) {
            Some(value) => drop(headers.insert(name.clone(), value)),
            None => refuse(
                format!("headersEnv.{name}"),
                format!("the variable {named} is not set, or is no value of a header"),
            ),
        }
    }
    let url = match (&hook.url, &hook.url_env) {
        (Some(url), _) => url.clone(),
        (None, named) => {
            let named = named.as_deref().unwrap_or_default();
            let found = variable(named).map(|url| url.trim().to_owned());
            match found.ok_or("is not set").and_then(|url| check_url(&url, hook.insecure_plain_http).map(|()| url)) {
                Ok(url) => url,
                Err(rule) => {
                    refuse("urlEnv".to_owned(), format!("the variable {named} {rule}"));
                    return None;
                }
            }
        }
    };
    (!secrets.is_empty()).then_some(notify::Webhook { url, secrets, headers })
}
