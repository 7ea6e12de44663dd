//! CreateService, UpdateService, DeleteService. They say what a service should be; the scheduler makes it so.
use std::collections::VecDeque;

use super::state::{Service, State, Status};
use super::{client, invalid, names, rollout, scheduler, service_not_found, show, validate};
use crate::{AwsError, Ctx, Doc, Outcome, doc, tags_in};

fn arn(ctx: &Ctx<'_>, cluster: &str, name: &str) -> String {
    ctx.arn("ecs", &format!("service/{cluster}/{name}"))
}

/// API Reference, CreateService, `clientToken`: the same token with the same request answers as the first time.
fn existing(ctx: &mut Ctx<'_>, cluster: &str, name: &str, input: &Doc) -> Result<bool, AwsError> {
    let state = ctx.state::<State>();
    let Some(old) = state.clusters.get(cluster).and_then(|c| c.services.get(name)) else { return Ok(false) };
    match old.status {
        Status::Inactive => Ok(false),
        Status::Draining => Err(invalid("Unable to Start a service that is still Draining.")),
        Status::Active => {
            let token = input.text("clientToken");
            match &old.token {
                Some((given, request)) if token == Some(given) && request == input => Ok(true),
                _ => Err(invalid("Creation of service was not idempotent.")),
            }
        }
    }
}

fn launch(ctx: &mut Ctx<'_>, cluster: &str, input: &Doc) -> Result<Doc, AwsError> {
    if input.has("launchType") && !input.list("capacityProviderStrategy").is_empty() {
        let message =
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.";
        return Err(invalid(message));
    }
    let mut run = validate::overlay_run(&Doc::empty(), input);
    if !run.has("launchType") && run.list("capacityProviderStrategy").is_empty() {
        let strategy = ctx.state::<State>().clusters.get(cluster).map(|c| c.strategy.clone()).unwrap_or_default();
        if strategy.is_empty() {
            run.set("launchType", "EC2");
        } else {
            run.set("capacityProviderStrategy", strategy);
        }
    }
    if validate::fargate(&run) {
        run.set("platformVersion", run.text("platformVersion").unwrap_or("LATEST").to_owned());
        run.set("platformFamily", "Linux");
    }
    if !run.has("loadBalancers") {
        run.set("loadBalancers", Vec::<Doc>::new());
    }
    Ok(run)
}

/// API Reference, CreateService.
pub(super) fn create(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("serviceName").to_owned();
    names::check("Service", &name)?;
    let cluster = names::active_cluster(ctx, input)?;
    let now = ctx.now();
    if existing(ctx, &cluster, &name, input)? {
        return show::answer(ctx, &cluster, &name);
    }
    let run = launch(ctx, &cluster, input)?;
    let mut other = validate::overlay_other(&validate::defaults(input), input);
    validate::check_other(&other, &run)?;
    if !run.list("loadBalancers").is_empty() && !other.has("healthCheckGracePeriodSeconds") {
        other.set("healthCheckGracePeriodSeconds", 0);
    }
    let controller = other.at("deploymentController").need("type").to_owned();
    let external = controller == "EXTERNAL";
    let breaker = other.at("deploymentConfiguration").at("deploymentCircuitBreaker").flag("enable") == Some(true);
    if controller != "ECS" && breaker {
        return Err(invalid("Deployment circuit breaker is only supported with the ECS deployment controller."));
    }
    let definition = match input.text("taskDefinition") {
        Some(_) if external => {
            return Err(invalid("TaskDefinition must be null when using the EXTERNAL deployment controller."));
        }
        None if external => String::new(),
        None => return Err(invalid("TaskDefinition can not be blank.")),
        Some(given) => {
            let definition = validate::definition(ctx, given)?;
            validate::check_run(ctx, &run, &definition)?;
            definition.arn
        }
    };
    let desired = input.int("desiredCount");
    if desired.is_none() && !external {
        return Err(invalid("The desiredCount must be specified for services with the REPLICA scheduling strategy."));
    }
    let desired = desired.unwrap_or(0);
    validate::check_count(desired)?;
    let arn = arn(ctx, &cluster, &name);
    let mut service = Service {
        cluster: cluster.clone(),
        name: name.clone(),
        arn: arn.clone(),
        status: Status::Active,
        ended: None,
        run,
        other,
        desired,
        definition,
        deployments: Vec::new(),
        history: VecDeque::new(),
        events: VecDeque::new(),
        created: now,
        tasks: Vec::new(),
        token: input.owned("clientToken").map(|token| (token, input.clone())),
        look: None,
        hold: None,
        bad_rounds: 0,
        steady: false,
        complained: false,
        counted: (0, 0, 0),
    };
    if !external {
        rollout::deploy(ctx, &mut service);
    }
    ctx.tags().register(&arn, tags_in(input.list("tags"), "key", "value"), now);
    // A service of that name that is INACTIVE gives way; the last of its tasks stay.
    let state = ctx.state::<State>();
    if let Some(old) = state.clusters.get_mut(&cluster).and_then(|c| c.services.remove(&name)) {
        (service.tasks, service.counted) = (old.tasks, old.counted);
    }
    scheduler::put_back(ctx, service);
    show::answer(ctx, &cluster, &name)
}

/// The service a call means.
fn named(ctx: &mut Ctx<'_>, input: &Doc) -> Result<(String, String), AwsError> {
    let cluster = names::active_cluster(ctx, input)?;
    let name = names::within(ctx, "service", &cluster, input.need("service")).ok_or_else(service_not_found)?;
    let now = ctx.now();
    let services = ctx.state::<State>().clusters.get(&cluster).map(|c| &c.services);
    match services.and_then(|s| s.get(&name)) {
        Some(service) if !service.purged(now) => Ok((cluster, name)),
        _ => Err(service_not_found()),
    }
}

/// What a controller other than ECS's own refuses (API Reference, UpdateService).
fn check_controller(controller: &str, input: &Doc) -> Result<(), AwsError> {
    let refused = |names: &[&'static str]| names.iter().find(|n| input.has(n)).copied();
    let shared = ["taskDefinition", "networkConfiguration", "platformVersion", "loadBalancers"];
    let found = match controller {
        "CODE_DEPLOY" => refused(&shared),
        "EXTERNAL" => refused(&shared).or_else(|| refused(&["deploymentConfiguration", "capacityProviderStrategy"])),
        _ => None,
    };
    // Developer Guide, "How the Amazon ECS deployment circuit breaker detects failures": of rolling updates only.
    let breaker = input.at("deploymentConfiguration").at("deploymentCircuitBreaker").flag("enable") == Some(true);
    if controller == "CODE_DEPLOY" && found.is_none() && breaker {
        return Err(invalid("Deployment circuit breaker is only supported with the ECS deployment controller."));
    }
    let message = match (controller, found) {
        (_, None) if controller != "ECS" && input.flag("forceNewDeployment") == Some(true) => {
            format!("Cannot force a new deployment on services with a {controller} deployment controller.")
        }
        (_, None) => return Ok(()),
        ("CODE_DEPLOY", Some("taskDefinition")) => {
            "Unable to update task definition on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy \
             to trigger a new deployment."
                .to_owned()
        }
        (_, Some(name)) => {
            format!("Unable to update {name} on services with a {controller} deployment controller.")
        }
    };
    Err(invalid(&message))
}

/// API Reference, UpdateService. A new task definition, network, platform version, load balancer or capacity provider
/// strategy starts a deployment, and so does forceNewDeployment; the rest doesn't.
pub(super) fn update(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (cluster, name) = named(ctx, input)?;
    let result = scheduler::with(ctx, &cluster, &name, |ctx, service| change(ctx, service, input));
    result.unwrap_or_else(|| Err(service_not_found()))?;
    show::answer(ctx, &cluster, &name)
}

fn change(ctx: &mut Ctx<'_>, service: &mut Service, input: &Doc) -> Result<(), AwsError> {
    if service.status != Status::Active {
        return Err(AwsError::new("ServiceNotActiveException", "Service was not ACTIVE."));
    }
    check_controller(service.controller(), input)?;
    let force = input.flag("forceNewDeployment") == Some(true);
    if !input.list("capacityProviderStrategy").is_empty() && !force {
        let message = "When switching from launch type to capacity provider strategy on an existing service, or making a \
                       change to a capacity provider strategy on a service that is already using one, you must force a \
                       new deployment.";
        return Err(invalid(message));
    }
    let run = validate::overlay_run(&service.run, input);
    let mut other = validate::overlay_other(&service.other, input);
    if run.list("loadBalancers").is_empty() {
        other.set("healthCheckGracePeriodSeconds", input.int("healthCheckGracePeriodSeconds"));
    } else if !other.has("healthCheckGracePeriodSeconds") {
        other.set("healthCheckGracePeriodSeconds", 0);
    }
    validate::check_other(&other, &run)?;
    let definition = match input.text("taskDefinition") {
        Some(given) => validate::definition(ctx, given)?.arn,
        None => service.definition.clone(),
    };
    let deploys = force || run != service.run || definition != service.definition;
    if deploys {
        let found =
            super::definitions::find(ctx, &definition).ok_or_else(|| client("TaskDefinition not found."))?.clone();
        validate::check_run(ctx, &run, &found)?;
    }
    let desired = input.int("desiredCount").unwrap_or(service.desired);
    validate::check_count(desired)?;
    (service.run, service.other, service.definition) = (run, other, definition);
    scheduler::want(ctx, service, desired);
    if deploys {
        rollout::deploy(ctx, service);
    }
    let look = ctx.now() + ctx.timings().ecs_scheduler;
    service.look_by(look);
    Ok(())
}

/// API Reference, DeleteService: refused while it is scaled above zero, unless forced; DRAINING while its tasks stop,
/// then INACTIVE.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (cluster, name) = named(ctx, input)?;
    let force = input.flag("force") == Some(true);
    let result = scheduler::with(ctx, &cluster, &name, |ctx, service| match service.status {
        Status::Inactive => Err(AwsError::new("ServiceNotActiveException", "Service was not ACTIVE.")),
        Status::Draining => Ok(()),
        Status::Active if service.desired > 0 && !force && service.controller() != "EXTERNAL" => {
            Err(invalid("The service cannot be stopped while it is scaled above 0."))
        }
        Status::Active => {
            scheduler::drain(ctx, service);
            Ok(())
        }
    });
    result.unwrap_or_else(|| Err(service_not_found()))?;
    show::answer(ctx, &cluster, &name)
}

/// The shape of a service in an answer.
pub(super) fn wrapped(service: Doc) -> Doc {
    doc! { "service" => service }
}
