//! Tags of alarms, by ARN.
use crate::{AwsError, Ctx, Doc, Outcome, TagMap, doc, tags_in, tags_out};

fn wrong(message: &str) -> AwsError {
    AwsError::new("InvalidParameterValueException", message).query_code("InvalidParameterValue")
}

fn missing() -> AwsError {
    AwsError::new("ResourceNotFoundException", "The named resource does not exist.").status(404)
}

pub(super) fn check(tags: &TagMap) -> Result<(), AwsError> {
    if tags.keys().any(|k| k.starts_with("aws:")) {
        return Err(wrong("Tag keys must not begin with aws:"));
    }
    Ok(())
}

/// API Reference, TagResource: at most 50 tags an alarm.
pub(super) fn tag(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arn, now) = (input.need("ResourceARN"), ctx.now());
    let tags = tags_in(input.list("Tags"), "Key", "Value");
    check(&tags)?;
    let present = alarm_tags(ctx, arn)?;
    if tags.keys().filter(|k| !present.contains_key(*k)).count() + present.len() > 50 {
        return Err(wrong("An alarm can have no more than 50 tags"));
    }
    ctx.tags().merge(arn, tags, now);
    Ok(Doc::empty())
}

/// API Reference, UntagResource.
pub(super) fn untag(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arn, now) = (input.need("ResourceARN"), ctx.now());
    alarm_tags(ctx, arn)?;
    ctx.tags().remove(arn, &input.texts("TagKeys"), now);
    Ok(Doc::empty())
}

/// API Reference, ListTagsForResource.
pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let tags = alarm_tags(ctx, input.need("ResourceARN"))?;
    Ok(doc! { "Tags" => tags_out(&tags, "Key", "Value") })
}

fn alarm_tags(ctx: &mut Ctx<'_>, arn: &str) -> Result<TagMap, AwsError> {
    if !arn.starts_with("arn:") {
        return Err(wrong("The ARN is not valid"));
    }
    if !arn.contains(":alarm:") {
        return Err(missing());
    }
    ctx.tags().get(arn).cloned().ok_or_else(missing)
}
