//! ListTasks, DescribeTasks, StopTask. Tasks belong to services: nothing here starts one.
use super::state::{Phase, Service, State, Task};
use super::{bad_token, cluster_not_found, invalid, lives, names, page_size, scheduler, show};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc, tags_out};

/// A task's ARN.
pub(super) fn arn(ctx: &Ctx<'_>, cluster: &str, id: &str) -> String {
    ctx.arn("ecs", &format!("task/{cluster}/{id}"))
}

fn desired_status(task: &Task) -> &'static str {
    if task.live() { "RUNNING" } else { "STOPPED" }
}

/// API Reference, ListTasks: those whose desired status is RUNNING unless asked otherwise, by service or family, 100 a
/// page. Asking for PENDING finds none: ECS never sets it.
pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let cluster = names::active_cluster(ctx, input)?;
    let size = page_size(input, 100)?;
    let status = input.text("desiredStatus").unwrap_or("RUNNING").to_owned();
    let service = match input.text("serviceName") {
        None => None,
        Some(given) => {
            let name = names::within(ctx, "service", &cluster, given).ok_or_else(super::service_not_found)?;
            let known = ctx.state::<State>().clusters.get(&cluster).is_some_and(|c| c.services.contains_key(&name));
            if !known {
                return Err(super::service_not_found());
            }
            Some(name)
        }
    };
    let (family, launch, by) = (input.text("family"), input.text("launchType"), input.text("startedBy"));
    let scope = format!("ListTasks {cluster}");
    let pager = Pager::new(ctx, &scope, input.text("nextToken"), size).map_err(|_| bad_token())?;
    let (now, prefix) = (ctx.now(), arn(ctx, &cluster, ""));
    let found = ctx.state::<State>().clusters.get(&cluster).ok_or_else(cluster_not_found)?;
    let wanted = |t: &Task| {
        desired_status(t) == status
            && !t.purged(now)
            && launch.is_none_or(|l| t.launch_type == l)
            && by.is_none_or(|b| t.deployment == b)
            && family.is_none_or(|f| {
                t.definition.rsplit('/').next().and_then(|d| d.split_once(':')).is_some_and(|(x, _)| x == f)
            })
    };
    let row = |id: &String| (id.clone(), Doc::Str(format!("{prefix}{id}")));
    let (arns, token) = if let Some(name) = service {
        let mut ids: Vec<&String> = found.services[&name].tasks.iter().filter(|t| wanted(t)).map(|t| &t.id).collect();
        ids.sort();
        pager.take(ids.into_iter().filter(|id| pager.after().is_none_or(|after| id.as_str() > after)).map(row))
    } else {
        let tasks = found.tasks.range::<str, _>(pager.range()).filter(|(id, name)| {
            let service = found.services.get(*name);
            service.and_then(|s| s.tasks.iter().find(|t| t.id == **id)).is_some_and(wanted)
        });
        pager.take(tasks.map(|(id, _)| row(id)))
    };
    Ok(doc! { "taskArns" => arns, "nextToken" => token })
}

/// A task of a service, with its service.
fn find<'a>(ctx: &'a Ctx<'_>, cluster: &str, given: &str) -> Option<(&'a Service, &'a Task)> {
    let id = names::within(ctx, "task", cluster, given)?;
    let found = ctx.peek::<State>()?.clusters.get(cluster)?;
    let service = found.services.get(found.tasks.get(&id)?)?;
    let task = service.tasks.iter().find(|t| t.id == id)?;
    (!task.purged(ctx.now())).then_some((service, task))
}

fn containers(ctx: &Ctx<'_>, arn: &str, task: &Task) -> Vec<Doc> {
    let key = task.definition.rsplit('/').next().unwrap_or("");
    let state = ctx.peek::<State>();
    let definition = key.split_once(':').and_then(|(family, revision)| {
        state?.definitions.get(&super::state::definition_key(family, revision.parse().ok()?))
    });
    let status = if task.phase == Phase::Stopping { "RUNNING" } else { task.phase.as_ref() };
    let health = |c: &Doc| match (c.has("healthCheck"), task.healthy, task.phase) {
        (false, ..) => "UNKNOWN",
        (true, true, _) => "HEALTHY",
        (true, false, Phase::Running) if task.fate == super::images::Fate::Unhealthy => "UNHEALTHY",
        _ => "UNKNOWN",
    };
    let rows = definition.into_iter().flat_map(super::state::TaskDefinition::containers).enumerate().map(|(n, c)| {
        let failed = task.stop_code == Some("TaskFailedToStart");
        doc! {
            "containerArn" => format!("{}/{n}", arn.replace(":task/", ":container/")),
            "taskArn" => arn,
            "name" => c.need("name"),
            "image" => c.need("image"),
            "lastStatus" => status,
            "exitCode" => task.exit_code,
            "reason" => task.stopped_reason.as_deref().filter(|_| failed),
            "healthStatus" => health(c),
            "cpu" => c.int("cpu").unwrap_or(0).to_string(),
            "networkBindings" => Vec::<Doc>::new(),
            "networkInterfaces" => vec![doc! { "attachmentId" => "eni", "privateIpv4Address" => &task.ip }],
        }
    });
    rows.collect()
}

fn show_task(ctx: &Ctx<'_>, service: &Service, task: &Task) -> Doc {
    let arn = arn(ctx, &service.cluster, &task.id);
    let details = [("subnetId", &task.subnet), ("privateIPv4Address", &task.ip)];
    let details = details.map(|(name, value)| doc! { "name" => name, "value" => value });
    let eni = doc! {
        "id" => format!("{}-eni", task.id),
        "type" => "ElasticNetworkInterface",
        "status" => if task.phase == Phase::Stopped { "DELETED" } else { "ATTACHED" },
        "details" => details.to_vec(),
    };
    let containers = containers(ctx, &arn, task);
    let healths: Vec<&str> = containers.iter().map(|c| c.need("healthStatus")).collect();
    let health = if healths.contains(&"UNHEALTHY") {
        "UNHEALTHY"
    } else if !healths.is_empty() && healths.iter().all(|h| *h == "HEALTHY") {
        "HEALTHY"
    } else {
        "UNKNOWN"
    };
    let fargate = task.launch_type == "FARGATE";
    doc! {
        "taskArn" => arn,
        "clusterArn" => ctx.arn("ecs", &format!("cluster/{}", service.cluster)),
        "taskDefinitionArn" => &task.definition,
        "group" => format!("service:{}", service.name),
        "startedBy" => &task.deployment,
        "launchType" => &task.launch_type,
        "platformVersion" => fargate.then_some(show::PLATFORM),
        "platformFamily" => fargate.then_some("Linux"),
        "desiredStatus" => desired_status(task),
        "lastStatus" => task.phase.as_ref(),
        "healthStatus" => health,
        "connectivity" => (task.phase == Phase::Running).then_some("CONNECTED"),
        "createdAt" => task.created,
        "startedAt" => task.started,
        "stoppingAt" => task.stopping,
        "stoppedAt" => task.stopped,
        "executionStoppedAt" => task.stopped,
        "stopCode" => task.stop_code,
        "stoppedReason" => task.stopped_reason.as_deref(),
        "version" => 1 + i64::from(task.started.is_some()) + i64::from(task.stopped.is_some()),
        "attachments" => vec![eni],
        "containers" => containers,
        "overrides" => doc! { "containerOverrides" => Vec::<Doc>::new() },
    }
}

/// API Reference, DescribeTasks: up to 100; stopped ones for an hour; what is not there is a failure MISSING.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let cluster = names::active_cluster(ctx, input)?;
    let asked = input.texts("tasks");
    if asked.is_empty() {
        return Err(invalid("Tasks cannot be empty."));
    }
    if asked.len() > 100 {
        return Err(invalid("Tasks cannot have more than 100 elements."));
    }
    let with_tags = !input.list("include").is_empty();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for given in asked {
        match find(ctx, &cluster, &given) {
            Some((service, task)) => {
                let tags = if with_tags { tags_out(&task.tags, "key", "value") } else { Doc::List(Vec::new()) };
                found.push(show_task(ctx, service, task).with("tags", tags));
            }
            None => {
                let arn = if given.starts_with("arn:") { given } else { arn(ctx, &cluster, &given) };
                failures.push(doc! { "arn" => arn, "reason" => "MISSING" });
            }
        }
    }
    Ok(doc! { "tasks" => found, "failures" => failures })
}

fn task_not_found() -> AwsError {
    invalid("The referenced task was not found.")
}

/// API Reference, StopTask. The service replaces it.
pub(super) fn stop(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let cluster = names::active_cluster(ctx, input)?;
    let (name, id) = find(ctx, &cluster, input.need("task"))
        .map(|(service, task)| (service.name.clone(), task.id.clone()))
        .ok_or_else(task_not_found)?;
    let reason = input.text("reason").unwrap_or("Task stopped by user").to_owned();
    scheduler::with(ctx, &cluster, &name, |ctx, service| {
        if let Some(index) = service.tasks.iter().position(|t| t.id == id) {
            lives::begin_stop(ctx, service, index, "UserInitiated", &reason);
            let look = ctx.now() + ctx.timings().ecs_scheduler;
            service.look_by(look);
        }
    });
    let (service, task) = find(ctx, &cluster, &id).ok_or_else(task_not_found)?;
    Ok(doc! { "task" => show_task(ctx, service, task) })
}
