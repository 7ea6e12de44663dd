//! GetResources: by tags, by types, or by ARN; lagging by `timings.tagging_lag`.
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::{AwsError, Ctx, Doc, Outcome, Pager, TagMap, Tags, doc, tags_out};

/// API Reference, GetResources, TagFilters: all filters must match; within one, any of its values; no values: any.
struct Filter {
    key: String,
    values: Vec<String>,
}

impl Filter {
    fn fits(&self, tags: &TagMap) -> bool {
        tags.get(&self.key).is_some_and(|value| self.values.is_empty() || self.values.contains(value))
    }
}

/// The tags as GetResources sees them by now, if it lists the resource: tagged, or tagged before.
fn seen(tags: &Tags, arn: &str, now: Timestamp, lag: Duration) -> Option<TagMap> {
    let fresh = |at: &Timestamp| *at + lag > now;
    if let Some((at, last)) = tags.gone.get(arn) {
        return fresh(at).then(|| last.clone());
    }
    let entry = tags.by_arn.get(arn)?;
    match &entry.changed {
        Some((at, before)) if fresh(at) => before.clone().filter(|b| !b.is_empty()),
        _ => entry.ever_tagged.then(|| entry.tags.clone()),
    }
}

/// `service:type`, or `service` alone; the type is what stands first in the ARN's resource part.
fn of_type(arn: &str, filters: &[String]) -> bool {
    let mut parts = arn.splitn(6, ':');
    let (service, resource) = (parts.nth(2).unwrap_or(""), parts.nth(2).unwrap_or(""));
    filters.is_empty()
        || filters.iter().any(|filter| match filter.split_once(':') {
            None => filter == service,
            Some((s, kind)) => {
                let rest = resource.strip_prefix(kind);
                s == service && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
            }
        })
}

/// API Reference, GetResources.
pub(super) fn get_resources(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let bad = |message: &str| AwsError::new("InvalidParameterException", message);
    let arns = input.texts("ResourceARNList");
    let types = input.texts("ResourceTypeFilters");
    let mut filters = Vec::new();
    for filter in input.list("TagFilters") {
        let key = filter.owned("Key").ok_or_else(|| bad("A TagFilter must have a Key"))?;
        filters.push(Filter { key, values: filter.texts("Values") });
    }
    let others = ["TagFilters", "ResourceTypeFilters", "ResourcesPerPage", "PaginationToken"];
    if !arns.is_empty() && others.iter().any(|name| input.has(name)) {
        return Err(bad("ResourceARNList can't be used with filters or pages"));
    }
    let (now, lag) = (ctx.now(), ctx.timings().tagging_lag);
    let token = input.text("PaginationToken").filter(|t| !t.is_empty());
    // Between 50 and 100 by documentation of the default; 50 here. An ARN list gives all it asks for.
    let size = if arns.is_empty() { input.int("ResourcesPerPage").unwrap_or(50) as usize } else { arns.len() };
    let pager = Pager::new(ctx, "GetResources", token, size).map_err(|_| bad("The PaginationToken is invalid"))?;
    let Some(tags) = ctx.peek_tags() else {
        return Ok(doc! { "ResourceTagMappingList" => Doc::List(Vec::new()), "PaginationToken" => "" });
    };
    let show = |arn: &String| {
        let seen = seen(tags, arn, now, lag)?;
        let fits = of_type(arn, &types) && filters.iter().all(|f| f.fits(&seen));
        fits.then(|| (arn.clone(), doc! { "ResourceARN" => arn, "Tags" => tags_out(&seen, "Key", "Value") }))
    };
    let narrowest = if lag.is_zero() { narrowest(tags, &filters) } else { Narrowed::All };
    let wanted: BTreeSet<String> = arns.into_iter().collect();
    let (page, token) = if wanted.is_empty() {
        match narrowest {
            Narrowed::Nothing => (Vec::new(), None),
            Narrowed::To(set) => pager.take(set.range::<str, _>(pager.range()).filter_map(show)),
            Narrowed::All if lag.is_zero() => {
                pager.take(tags.by_arn.range::<str, _>(pager.range()).map(|(arn, _)| arn).filter_map(show))
            }
            Narrowed::All => {
                let gone: BTreeSet<&String> = tags.gone.range::<str, _>(pager.range()).map(|(arn, _)| arn).collect();
                let live = tags.by_arn.range::<str, _>(pager.range()).map(|(arn, _)| arn);
                let all: BTreeSet<&String> = live.chain(gone).collect();
                pager.take(all.into_iter().filter_map(show))
            }
        }
    } else {
        pager.take(wanted.iter().filter_map(show))
    };
    // AWS gives an empty token at the end, not none.
    Ok(doc! { "ResourceTagMappingList" => page, "PaginationToken" => token.unwrap_or_default() })
}

/// Which resources a call has to look at.
enum Narrowed<'a> {
    All,
    To(&'a BTreeSet<String>),
    Nothing,
}

/// The smallest index entry among the filters.
fn narrowest<'a>(tags: &'a Tags, filters: &[Filter]) -> Narrowed<'a> {
    let mut best = Narrowed::All;
    for filter in filters {
        let set = match &filter.values[..] {
            [value] => tags.by_pair.get(&(filter.key.clone(), value.clone())),
            _ => tags.by_key.get(&filter.key),
        };
        match (set, &best) {
            (None, _) => return Narrowed::Nothing,
            (Some(set), Narrowed::To(other)) if set.len() >= other.len() => {}
            (Some(set), _) => best = Narrowed::To(set),
        }
    }
    best
}
