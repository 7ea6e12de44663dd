//! What of `notifications` is refused, with the path of each key. No file or variable is read here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::problem::{Problems, Reason};
use model::{AwsAccountId, Region, Span};

use super::{Webhook, wants};
use crate::config::Config;

/// A week: settled deliveries are kept for so long.
const LONGEST_WAIT_S: u32 = 7 * 86_400;

/// Headers that prove who sends: their values are secrets.
const PRIVATE_HEADERS: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"];
/// Headers that the daemon sets itself.
const OWN_HEADERS: [&str; 8] = [
    "content-type",
    "content-length",
    "host",
    "user-agent",
    "transfer-encoding",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// What is wrong with the section, as far as the document alone shows it.
pub(in crate::config) fn check(config: &Config) -> Problems {
    let section = &config.notifications;
    let mut problems = Problems::default();
    let mut names = BTreeSet::new();
    for (at, receiver) in section.receivers.iter().enumerate() {
        let path = format!("notifications.receivers[{at}]");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if receiver.name.is_empty() || receiver.name.len() > 63 || !receiver.name.chars().all(plain) {
            let rule = "must be 1 to 63 letters, digits, - and _";
            problems.add(format!("{path}.name"), Reason::FieldValueInvalid, rule);
        } else if !names.insert(&receiver.name) {
            problems.add(format!("{path}.name"), Reason::FieldValueDuplicate, "is the name of another receiver too");
        }
        match (&receiver.webhook, &receiver.sns) {
            (Some(hook), None) => check_webhook(hook, &format!("{path}.webhook"), &mut problems),
            (None, Some(sns)) => {
                if let Err(why) = topic_of(config, &sns.topic_arn) {
                    problems.add(format!("{path}.sns.topicArn"), Reason::FieldValueInvalid, why);
                }
            }
            _ => problems.add(path.clone(), Reason::FieldValueRequired, "must have webhook or sns, and not both"),
        }
        problems.extend(wants(receiver, &path).1);
        if receiver.repeat_after.as_secs() > LONGEST_WAIT_S {
            let rule = format!("must be at most {}", Span::from_secs(LONGEST_WAIT_S));
            problems.add(format!("{path}.repeatAfter"), Reason::FieldValueInvalid, rule);
        }
    }
    let mut between = |path: &str, span: Span, least: u32, most: u32| {
        if !(least..=most).contains(&span.as_secs()) {
            let rule = format!("must be {} to {}", Span::from_secs(least), Span::from_secs(most));
            problems.add(path, Reason::FieldValueInvalid, rule);
        }
    };
    between("notifications.timeout", section.timeout, 1, 30);
    between("notifications.giveUpAfter", section.give_up_after, 60, LONGEST_WAIT_S);
    problems
}

fn check_webhook(hook: &Webhook, path: &str, problems: &mut Problems) {
    let mut refuse = |field: &str, rule: &str| {
        let path = if field.is_empty() { path.to_owned() } else { format!("{path}.{field}") };
        problems.add(path, Reason::FieldValueInvalid, rule);
    };
    match (&hook.url, &hook.url_env) {
        (Some(_), Some(_)) => refuse("urlEnv", "give url or urlEnv, not both"),
        (None, None) => refuse("", "must have url or urlEnv"),
        (Some(url), None) => {
            if let Err(rule) = check_url(url, hook.insecure_plain_http) {
                refuse("url", rule);
            }
        }
        (None, Some(variable)) => {
            if let Err(rule) = is_variable(variable) {
                refuse("urlEnv", rule);
            }
        }
    }
    match (&hook.secret_file, &hook.secret_env) {
        (Some(_), Some(_)) => refuse("secretEnv", "give secretFile or secretEnv, not both"),
        (None, None) => refuse("", "must have secretFile or secretEnv: messages are signed"),
        (_, Some(variable)) => {
            if let Err(rule) = is_variable(variable) {
                refuse("secretEnv", rule);
            }
        }
        (Some(_), None) => {}
    }
    for (name, value) in &hook.headers {
        let field = format!("headers.{name}");
        if PRIVATE_HEADERS.contains(&&*name.to_ascii_lowercase()) {
            refuse(&field, "is a secret: name a variable that holds it in headersEnv");
        } else if value.parse::<http::HeaderValue>().is_err() {
            refuse(&field, "cannot be the value of a header");
        }
    }
    for (name, variable) in &hook.headers_env {
        if let Err(rule) = is_variable(variable) {
            refuse(&format!("headersEnv.{name}"), rule);
        }
    }
    for (field, name) in
        hook.headers.keys().map(|it| ("headers", it)).chain(hook.headers_env.keys().map(|it| ("headersEnv", it)))
    {
        if name.parse::<http::HeaderName>().is_err() {
            refuse(&format!("{field}.{name}"), "cannot be the name of a header");
        } else if OWN_HEADERS.contains(&&*name.to_ascii_lowercase()) {
            refuse(&format!("{field}.{name}"), "is set by the daemon");
        }
    }
}

/// A URL that messages may go to. Private addresses are fine: whoever writes this configuration runs the daemon. Those that
/// hand out credentials to this machine are not.
pub(super) fn check_url(url: &str, insecure_plain_http: bool) -> Result<(), &'static str> {
    const RULE: &str = "must be an https:// or http:// URL";
    let uri = url.parse::<http::Uri>().map_err(|_| RULE)?;
    let authority = uri.authority().ok_or(RULE)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if !matches!(uri.scheme_str(), Some("https" | "http")) || host.is_empty() {
        return Err(RULE);
    }
    if authority.as_str().contains('@') {
        return Err("must hold no user or password: headersEnv can send Authorization");
    }
    // A name may lead there too: that is refused once it is looked up.
    let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    if address.is_some_and(notify::is_metadata_address) {
        return Err("must not be a link-local address or EC2's own: metadata services listen there");
    }
    let is_here = address.map_or(host == "localhost", |address| address.is_loopback());
    if uri.scheme_str() == Some("http") && !is_here && !insecure_plain_http {
        return Err("must be https://, or insecurePlainHttp must be true: anybody on the way could read the messages");
    }
    Ok(())
}

fn is_variable(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err("must be the name of an environment variable");
    }
    if name.starts_with("EVENTCHAIN_") {
        return Err("must not begin with EVENTCHAIN_: such variables are keys of this configuration");
    }
    Ok(())
}

/// Account and region of a topic.
pub fn topic_of(config: &Config, arn: &str) -> Result<(AwsAccountId, Region), String> {
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", _, "sns", region, account, name] = parts[..] else {
        return Err("must be arn:aws:sns:<region>:<account>:<topic>".to_owned());
    };
    if name.strip_suffix(".fifo").is_some() {
        return Err("FIFO topics are not supported: give a standard topic".to_owned());
    }
    let account = AwsAccountId::parse(account).map_err(|rule| format!("its account {rule}"))?;
    let region = Region::parse(region).map_err(|rule| format!("its region {rule}"))?;
    if !config.aws.accounts.contains_key(&account) {
        return Err(format!("account {account} is not in aws.accounts"));
    }
    Ok((account, region))
}
