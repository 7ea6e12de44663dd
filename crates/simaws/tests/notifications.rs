//! Simple Notification Service, as documented: topics, and what was published to them.
use http::Request;
use serde_json::{Value, json};
use simaws::Sim;
use simaws::testing::{Caller, Reply, query};

use crate::support::still;

type Parameters<'a> = Vec<(&'a str, &'a str)>;

const ARN: &str = "arn:aws:sns:us-east-1:123456789012:ops";

async fn sns(sim: &Sim, operation: &str, parameters: &[(&str, &str)]) -> Reply {
    query(sim, "sns", operation, parameters).await
}

async fn with_topic() -> Sim {
    let sim = still();
    let made = sns(&sim, "CreateTopic", &[("Name", "ops")]).await;
    assert!(made.xml().contains(&format!("<TopicArn>{ARN}</TopicArn>")), "{}", made.xml());
    sim
}

/// Publishes `hello` to the topic, and whatever else is given.
async fn publish(sim: &Sim, more: &[(&str, &str)]) -> Reply {
    let mut all = vec![("TopicArn", ARN), ("Message", "hello")];
    all.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    all.extend(more);
    sns(sim, "Publish", &all).await
}

async fn published(sim: &Sim, body: &str) -> Value {
    let request = Request::post("/_sim/sns/published").body(body.to_owned().into()).expect("a request");
    let answer = sim.handle(request).await.expect("no fault drops this call");
    serde_json::from_slice(answer.body()).expect("JSON")
}

#[tokio::test]
async fn what_is_published_is_kept_with_its_attributes_and_answered_with_an_id() {
    let sim = with_topic().await;
    let attributes = [
        ("Subject", "[critical] BackupTooOld: prod"),
        ("MessageAttributes.entry.1.Name", "class"),
        ("MessageAttributes.entry.1.Value.DataType", "String"),
        ("MessageAttributes.entry.1.Value.StringValue", "backup"),
    ];
    let answer = publish(&sim, &attributes).await;
    assert_eq!(answer.status, 200, "{}", answer.xml());
    assert!(answer.xml().starts_with("<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">"));
    let shown = published(&sim, r#"{"forget":true}"#).await;
    let one = &shown["published"][0];
    assert!(answer.xml().contains(one["messageId"].as_str().unwrap()), "{one}");
    assert_eq!((&one["topic"], &one["message"]), (&json!("ops"), &json!("hello")));
    assert_eq!(one["subject"], "[critical] BackupTooOld: prod");
    assert_eq!(one["attributes"], json!({ "class": "backup" }));
    assert_eq!(published(&sim, "").await, json!({ "published": [] }), "it was to be forgotten");
}

#[tokio::test]
async fn a_publication_that_aws_would_refuse_is_refused_by_name_and_nothing_is_kept() {
    let sim = with_topic().await;
    let long = "x".repeat(256 * 1024 + 1);
    let subject = "s".repeat(101);
    let attribute = |name, kind, value| {
        vec![
            ("MessageAttributes.entry.1.Name", name),
            ("MessageAttributes.entry.1.Value.DataType", kind),
            ("MessageAttributes.entry.1.Value.StringValue", value),
        ]
    };
    let cases: Vec<(Parameters<'_>, u16, &str)> = vec![
        (vec![("TopicArn", "arn:aws:sns:us-east-1:123456789012:other")], 404, "NotFound"),
        (vec![("TopicArn", "arn:aws:sns:us-east-1:210987654321:ops")], 403, "AuthorizationError"),
        (vec![("TopicArn", "arn:aws:sns:eu-west-1:123456789012:ops")], 400, "InvalidParameter"),
        (vec![("TopicArn", "ops")], 400, "InvalidParameter"),
        (vec![("Message", "")], 400, "InvalidParameter"),
        (vec![("Message", &long)], 400, "InvalidParameter"),
        (vec![("Subject", &subject)], 400, "InvalidParameter"),
        (vec![("Subject", "two\nlines")], 400, "InvalidParameter"),
        (vec![("Subject", " begins with a space")], 400, "InvalidParameter"),
        (vec![("MessageGroupId", "g")], 400, "InvalidParameter"),
        (vec![("PhoneNumber", "+15550100")], 400, "InvalidParameter"),
        (attribute("class", "String", ""), 400, "ParameterValueInvalid"),
        (attribute("class", "Text", "x"), 400, "InvalidParameter"),
        (attribute("AWS.class", "String", "x"), 400, "InvalidParameter"),
        (attribute("a b", "String", "x"), 400, "InvalidParameter"),
    ];
    for (more, status, code) in cases {
        let answer = publish(&sim, &more).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{more:?} {}", answer.xml());
        let because = answer.xml().split("<Message>").nth(1).unwrap_or_default();
        assert!(!because.starts_with('<'), "it says why: {}", answer.xml());
    }
    assert_eq!(published(&sim, "").await, json!({ "published": [] }));
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_refused_by_its_name() {
    let sim = with_topic().await;
    let answer = publish(&sim, &[("Topic", "ops")]).await;
    assert_eq!(answer.status / 100, 4, "{}", answer.xml());
    assert!(answer.xml().contains("Topic"), "{}", answer.xml());
    let answer = sns(&sim, "Subscribe", &[("TopicArn", ARN)]).await;
    assert_eq!(answer.code(), "UnsupportedOperation", "{}", answer.xml());
    assert!(answer.xml().contains("Subscribe"), "{}", answer.xml());
    let without = sns(&sim, "Publish", &[("TopicArn", ARN)]).await;
    assert!(without.status == 400 && without.xml().contains("Message"), "{}", without.xml());
}

#[tokio::test]
async fn a_topic_is_made_once_and_goes_once() {
    let sim = with_topic().await;
    assert_eq!(sns(&sim, "CreateTopic", &[("Name", "ops")]).await.status, 200, "idempotent");
    let named = [("Attributes.entry.1.key", "DisplayName"), ("Attributes.entry.1.value", "Ops")];
    let other = sns(&sim, "CreateTopic", &[("Name", "ops"), named[0], named[1]]).await;
    assert_eq!(other.code(), "InvalidParameter", "with other attributes: {}", other.xml());
    for bad in ["", "a.b", "x.fifo"] {
        assert_eq!(sns(&sim, "CreateTopic", &[("Name", bad)]).await.code(), "InvalidParameter", "{bad}");
    }
    let shown = sns(&sim, "GetTopicAttributes", &[("TopicArn", ARN)]).await;
    assert!(shown.xml().contains("<key>Owner</key><value>123456789012</value>"), "{}", shown.xml());
    for _ in 0..2 {
        assert_eq!(sns(&sim, "DeleteTopic", &[("TopicArn", ARN)]).await.status, 200, "idempotent");
    }
    let gone = sns(&sim, "GetTopicAttributes", &[("TopicArn", ARN)]).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "NotFound"));
}

#[tokio::test]
async fn topics_are_listed_in_pages_of_a_hundred_and_by_region() {
    let sim = still();
    for n in 0..101 {
        sns(&sim, "CreateTopic", &[("Name", &format!("t{n:03}"))]).await;
    }
    let first = sns(&sim, "ListTopics", &[]).await;
    assert_eq!(first.xml().matches("<TopicArn>").count(), 100);
    let token = first.xml().split("<NextToken>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    let second = sns(&sim, "ListTopics", &[("NextToken", token)]).await;
    assert_eq!((second.xml().matches("<TopicArn>").count(), second.xml().contains("NextToken")), (1, false));
    let elsewhere = Caller { region: "eu-west-1".to_owned(), ..Caller::default() };
    let other = elsewhere.query(&sim, "sns", "ListTopics", &[]).await.unwrap();
    assert!(!other.xml().contains("<TopicArn>"), "{}", other.xml());
}
