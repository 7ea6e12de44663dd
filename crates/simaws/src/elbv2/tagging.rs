//! Tags of load balancers, target groups and listeners, up to 20 resources a call.
use super::{State, no_balancer, no_group, no_listener};
use crate::{AwsError, Ctx, Doc, Outcome, TagMap, doc, tags_in, tags_out};

/// The tags of an input; a key may be given only once (API Reference, DuplicateTagKeys).
pub(super) fn read(input: &Doc) -> Result<TagMap, AwsError> {
    let list = input.list("Tags");
    let tags = tags_in(list, "Key", "Value");
    if tags.len() < list.len() {
        return Err(AwsError::new("DuplicateTagKeys", "A tag key was specified more than once"));
    }
    if tags.keys().any(|k| k.starts_with("aws:")) {
        return Err(super::invalid("Tag keys must not begin with 'aws:'"));
    }
    if tags.len() > 50 {
        return Err(too_many());
    }
    Ok(tags)
}

fn too_many() -> AwsError {
    AwsError::new("TooManyTags", "You've reached the limit on the number of tags for this resource")
}

/// The ARNs of an input, each there.
fn resources(ctx: &mut Ctx<'_>, input: &Doc) -> Result<Vec<String>, AwsError> {
    let arns = input.texts("ResourceArns");
    let state = ctx.state::<State>();
    for arn in &arns {
        let (there, missing) = if arn.contains(":targetgroup/") {
            (state.groups.contains_key(arn), no_group())
        } else if arn.contains(":listener/") {
            (state.listeners.contains_key(arn), no_listener())
        } else if arn.contains(":loadbalancer/") {
            (state.balancers.contains_key(arn), no_balancer())
        } else {
            (false, super::invalid(format!("'{arn}' is not a valid resource ARN")))
        };
        if !there {
            return Err(missing);
        }
    }
    Ok(arns)
}

/// API Reference, DescribeTags.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arns = resources(ctx, input)?;
    let rows =
        arns.iter().map(|arn| doc! { "ResourceArn" => arn, "Tags" => tags_out(&ctx.tags().of(arn), "Key", "Value") });
    Ok(doc! { "TagDescriptions" => rows.collect::<Doc>() })
}

/// API Reference, AddTags.
pub(super) fn add(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arns, tags, now) = (resources(ctx, input)?, read(input)?, ctx.now());
    for arn in &arns {
        let present = ctx.tags().of(arn);
        if tags.keys().filter(|k| !present.contains_key(*k)).count() + present.len() > 50 {
            return Err(too_many());
        }
    }
    for arn in &arns {
        ctx.tags().merge(arn, tags.clone(), now);
    }
    Ok(Doc::empty())
}

/// API Reference, RemoveTags.
pub(super) fn remove(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arns, keys, now) = (resources(ctx, input)?, input.texts("TagKeys"), ctx.now());
    for arn in &arns {
        ctx.tags().remove(arn, &keys, now);
    }
    Ok(Doc::empty())
}
