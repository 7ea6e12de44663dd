//! Resource Groups Tagging (API version 2017-01-26, awsJson 1.1): tags over all services, from the core's registry.
mod get_resources;

use crate::service::{Identity, Op, Service};
use crate::shape::{int, list, map, opt, req, structure, text};
use crate::{AwsError, Ctx, Doc, Fields, Outcome, Rate, Refusal, doc};

/// The service.
pub(crate) struct Tagging;

impl Service for Tagging {
    fn identity(&self) -> Identity {
        Identity {
            name: "tagging",
            target: "ResourceGroupsTaggingAPI_20170126",
            version: "",
            namespace: "",
            elements: &[],
            cbor: false,
        }
    }

    /// Not published; the project's starting point of 5 a second (aws-limits).
    fn rates(&self) -> Vec<Rate> {
        vec![Rate::new("tagging-get", 15.0, 5.0), Rate::new("tagging-write", 5.0, 5.0)]
    }

    fn operations(&self) -> Vec<Op> {
        let arn = || text().len(1, 1011);
        let key = || text().len(1, 128);
        let filter = structure([opt("Key", key()), opt("Values", list(text().max(256)).max(20))]);
        vec![
            Op::read(
                "GetResources",
                [
                    opt("PaginationToken", text().max(2048)),
                    opt("TagFilters", list(filter).max(50)),
                    opt("ResourcesPerPage", int().range(1, 100)),
                    opt("ResourceTypeFilters", list(text().max(256)).max(100)),
                    opt("ResourceARNList", list(arn()).len(1, 100)),
                ],
                get_resources::get_resources,
            )
            .rate("tagging-get")
            .paged("PaginationToken", "PaginationToken"),
            Op::write(
                "TagResources",
                [req("ResourceARNList", list(arn()).len(1, 20)), req("Tags", map(text().max(256)).len(1, 50))],
                tag_resources,
            )
            .rate("tagging-write"),
            Op::write(
                "UntagResources",
                [req("ResourceARNList", list(arn()).len(1, 20)), req("TagKeys", list(key()).len(1, 50))],
                untag_resources,
            )
            .rate("tagging-write"),
        ]
    }

    fn invalid(&self, why: Refusal, message: String) -> AwsError {
        match why {
            Refusal::Malformed => AwsError::new("SerializationException", message),
            Refusal::Missing | Refusal::Constraint => AwsError::new("InvalidParameterException", message),
        }
    }
}

/// API Reference, TagResources and UntagResources: what fails is told by ARN, the rest is done.
fn each(ctx: &mut Ctx<'_>, input: &Doc, change: impl Fn(&mut Ctx<'_>, &str) -> Result<(), &'static str>) -> Outcome {
    let mut failed = Fields::new();
    for arn in input.texts("ResourceARNList") {
        if !ctx.tags().exists(&arn) {
            let why = doc! {
                "StatusCode" => 404,
                "ErrorCode" => "InvalidParameterException",
                "ErrorMessage" => format!("{arn} does not exist in this account and region"),
            };
            failed.insert(arn, why);
        } else if let Err(message) = change(ctx, &arn) {
            let why =
                doc! { "StatusCode" => 400, "ErrorCode" => "InvalidParameterException", "ErrorMessage" => message };
            failed.insert(arn, why);
        }
    }
    Ok(doc! { "FailedResourcesMap" => failed })
}

fn tag_resources(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let tags = input.text_map("Tags");
    if tags.keys().any(|k| k.starts_with("aws:")) {
        return Err(AwsError::new("InvalidParameterException", "Tag keys must not begin with aws:"));
    }
    each(ctx, input, |ctx, arn| {
        let (now, present) = (ctx.now(), ctx.tags().of(arn));
        if present.len() + tags.keys().filter(|k| !present.contains_key(*k)).count() > 50 {
            return Err("The resource would have more than 50 tags");
        }
        ctx.tags().merge(arn, tags.clone(), now);
        Ok(())
    })
}

fn untag_resources(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let keys = input.texts("TagKeys");
    each(ctx, input, |ctx, arn| {
        let now = ctx.now();
        ctx.tags().remove(arn, &keys, now);
        Ok(())
    })
}
