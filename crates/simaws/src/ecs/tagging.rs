//! Tags of clusters, services, task definitions, by ARN (API Reference, TagResource). They live in the common registry.
use super::{cluster_not_found, invalid};
use crate::{AwsError, Ctx, Doc, Outcome, doc, tags_in, tags_out};

/// The ARN, if something of ours is tagged under it; the error names what is missing, as ECS does.
fn resource(ctx: &mut Ctx<'_>, input: &Doc) -> Result<String, AwsError> {
    let arn = input.need("resourceArn").to_owned();
    let Some(rest) = arn.strip_prefix(&ctx.arn("ecs", "")) else {
        return Err(invalid("Invalid identifier: Identifier is for a different service, account or region."));
    };
    if ctx.tags().exists(&arn) {
        return Ok(arn);
    }
    Err(match rest.split('/').next() {
        Some("cluster") => cluster_not_found(),
        Some("service") => {
            invalid("The specified service is inactive or does not exist. Specify a valid service and try again.")
        }
        Some("task-definition") => invalid("The specified task definition is inactive or does not exist."),
        Some("task") => invalid("The specified task is stopped or does not exist."),
        _ => invalid("The specified resource ARN is not valid."),
    })
}

pub(super) fn tag(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arn = resource(ctx, input)?;
    let (tags, now) = (tags_in(input.list("tags"), "key", "value"), ctx.now());
    if tags.keys().any(|k| k.to_lowercase().starts_with("aws:")) {
        return Err(invalid("Tag keys must not begin with aws:."));
    }
    let present = ctx.tags().of(&arn);
    if tags.keys().filter(|k| !present.contains_key(*k)).count() + present.len() > 50 {
        return Err(invalid("A resource can have at most 50 tags."));
    }
    ctx.tags().merge(&arn, tags, now);
    Ok(Doc::empty())
}

pub(super) fn untag(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arn, now) = (resource(ctx, input)?, ctx.now());
    ctx.tags().remove(&arn, &input.texts("tagKeys"), now);
    Ok(Doc::empty())
}

pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arn = resource(ctx, input)?;
    Ok(doc! { "tags" => tags_out(&ctx.tags().of(&arn), "key", "value") })
}
