//! Publish: everything is checked before anything is kept.
use std::collections::BTreeMap;

use super::{Published, State, invalid, named, not_found};
use crate::{AwsError, Ctx, Doc, Outcome, doc};

/// API Reference, Publish: at most 256 KiB, attributes included.
const LONGEST: usize = 256 * 1024;

/// API Reference, Publish.
pub(super) fn publish(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    if input.text("TargetArn").is_some() || input.text("PhoneNumber").is_some() {
        return Err(invalid("only topics are simulated"));
    }
    if input.text("MessageStructure").is_some() {
        return Err(invalid("MessageStructure is not simulated"));
    }
    if input.text("MessageGroupId").is_some() {
        return Err(invalid(
            "MessageGroupId Reason: The request includes MessageGroupId parameter that is not valid for this topic type",
        ));
    }
    let arn = input
        .text("TopicArn")
        .ok_or_else(|| invalid("TopicArn or TargetArn Reason: no value for required parameter"))?;
    let topic = named(ctx, arn)?.to_owned();
    if !ctx.state::<State>().topics.contains_key(&topic) {
        return Err(not_found());
    }
    let message = input.need("Message").to_owned();
    if message.is_empty() {
        return Err(invalid("Empty message"));
    }
    let subject = input.text("Subject").map(str::to_owned);
    if let Some(subject) = &subject {
        // "must be ASCII text that begins with a letter, number, or punctuation mark; must not include line breaks or
        // control characters; and must be less than 100 characters long."
        let begins = subject.chars().next().is_some_and(|c| c.is_ascii_graphic());
        if !begins || subject.len() > 100 || !subject.chars().all(|c| c.is_ascii() && !c.is_ascii_control()) {
            return Err(invalid("Subject"));
        }
    }
    let attributes = attributes(input)?;
    let size = message.len()
        + attributes.iter().map(|(name, (kind, value))| name.len() + kind.len() + value.len()).sum::<usize>();
    if size > LONGEST {
        return Err(invalid("Message too long"));
    }
    let id = ctx.rng().uuid();
    ctx.state::<State>().published.push(Published { id: id.clone(), topic, subject, message, attributes });
    Ok(doc! { "MessageId" => id })
}

/// Developer Guide, "Amazon SNS message attributes".
fn attributes(input: &Doc) -> Result<BTreeMap<String, (String, String)>, AwsError> {
    let mut all = BTreeMap::new();
    for one in input.list("MessageAttributes") {
        let name = one.need("Name").to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
        let reserved = ["aws.", "amazon."].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix));
        if name.is_empty() || name.len() > 256 || dots || reserved || !name.chars().all(plain) {
            return Err(invalid(&format!("the message attribute name {name}")));
        }
        let value = one.at("Value");
        let kind = value.need("DataType").to_owned();
        if !["String", "String.Array", "Number", "Binary"].contains(&&*kind) {
            return Err(invalid(&format!("the type of the message attribute '{name}' is invalid")));
        }
        let text =
            value.text(if kind == "Binary" { "BinaryValue" } else { "StringValue" }).unwrap_or_default().to_owned();
        if text.is_empty() {
            let message = format!(
                "The message attribute '{name}' must contain non-empty message attribute value for message attribute type '{kind}'."
            );
            return Err(AwsError::new("ParameterValueInvalid", message));
        }
        if all.insert(name.clone(), (kind, text)).is_some() {
            return Err(invalid(&format!("the message attribute {name} is given twice")));
        }
    }
    Ok(all)
}
