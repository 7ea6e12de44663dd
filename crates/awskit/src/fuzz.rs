//! Fuzz target of what AWS, or whoever answers in its place, may send: each answer is read or classed as a failure, and what is
//! told of one that cannot be read repeats nothing of it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_types::region::Region;
use bytes::Bytes;
use fuzzing::{target, tells};
use model::{Class, Effect};

use crate::classify::{Failure, classify, shared, shared_only};
use crate::in_process;

/// What is answered next: a status, a code for the header that JSON services have, a body.
type Next = Arc<Mutex<(u16, String, Bytes)>>;

fn http_client(next: &Next) -> SharedHttpClient {
    let next = Arc::clone(next);
    in_process(move |_| {
        let (status, code, body) = next.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = http::Response::builder().status(status).header("x-amzn-errortype", code).body(body);
        async move { answer.ok() }
    })
}

fn sdk_config(next: &Next) -> aws_config::SdkConfig {
    aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
        .retry_config(RetryConfig::disabled())
        .http_client(http_client(next))
        .build()
}

#[tokio::test]
async fn an_answer_that_says_done_and_cannot_be_read_leaves_the_effect_unknown() {
    let next = Next::default();
    let secrets = aws_sdk_secretsmanager::Client::new(&sdk_config(&next));
    for (status, body, expected) in [
        (200, "{\"CreatedDate\":\"x\"}", (Class::Bug, Effect::Unknown, "UnreadableResponse")),
        (400, "{\"__type\":\"\"}", (Class::Invalid, Effect::NotApplied, "Unknown")),
        (503, "<html>", (Class::Transient, Effect::Unknown, "Unknown")),
    ] {
        *next.lock().unwrap_or_else(PoisonError::into_inner) = (status, String::new(), Bytes::from(body));
        let failed = secrets.get_secret_value().secret_id("x").send().await.unwrap_err();
        let failure = classify(&failed, shared_only);
        assert_eq!((failure.class, failure.effect, failure.code.as_str()), expected, "{failure:?}");
    }
}

#[test]
fn every_answer_of_aws_is_read_or_classed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let next = Next::default();
    let config = sdk_config(&next);
    // One of each way to write: XML of the query protocol, JSON, CBOR.
    let (sts, secrets) = (aws_sdk_sts::Client::new(&config), aws_sdk_secretsmanager::Client::new(&config));
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&config);
    let words =
        ["<Error>", "</Error>", "<Code>", "ThrottlingException", "__type", "SecretString", "&amp;", "<!DOCTYPE", "503"];
    target!("answer", &words, |text: &str| {
        let mut lines = text.splitn(3, '\n');
        let status =
            lines.next().and_then(|line| line.trim().parse::<u16>().ok()).filter(|it| (200..=599).contains(it));
        let code = lines.next().unwrap_or_default();
        let code: String = code.chars().filter(char::is_ascii_graphic).collect();
        let body = Bytes::from(lines.next().unwrap_or_default().to_owned());
        let status = status.unwrap_or(200);
        *next.lock().unwrap_or_else(PoisonError::into_inner) = (status, code.clone(), body);
        let failures: Vec<Failure> = runtime.block_on(async {
            let identity = sts.get_caller_identity().send().await.map(drop).map_err(|it| classify(&it, shared_only));
            let secret = secrets.get_secret_value().secret_id("x").send().await.map(drop);
            let secret = secret.map_err(|it| classify(&it, shared_only));
            let alarms = cloudwatch.describe_alarms().send().await.map(drop).map_err(|it| classify(&it, shared_only));
            [identity, secret, alarms].into_iter().filter_map(Result::err).collect()
        });
        for failure in failures {
            assert!(!failure.code.is_empty(), "{failure:?}");
            if status < 300 && shared(&failure.code).is_none() {
                // It says that it was done, and not in words that we read.
                assert_eq!((failure.class, failure.effect), (Class::Bug, Effect::Unknown), "{failure:?}");
                assert!(!tells(&failure.message), "{failure:?}");
            }
        }
    });
}
