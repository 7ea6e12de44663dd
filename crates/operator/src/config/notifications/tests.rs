//! What receivers are accepted, what is refused and by which path, and that no secret is shown.

use std::io::Write as _;

use notify::{Target, Webhook};

use super::*;
use crate::config::load;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Receivers as JSON.
fn config(receivers: &str) -> Result<Config, Vec<String>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, r#"{{"aws":{{"accounts":{{"123456789012":{{}}}}}},"notifications":{{"receivers":{receivers}}}}}"#)
        .unwrap();
    load(Some(file.path()), std::iter::empty()).map_err(paths)
}

fn paths(error: ConfigError) -> Vec<String> {
    match error {
        ConfigError::Refused(problems) => problems.list().iter().map(|problem| problem.path.clone()).collect(),
        other => vec![other.to_string()],
    }
}

/// The paths that are refused, without what they share.
fn refused(receivers: &str) -> Vec<String> {
    let paths = config(receivers).expect_err(receivers);
    paths.iter().map(|path| path.replace("notifications.receivers", "")).collect()
}

fn opened(receivers: &str, variables: &[(&str, &str)]) -> Result<notify::Config, Vec<String>> {
    let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    config(receivers).unwrap().notify("one".to_owned(), find).map_err(paths)
}

fn webhook(fields: &str) -> String {
    format!(r#"[{{"name":"ops","webhook":{{"secretEnv":"S",{fields}}}}}]"#)
}

#[test]
fn a_receiver_is_read_whole() {
    let text = r#"[
        {"name":"ops","webhook":{"url":"https://hooks.example.com/x","secretEnv":"S","headers":{"X-Team":"platform"},
            "headersEnv":{"Authorization":"A"}},"events":["drift","ChangeExpired"],"minSeverity":"warning",
            "environments":{"matchLabels":{"tier":"gold"},"matchExpressions":[{"key":"old","operator":"DoesNotExist"}]},
            "repeatAfter":"10m"},
        {"name":"topic","sns":{"topicArn":"arn:aws:sns:us-east-1:123456789012:ops"}}]"#;
    let both = format!("{SECRET}\n  {SECRET}\n");
    let config = opened(text, &[("S", &both), ("A", "Bearer t0p")]).unwrap();
    let ops = &config.receivers[0];
    assert_eq!((ops.name.as_str(), ops.repeat_after.as_secs()), ("ops", 600));
    assert_eq!((ops.wants.classes.len(), ops.wants.reasons.len(), ops.wants.labels.len()), (1, 1, 2));
    let Target::Webhook(Webhook { url, secrets, headers }) = &ops.target else { panic!("a webhook") };
    assert_eq!((url.as_str(), secrets.len()), ("https://hooks.example.com/x", 2), "both, while one is replaced");
    assert_eq!((headers["X-Team"].as_str(), headers["Authorization"].as_str()), ("platform", "Bearer t0p"));
    let topic = &config.receivers[1];
    assert_eq!(topic.wants.classes, USUAL.into(), "the usual, when it does not say");
    assert!(matches!(&topic.target, Target::Sns { topic_arn } if topic_arn.ends_with(":ops")));
    // Neither of the two shows a secret.
    let shown = format!("{config:?} {:?}", self::config(text).unwrap());
    for secret in [SECRET, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "t0p", "hooks.example.com/x"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn what_is_wrong_with_a_receiver_is_named_all_at_once() {
    let all = refused(
        r#"[{"name":"a b","webhook":{"url":"ftp://x"}},
            {"name":"one"},
            {"name":"one","sns":{"topicArn":"arn:aws:sns:us-east-1:999999999999:t"},"events":["drifts"],
             "minSeverity":"loud","repeatAfter":"8d",
             "environments":{"matchExpressions":[{"key":"k","operator":"In"},
                                                 {"key":"k","operator":"Exists","values":["v"]}]}}]"#,
    );
    let wanted = [
        "[0].name",
        "[0].webhook.url",
        "[0].webhook",
        "[1]",
        "[2].name",
        "[2].sns.topicArn",
        "[2].events[0]",
        "[2].minSeverity",
        "[2].environments.matchExpressions[0].values",
        "[2].environments.matchExpressions[1].values",
        "[2].repeatAfter",
    ];
    for path in wanted {
        assert!(all.iter().any(|found| found == path), "{path} not in {all:?}");
    }
    assert_eq!(all.len(), wanted.len(), "{all:?}");
}

#[test]
fn a_receiver_is_a_webhook_or_a_topic_and_knows_no_other_key() {
    let both = r#"[{"name":"x","webhook":{"url":"https://h/","secretEnv":"S"},
                    "sns":{"topicArn":"arn:aws:sns:us-east-1:123456789012:t"}}]"#;
    assert_eq!(refused(both), ["[0]"]);
    for unknown in [r#"[{"name":"x","slack":{}}]"#, r#"[{"name":"x","webhook":{"secret":"s"}}]"#, r#"{"name":"x"}"#] {
        let paths = config(unknown).unwrap_err();
        assert!(paths.iter().all(|path| path.contains("notifications.receivers")), "{paths:?}");
    }
    for topic in ["ops", "arn:aws:sqs:us-east-1:123456789012:t", "arn:aws:sns:us-east-1:123456789012:t.fifo"] {
        let text = format!(r#"[{{"name":"x","sns":{{"topicArn":"{topic}"}}}}]"#);
        assert_eq!(refused(&text), ["[0].sns.topicArn"], "{topic}");
    }
}

#[test]
fn urls_are_https_or_of_this_machine_and_never_of_a_metadata_service() {
    for good in [
        "https://hooks.example.com/x",
        "https://10.0.0.7:8443/x",
        "http://127.0.0.1:9000/x",
        "http://[::1]:9000/",
        "http://localhost/x",
    ] {
        assert!(config(&webhook(&format!(r#""url":"{good}""#))).is_ok(), "{good}");
    }
    for bad in [
        "hooks.example.com/x",
        "https://",
        "https://user:word@hooks.example.com/",
        "http://10.0.0.7/x",
        "http://169.254.169.254/latest",
        "https://169.254.170.2/v2",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:169.254.169.254]/",
    ] {
        assert_eq!(refused(&webhook(&format!(r#""url":"{bad}""#))), ["[0].webhook.url"], "{bad}");
    }
    assert!(config(&webhook(r#""url":"http://10.0.0.7/x","insecurePlainHttp":true"#)).is_ok());
    assert_eq!(refused(&webhook(r#""url":"http://169.254.170.2/","insecurePlainHttp":true"#)), ["[0].webhook.url"]);
    assert_eq!(refused(&webhook(r#""url":"https://h/","urlEnv":"U""#)), ["[0].webhook.urlEnv"]);
}

#[test]
fn headers_that_are_secrets_stand_in_variables_and_the_daemons_own_are_its_own() {
    let headers = |text: &str| refused(&webhook(&format!(r#""url":"https://h/",{text}"#)));
    assert_eq!(headers(r#""headers":{"Authorization":"x"}"#), ["[0].webhook.headers.Authorization"]);
    assert_eq!(headers(r#""headers":{"webhook-id":"x"}"#), ["[0].webhook.headers.webhook-id"]);
    assert_eq!(headers(r#""headers":{"a b":"x"}"#), ["[0].webhook.headers.a b"]);
    assert_eq!(headers(r#""headers":{"x":"a\nb"}"#), ["[0].webhook.headers.x"]);
    assert_eq!(headers(r#""headersEnv":{"host":"H"}"#), ["[0].webhook.headersEnv.host"]);
    assert_eq!(headers(r#""headersEnv":{"x":"EVENTCHAIN_H"}"#), ["[0].webhook.headersEnv.x"]);
}

#[test]
fn what_files_and_variables_hold_is_checked_when_the_daemon_starts_and_never_repeated() {
    let text = webhook(r#""urlEnv":"U","headersEnv":{"Authorization":"A"}"#);
    let paths = |variables: &[(&str, &str)]| -> Vec<String> {
        let paths = opened(&text, variables).expect_err("refused");
        paths.iter().map(|path| path.replace("notifications.receivers[0].webhook.", "")).collect()
    };
    assert_eq!(paths(&[]), ["secretEnv", "headersEnv.Authorization", "urlEnv"]);
    let near = [("S", "whsec_bmVhcmx5"), ("A", "a\nb"), ("U", "http://10.0.0.7/")];
    assert_eq!(paths(&near), ["secretEnv", "headersEnv.Authorization", "urlEnv"]);
    let find = |name: &str| near.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let said = config(&text).unwrap().notify("one".to_owned(), find).unwrap_err();
    let said = format!("{said} {said:?}");
    assert!(!said.contains("bmVhcmx5") && !said.contains("10.0.0.7"), "{said}");
    let good = [("S", SECRET), ("A", "Bearer x"), ("U", " https://hooks.example.com/secret\n")];
    let config = opened(&text, &good).unwrap();
    let Target::Webhook(hook) = &config.receivers[0].target else { panic!("a webhook") };
    assert_eq!(hook.url, "https://hooks.example.com/secret");
    let missing = r#"[{"name":"ops","webhook":{"url":"https://h/","secretFile":"/nowhere/at/all"}}]"#;
    assert_eq!(opened(missing, &[]).unwrap_err(), ["notifications.receivers[0].webhook.secretFile"]);
}

#[test]
fn times_have_limits() {
    let with = |name: &str, value: &str| {
        load(None, [(name.to_owned(), value.to_owned())].into_iter()).map(|_| ()).map_err(paths)
    };
    assert_eq!(with("EVENTCHAIN_NOTIFICATIONS_TIMEOUT", "31s"), Err(vec!["notifications.timeout".to_owned()]));
    assert_eq!(
        with("EVENTCHAIN_NOTIFICATIONS_GIVE_UP_AFTER", "59s"),
        Err(vec!["notifications.giveUpAfter".to_owned()])
    );
    assert_eq!(with("EVENTCHAIN_NOTIFICATIONS_GIVE_UP_AFTER", "7d"), Ok(()));
}
