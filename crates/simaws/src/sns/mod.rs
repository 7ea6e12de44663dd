//! Simple Notification Service (API version 2010-03-31, awsQuery): standard topics, and what was published to them. No
//! subscriptions: nothing is delivered, `POST /_sim/sns/published` shows what would have been.
mod publish;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::service::{Identity, Op, Service};
use crate::shape::{Field, list, map, opt, req, structure, tag_list, text};
use crate::{AwsError, Ctx, Doc, Outcome, Rate, Refusal, doc};

/// The service.
pub(crate) struct Sns;

/// One (account, region)'s topics and messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// Attributes by name of the topic.
    topics: BTreeMap<String, BTreeMap<String, String>>,
    published: Vec<Published>,
}

/// One message.
#[derive(Clone, Debug)]
struct Published {
    id: String,
    topic: String,
    subject: Option<String>,
    message: String,
    attributes: BTreeMap<String, (String, String)>,
}

/// Topics on one page (SNS API Reference, ListTopics: "up to 100").
const PAGE: usize = 100;

impl Service for Sns {
    fn identity(&self) -> Identity {
        Identity {
            name: "sns",
            target: "",
            version: "2010-03-31",
            namespace: "http://sns.amazonaws.com/doc/2010-03-31/",
            elements: &[("Attributes", "entry")],
            cbor: false,
        }
    }

    /// Amazon SNS endpoints and quotas: Publish 30,000 a second in us-east-1, 300 in the smaller regions; ListTopics and
    /// the others 30.
    fn rates(&self) -> Vec<Rate> {
        vec![Rate::new("sns-publish", 300.0, 300.0), Rate::new("sns-other", 30.0, 30.0)]
    }

    fn operations(&self) -> Vec<Op> {
        let arn = || req("TopicArn", text());
        vec![
            Op::write(
                "CreateTopic",
                [req("Name", text()), opt("Attributes", map(text())), opt("Tags", tag_list("Key", "Value"))],
                create_topic,
            )
            .rate("sns-other"),
            Op::write("DeleteTopic", [arn()], delete_topic).rate("sns-other"),
            Op::read("GetTopicAttributes", [arn()], get_topic_attributes).rate("sns-other"),
            Op::read("ListTopics", [opt("NextToken", text())], list_topics)
                .paged("NextToken", "NextToken")
                .rate("sns-other"),
            Op::write("Publish", publish_input(), publish::publish).rate("sns-publish"),
        ]
    }

    fn control(&self, ctx: &mut Ctx<'_>, path: &str, body: &Value) -> Option<Result<Value, String>> {
        (path == "published").then(|| published(ctx, body))
    }

    /// SNS API Reference, Common Errors and each operation: `InvalidParameter`.
    fn invalid(&self, why: Refusal, message: String) -> AwsError {
        match why {
            Refusal::Malformed => AwsError::new("MalformedQueryString", message),
            Refusal::Missing | Refusal::Constraint => invalid(&message),
        }
    }
}

fn publish_input() -> [Field; 8] {
    let value = structure([req("DataType", text()), opt("StringValue", text()), opt("BinaryValue", text())]);
    // The map's members have names of their own: `MessageAttributes.entry.1.Name`.
    let attributes = list(structure([req("Name", text()), req("Value", value)])).element("entry");
    [
        opt("TopicArn", text()),
        opt("TargetArn", text()),
        opt("PhoneNumber", text()),
        req("Message", text()),
        opt("Subject", text()),
        opt("MessageStructure", text()),
        opt("MessageAttributes", attributes),
        opt("MessageGroupId", text()),
    ]
}

fn invalid(what: &str) -> AwsError {
    AwsError::new("InvalidParameter", format!("Invalid parameter: {what}"))
}

fn not_found() -> AwsError {
    AwsError::new("NotFound", "Topic does not exist").status(404)
}

/// The name of a topic here, from its ARN.
fn named<'a>(ctx: &Ctx<'_>, arn: &'a str) -> Result<&'a str, AwsError> {
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", _, "sns", region, account, name] = parts[..] else {
        return Err(invalid("TopicArn"));
    };
    if region != ctx.region() {
        return Err(invalid("TopicArn"));
    }
    if account != ctx.account() {
        // Another account's topic takes a policy that allows it, and there are none here.
        return Err(AwsError::new("AuthorizationError", format!("not authorized to use {arn}")).status(403));
    }
    Ok(name)
}

/// API Reference, CreateTopic: "idempotent": the same name answers the same topic; other attributes are refused.
fn create_topic(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("Name").to_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.strip_suffix(".fifo").is_some() || input.at("Attributes").text("FifoTopic").is_some() {
        return Err(invalid("FIFO topics are not simulated"));
    }
    if name.is_empty() || name.len() > 256 || !name.chars().all(plain) {
        return Err(invalid("Topic Name"));
    }
    let arn = ctx.arn("sns", &name);
    let attributes: BTreeMap<String, String> = input.text_map("Attributes").into_iter().collect();
    if let Some(there) = ctx.state::<State>().topics.get(&name) {
        let same = attributes.iter().all(|(key, value)| there.get(key) == Some(value));
        return if same {
            Ok(doc! { "TopicArn" => arn })
        } else {
            Err(invalid("Attributes Reason: Topic already exists with different attributes"))
        };
    }
    ctx.state::<State>().topics.insert(name, attributes);
    Ok(doc! { "TopicArn" => arn })
}

/// API Reference, DeleteTopic: "idempotent".
fn delete_topic(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = named(ctx, input.need("TopicArn"))?;
    ctx.state::<State>().topics.remove(name);
    Ok(Doc::empty())
}

fn get_topic_attributes(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arn = input.need("TopicArn");
    let name = named(ctx, arn)?;
    let owner = ctx.account().to_owned();
    let topic = ctx.state::<State>().topics.get(name).ok_or_else(not_found)?;
    let mut all = topic.clone();
    for (key, value) in [
        ("TopicArn", arn),
        ("Owner", &owner),
        ("SubscriptionsConfirmed", "0"),
        ("SubscriptionsPending", "0"),
        ("SubscriptionsDeleted", "0"),
    ] {
        all.insert(key.to_owned(), value.to_owned());
    }
    let entries: Vec<Doc> = all.into_iter().map(|(key, value)| doc! { "key" => key, "value" => value }).collect();
    Ok(doc! { "Attributes" => entries })
}

fn list_topics(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let after = input.text("NextToken").unwrap_or_default().to_owned();
    let mut names: Vec<String> =
        ctx.state::<State>().topics.keys().filter(|name| **name > after).take(PAGE + 1).cloned().collect();
    let more = names.len() > PAGE;
    names.truncate(PAGE);
    let token = if more { names.last().cloned() } else { None };
    let topics: Vec<Doc> = names.iter().map(|name| doc! { "TopicArn" => ctx.arn("sns", name) }).collect();
    let mut answer = doc! { "Topics" => topics };
    if let Some(token) = token {
        answer.set("NextToken", token);
    }
    Ok(answer)
}

/// What was published here, oldest first; `{"forget": true}` forgets it afterwards.
fn published(ctx: &mut Ctx<'_>, body: &Value) -> Result<Value, String> {
    let forget = match body {
        Value::Null => false,
        Value::Object(fields) if fields.keys().all(|field| field == "forget") => {
            fields.get("forget").and_then(Value::as_bool).unwrap_or(false)
        }
        _ => return Err("must be {\"forget\": true}, or nothing".to_owned()),
    };
    let state = ctx.state::<State>();
    let shown: Vec<Value> = state
        .published
        .iter()
        .map(|one| {
            let attributes: BTreeMap<&String, &String> =
                one.attributes.iter().map(|(name, (_, value))| (name, value)).collect();
            json!({ "messageId": one.id, "topic": one.topic, "subject": one.subject, "message": one.message, "attributes": attributes })
        })
        .collect();
    if forget {
        state.published.clear();
    }
    Ok(json!({ "published": shown }))
}
