//! How callers name things: by short name or by ARN. Must not look anything up.
use crate::{AwsError, Ctx, Doc};

use super::{cluster_not_found, invalid};

/// The cluster's name from a name, an ARN, or nothing: then `default` (API Reference, every `cluster` parameter).
/// An ARN of another account or region names no cluster of ours.
pub(super) fn cluster(ctx: &Ctx<'_>, given: Option<&str>) -> Result<String, AwsError> {
    let given = given.filter(|g| !g.is_empty()).unwrap_or("default");
    if !given.starts_with("arn:") {
        return Ok(given.to_owned());
    }
    given.strip_prefix(&ctx.arn("ecs", "cluster/")).map(str::to_owned).ok_or_else(cluster_not_found)
}

/// The cluster in `cluster`, which must be ACTIVE.
pub(super) fn active_cluster(ctx: &mut Ctx<'_>, input: &Doc) -> Result<String, AwsError> {
    let name = cluster(ctx, input.text("cluster"))?;
    match ctx.state::<super::State>().clusters.get(&name) {
        Some(cluster) if cluster.deleted.is_none() => Ok(name),
        _ => Err(cluster_not_found()),
    }
}

/// A resource's name within `cluster`, from a name, a long ARN (`service/cluster/name`) or a short one
/// (`service/name`). `None`: the ARN is of another cluster, account or region.
pub(super) fn within(ctx: &Ctx<'_>, kind: &str, cluster: &str, given: &str) -> Option<String> {
    if !given.starts_with("arn:") {
        return Some(given.to_owned());
    }
    let rest = given.strip_prefix(&ctx.arn("ecs", &format!("{kind}/")))?;
    match rest.split_once('/') {
        Some((there, name)) => (there == cluster).then(|| name.to_owned()),
        None => Some(rest.to_owned()),
    }
}

/// Family and revision from `family`, `family:revision`, or an ARN.
pub(super) fn definition(ctx: &Ctx<'_>, given: &str) -> Option<(String, Option<i64>)> {
    let rest = match given.strip_prefix("arn:") {
        Some(_) => given.strip_prefix(&ctx.arn("ecs", "task-definition/"))?,
        None => given,
    };
    match rest.split_once(':') {
        Some((family, revision)) => Some((family.to_owned(), Some(revision.parse().ok()?))),
        None => Some((rest.to_owned(), None)),
    }
}

/// A name of up to 255 letters, digits, underscores and hyphens (API Reference, CreateCluster, CreateService).
pub(super) fn check(what: &str, name: &str) -> Result<(), AwsError> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 255 || !name.chars().all(good) {
        return Err(invalid(&format!("{what} name contains invalid characters.")));
    }
    Ok(())
}
