//! Tags of log groups: by ARN, and the older operations by name.
use super::groups::arn;
use super::not_found;
use crate::{AwsError, Ctx, Doc, Outcome, TagMap, doc};

/// API Reference, TagResource: at most 50 tags a resource.
fn add(ctx: &mut Ctx<'_>, arn: &str, tags: TagMap) -> Outcome {
    let now = ctx.now();
    let Some(present) = ctx.tags().get(arn) else { return Err(not_found()) };
    if tags.keys().any(|k| k.starts_with("aws:")) {
        return Err(AwsError::new("InvalidParameterException", "Tag keys must not begin with aws:"));
    }
    if tags.keys().filter(|k| !present.contains_key(*k)).count() + present.len() > 50 {
        return Err(AwsError::new("TooManyTagsException", "A resource can have no more than 50 tags."));
    }
    ctx.tags().merge(arn, tags, now);
    Ok(Doc::empty())
}

fn remove(ctx: &mut Ctx<'_>, arn: &str, keys: &[String]) -> Outcome {
    let now = ctx.now();
    if ctx.tags().remove(arn, keys, now) { Ok(Doc::empty()) } else { Err(not_found()) }
}

fn show(ctx: &mut Ctx<'_>, arn: &str) -> Outcome {
    let tags = ctx.tags().get(arn).ok_or_else(not_found)?;
    Ok(doc! { "tags" => tags })
}

/// The ARN without the `:*` that DescribeLogGroups gives; the API refuses it with one (API Reference, TagResource).
fn resource(input: &Doc) -> Result<String, AwsError> {
    let arn = input.need("resourceArn");
    if arn.ends_with(":*") || !arn.contains(":log-group:") {
        return Err(AwsError::new("InvalidParameterException", format!("The ARN {arn} is not valid.")));
    }
    Ok(arn.to_owned())
}

pub(super) fn tag_resource(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    add(ctx, &resource(input)?, input.text_map("tags"))
}

pub(super) fn untag_resource(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    remove(ctx, &resource(input)?, &input.texts("tagKeys"))
}

pub(super) fn list_tags_for_resource(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    show(ctx, &resource(input)?)
}

pub(super) fn tag_group(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    add(ctx, &arn(ctx, input.need("logGroupName")), input.text_map("tags"))
}

pub(super) fn untag_group(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    remove(ctx, &arn(ctx, input.need("logGroupName")), &input.texts("tags"))
}

pub(super) fn list_tags_group(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    show(ctx, &arn(ctx, input.need("logGroupName")))
}
