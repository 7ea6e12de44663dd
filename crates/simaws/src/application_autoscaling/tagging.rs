//! Tags of scalable targets, by ARN. Policies have none (API Reference, TagResource).
use super::{State, invalid};
use crate::{AwsError, Ctx, Doc, Outcome, doc};

fn resource(ctx: &mut Ctx<'_>, input: &Doc) -> Result<String, AwsError> {
    let arn = input.need("ResourceARN").to_owned();
    if !arn.contains(":scalable-target/") {
        return Err(invalid(&format!("Invalid ARN: {arn}")));
    }
    if ctx.state::<State>().arns.contains_key(&arn) {
        return Ok(arn);
    }
    let message = format!("Resource not found: {arn}");
    Err(AwsError::new("ResourceNotFoundException", message).field("ResourceName", arn))
}

pub(super) fn tag(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arn = resource(ctx, input)?;
    let (tags, now) = (input.text_map("Tags"), ctx.now());
    if tags.keys().any(|k| k.to_lowercase().starts_with("aws:")) {
        return Err(invalid("Tag keys must not begin with aws:"));
    }
    let present = ctx.tags().of(&arn);
    if tags.keys().filter(|k| !present.contains_key(*k)).count() + present.len() > 50 {
        let message = "A resource can have at most 50 tags.";
        return Err(AwsError::new("TooManyTagsException", message).field("ResourceName", arn));
    }
    ctx.tags().merge(&arn, tags, now);
    Ok(Doc::empty())
}

pub(super) fn untag(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arn, now) = (resource(ctx, input)?, ctx.now());
    ctx.tags().remove(&arn, &input.texts("TagKeys"), now);
    Ok(Doc::empty())
}

pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arn = resource(ctx, input)?;
    Ok(doc! { "Tags" => &ctx.tags().of(&arn) })
}
