//! Tags by ARN, of whatever RDS resource is registered.
use super::errors;
use crate::{AwsError, Ctx, Doc, Outcome, doc, tags_in, tags_out};

/// The error that the ARN's kind of resource gets when there is none.
fn not_found(arn: &str) -> AwsError {
    let mut parts = arn.splitn(7, ':').skip(5);
    let (kind, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    match kind {
        "db" => errors::instance_not_found(name),
        "snapshot" => errors::snapshot_not_found(name),
        "subgrp" => errors::subnet_group_not_found(name),
        _ => errors::value(format!("Invalid resource name: {arn}")),
    }
}

/// API Reference, AddTagsToResource: at most 50 tags a resource.
pub(super) fn add(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (now, arn) = (ctx.now(), input.need("ResourceName").to_owned());
    let tags = tags_in(input.list("Tags"), "Key", "Value");
    let present = ctx.tags().get(&arn).ok_or_else(|| not_found(&arn))?;
    if tags.keys().any(|k| k.starts_with("aws:")) {
        return Err(errors::value("Tag keys must not begin with aws:"));
    }
    if tags.keys().filter(|k| !present.contains_key(*k)).count() + present.len() > 50 {
        return Err(errors::value("A resource can have no more than 50 tags."));
    }
    ctx.tags().merge(&arn, tags, now);
    Ok(Doc::empty())
}

/// API Reference, RemoveTagsFromResource.
pub(super) fn remove(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (now, arn) = (ctx.now(), input.need("ResourceName").to_owned());
    if ctx.tags().remove(&arn, &input.texts("TagKeys"), now) { Ok(Doc::empty()) } else { Err(not_found(&arn)) }
}

/// API Reference, ListTagsForResource.
pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arn = input.need("ResourceName").to_owned();
    // Parameter and option groups are AWS's default ones here, and have no tags.
    if arn.contains(":pg:default.") || arn.contains(":og:default:") {
        return Ok(doc! { "TagList" => Vec::<Doc>::new() });
    }
    let tags = ctx.tags().get(&arn).ok_or_else(|| not_found(&arn))?;
    Ok(doc! { "TagList" => tags_out(tags, "Key", "Value") })
}
