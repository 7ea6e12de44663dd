//! How services look: DescribeServices and ListServices. Reads only.
use super::state::{Deployment, Service, State, Status};
use super::{bad_token, cluster_not_found, invalid, names, page_size, service_not_found, services, validate};
use crate::{Ctx, Doc, Outcome, Pager, doc, tags_out};

/// Fargate's LATEST (Developer Guide, "Fargate Linux platform versions").
pub(super) const PLATFORM: &str = "1.4.0";

fn deployment(service: &Service, index: usize, deployment: &Deployment) -> Doc {
    let (running, pending) = service.counts(Some(&deployment.id));
    let primary = index == 0;
    let run = &deployment.run;
    doc! {
        "id" => &deployment.id,
        "status" => if primary { "PRIMARY" } else { "ACTIVE" },
        "taskDefinition" => &deployment.definition,
        "desiredCount" => if primary { service.desired } else { running + pending },
        "runningCount" => running,
        "pendingCount" => pending,
        "failedTasks" => deployment.failed,
        "createdAt" => deployment.created,
        "updatedAt" => deployment.updated,
        "launchType" => run.owned("launchType"),
        "capacityProviderStrategy" => run.get("capacityProviderStrategy"),
        "platformVersion" => validate::fargate(run).then_some(PLATFORM),
        "platformFamily" => run.owned("platformFamily"),
        "networkConfiguration" => run.get("networkConfiguration"),
        "rolloutState" => deployment.rollout.as_ref(),
        "rolloutStateReason" => &deployment.reason,
    }
}

/// A service as DescribeServices shows it, without tags.
pub(super) fn service(ctx: &Ctx<'_>, service: &Service) -> Doc {
    let active = service.status == Status::Active;
    let (running, pending) = service.counts(None);
    let deployments: Vec<Doc> = if service.status == Status::Inactive {
        Vec::new()
    } else {
        service.deployments.iter().enumerate().map(|(i, d)| deployment(service, i, d)).collect()
    };
    let events = service.events.iter().map(|(id, at, message)| {
        doc! { "id" => id, "createdAt" => *at, "message" => message }
    });
    let role = (!service.run.list("loadBalancers").is_empty() || service.run.has("networkConfiguration")).then(|| {
        let account = ctx.account();
        format!("arn:aws:iam::{account}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")
    });
    let current = service.history.front().filter(|_| active).map(|r| r.arn.clone());
    let mut shown = doc! {
        "serviceArn" => &service.arn,
        "serviceName" => &service.name,
        "clusterArn" => ctx.arn("ecs", &format!("cluster/{}", service.cluster)),
        "status" => service.status.as_ref(),
        "desiredCount" => if active { service.desired } else { 0 },
        "runningCount" => running,
        "pendingCount" => pending,
        "taskDefinition" => Some(&service.definition).filter(|d| !d.is_empty()),
        "deployments" => deployments,
        "roleArn" => role,
        "events" => events.collect::<Doc>(),
        "createdAt" => service.created,
        "createdBy" => format!("arn:aws:iam::{}:root", ctx.account()),
        "schedulingStrategy" => "REPLICA",
        "serviceRegistries" => Vec::<Doc>::new(),
        "currentServiceDeployment" => current,
        "currentServiceRevisions" => Vec::<Doc>::new(),
    };
    for part in [&service.run, &service.other] {
        for (name, value) in part.fields().into_iter().flatten() {
            shown.set(name, value);
        }
    }
    if service.controller() == "EXTERNAL" {
        shown.set("taskSets", Vec::<Doc>::new());
    }
    shown
}

/// The answer of the operations that change one service, tags and all.
pub(super) fn answer(ctx: &mut Ctx<'_>, cluster: &str, name: &str) -> Outcome {
    let arn = ctx.arn("ecs", &format!("service/{cluster}/{name}"));
    let tags = ctx.tags().of(&arn);
    let found =
        ctx.peek::<State>().and_then(|s| s.clusters.get(cluster)?.services.get(name)).ok_or_else(service_not_found)?;
    let mut shown = service(ctx, found);
    if !tags.is_empty() {
        shown.set("tags", tags_out(&tags, "key", "value"));
    }
    Ok(services::wrapped(shown))
}

/// API Reference, DescribeServices: up to ten of one cluster; what is not there is a failure MISSING; INACTIVE ones
/// show for a while.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let asked = input.texts("services");
    if asked.is_empty() {
        return Err(invalid("Services cannot be empty."));
    }
    if asked.len() > 10 {
        return Err(invalid("Services cannot have more than 10 elements."));
    }
    let cluster = names::cluster(ctx, input.text("cluster"))?;
    let now = ctx.now();
    if ctx.state::<State>().clusters.get(&cluster).is_none_or(|c| c.purged(now)) {
        return Err(cluster_not_found());
    }
    let with_tags = !input.list("include").is_empty();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for given in asked {
        let name = names::within(ctx, "service", &cluster, &given);
        let known = name.as_ref().and_then(|name| {
            ctx.peek::<State>()?.clusters.get(&cluster)?.services.get(name).filter(|s| !s.purged(now))
        });
        match known {
            Some(known) => {
                let (arn, mut shown) = (known.arn.clone(), service(ctx, known));
                if with_tags {
                    shown.set("tags", tags_out(&ctx.tags().of(&arn), "key", "value"));
                }
                found.push(shown);
            }
            None => {
                let arn = if given.starts_with("arn:") {
                    given
                } else {
                    ctx.arn("ecs", &format!("service/{cluster}/{given}"))
                };
                failures.push(doc! { "arn" => arn, "reason" => "MISSING" });
            }
        }
    }
    Ok(doc! { "services" => found, "failures" => failures })
}

/// API Reference, ListServices: ACTIVE ones of one cluster, 10 a page unless asked for up to 100.
pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let cluster = names::active_cluster(ctx, input)?;
    let size = page_size(input, 10)?;
    let scope = format!("ListServices {cluster}");
    let pager = Pager::new(ctx, &scope, input.text("nextToken"), size).map_err(|_| bad_token())?;
    let launch = input.owned("launchType");
    let no_daemons = input.text("schedulingStrategy") == Some("DAEMON");
    let found = ctx.state::<State>().clusters.get(&cluster).ok_or_else(cluster_not_found)?;
    let services = found
        .services
        .range::<str, _>(pager.range())
        .filter(|(_, s)| s.status == Status::Active && !no_daemons)
        .filter(|(_, s)| launch.as_ref().is_none_or(|l| s.run.text("launchType") == Some(l)));
    let (arns, token) = pager.take(services.map(|(name, s)| (name, Doc::from(&s.arn))));
    Ok(doc! { "serviceArns" => arns, "nextToken" => token })
}
