//! ListServiceDeployments and DescribeServiceDeployments: what became of each deployment. Reads only.
use super::state::{Record, Service, State};
use super::{bad_token, invalid, names, page_size, rollout, service_not_found};
use crate::{Ctx, Doc, Outcome, Pager, doc};

fn brief(ctx: &Ctx<'_>, service: &Service, record: &Record) -> Doc {
    doc! {
        "serviceDeploymentArn" => &record.arn,
        "serviceArn" => &service.arn,
        "clusterArn" => ctx.arn("ecs", &format!("cluster/{}", service.cluster)),
        "createdAt" => record.created,
        "startedAt" => record.created,
        "finishedAt" => record.finished,
        "targetServiceRevisionArn" => rollout::revision_arn(ctx, service, &record.target),
        "status" => record.status,
        "statusReason" => record.reason.as_deref(),
    }
}

/// API Reference, ListServiceDeployments: newest first, 20 a page, by status and time of creation.
pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let cluster = names::active_cluster(ctx, input)?;
    let size = page_size(input, 20)?;
    let name = names::within(ctx, "service", &cluster, input.need("service")).ok_or_else(service_not_found)?;
    let scope = format!("ListServiceDeployments {cluster} {name}");
    let pager = Pager::new(ctx, &scope, input.text("nextToken"), size).map_err(|_| bad_token())?;
    let statuses = input.texts("status");
    let created = input.at("createdAt");
    let (from, to) = (created.time("after"), created.time("before"));
    let service = ctx
        .peek::<State>()
        .and_then(|s| s.clusters.get(&cluster)?.services.get(&name))
        .ok_or_else(service_not_found)?;
    let records: Vec<&Record> = service
        .history
        .iter()
        .filter(|r| statuses.is_empty() || statuses.iter().any(|s| s == r.status))
        .filter(|r| from.is_none_or(|t| r.created >= t) && to.is_none_or(|t| r.created <= t))
        .collect();
    let skip = pager.after().and_then(|after| records.iter().position(|r| r.arn == after)).map_or(0, |at| at + 1);
    let rows = records.into_iter().skip(skip).map(|r| (r.arn.as_str(), brief(ctx, service, r)));
    let (page, token) = pager.take(rows);
    Ok(doc! { "serviceDeployments" => page, "nextToken" => token })
}

fn whole(ctx: &Ctx<'_>, service: &Service, record: &Record) -> Doc {
    let (running, pending) = service.counts(Some(&record.deployment));
    let revision = |id: &str| rollout::revision_arn(ctx, service, id);
    let sources = record.source.iter().map(|id| doc! { "arn" => revision(id) });
    let target = doc! {
        "arn" => revision(&record.target),
        "requestedTaskCount" => service.desired,
        "runningTaskCount" => running,
        "pendingTaskCount" => pending,
    };
    let configuration = service.other.at("deploymentConfiguration");
    let enabled = configuration.at("deploymentCircuitBreaker").flag("enable") == Some(true);
    let breaker = match (enabled, record.status) {
        (false, _) => "DISABLED",
        (true, "IN_PROGRESS" | "PENDING") => "MONITORING",
        (true, "SUCCESSFUL") => "MONITORING_COMPLETE",
        (true, _) if record.rollback.is_some() || record.failed > 0 => "TRIGGERED",
        _ => "MONITORING_COMPLETE",
    };
    let rollback = record.rollback.as_ref().map(|(at, target)| {
        doc! { "reason" => record.reason.as_deref(), "startedAt" => *at, "serviceRevisionArn" => revision(target) }
    });
    let mut shown = brief(ctx, service, record);
    for (name, value) in [
        ("targetServiceRevisionArn", Doc::Null),
        ("updatedAt", record.updated.into()),
        ("sourceServiceRevisions", sources.collect()),
        ("targetServiceRevision", target),
        ("deploymentConfiguration", configuration.clone()),
        ("rollback", rollback.into()),
        (
            "deploymentCircuitBreaker",
            doc! {
                "status" => breaker,
                "failureCount" => record.failed,
                "threshold" => rollout::threshold(service.desired),
            },
        ),
    ] {
        shown.set(name, value);
    }
    shown
}

/// API Reference, DescribeServiceDeployments: up to 20.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let asked = input.texts("serviceDeploymentArns");
    if asked.is_empty() || asked.len() > 20 {
        return Err(invalid("serviceDeploymentArns must have between 1 and 20 elements."));
    }
    let prefix = ctx.arn("ecs", "service-deployment/");
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in asked {
        let mut path = arn.strip_prefix(&prefix).unwrap_or("").split('/');
        let (cluster, name) = (path.next().unwrap_or(""), path.next().unwrap_or(""));
        let service = ctx.peek::<State>().and_then(|s| s.clusters.get(cluster)?.services.get(name));
        let record = service.and_then(|s| Some((s, s.history.iter().find(|r| r.arn == arn)?)));
        match record {
            Some((service, record)) => found.push(whole(ctx, service, record)),
            None => failures.push(doc! { "arn" => arn, "reason" => "MISSING" }),
        }
    }
    Ok(doc! { "serviceDeployments" => found, "failures" => failures })
}
