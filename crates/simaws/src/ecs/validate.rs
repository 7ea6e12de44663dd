//! What makes a service's settings wrong (API Reference, CreateService and UpdateService), and the defaults of what was
//! not said. Changes nothing.
use super::state::TaskDefinition;
use super::{client, definitions, invalid};
use crate::{AwsError, Ctx, Doc, doc};

/// The settings that a deployment runs with: a change of one starts a new deployment.
const RUN: [&str; 5] =
    ["networkConfiguration", "loadBalancers", "platformVersion", "launchType", "capacityProviderStrategy"];

/// The settings that are kept and shown, and change without a deployment.
const OTHER: [&str; 9] = [
    "deploymentConfiguration",
    "placementConstraints",
    "placementStrategy",
    "healthCheckGracePeriodSeconds",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "availabilityZoneRebalancing",
    "deploymentController",
];

/// `old` with what `input` says laid over it.
pub(super) fn overlay_run(old: &Doc, input: &Doc) -> Doc {
    let mut run = old.clone();
    for name in RUN {
        if let Some(value) = input.get(name) {
            run.set(name, value);
        }
    }
    if let Some(vpc) = run.at("networkConfiguration").get("awsvpcConfiguration") {
        let vpc = vpc
            .clone()
            .with("securityGroups", Doc::List(vpc.list("securityGroups").to_vec()))
            .with("assignPublicIp", vpc.text("assignPublicIp").unwrap_or("DISABLED"));
        run.set("networkConfiguration", doc! { "awsvpcConfiguration" => vpc });
    }
    // Terraform sends an empty strategy beside a launch type.
    if input.list("capacityProviderStrategy").is_empty() {
        run.set("capacityProviderStrategy", old.at("capacityProviderStrategy"));
    } else {
        let strategy = input.list("capacityProviderStrategy").iter();
        let filled = strategy
            .map(|s| s.clone().with("base", s.int("base").unwrap_or(0)).with("weight", s.int("weight").unwrap_or(0)));
        run.set("capacityProviderStrategy", filled.collect::<Doc>());
        run.set("launchType", Doc::Null);
    }
    run
}

/// `old` with what `input` says laid over it; of deploymentConfiguration member by member.
pub(super) fn overlay_other(old: &Doc, input: &Doc) -> Doc {
    let mut other = old.clone();
    for name in OTHER {
        let Some(value) = input.get(name) else { continue };
        let value = match (name, value.fields()) {
            ("deploymentConfiguration", Some(fields)) => {
                fields.iter().fold(old.at(name).clone(), |all, (k, v)| all.with(k, v))
            }
            _ => value.clone(),
        };
        other.set(name, value);
    }
    other
}

/// What a service is when nothing is said (API Reference, CreateService and DeploymentConfiguration).
pub(super) fn defaults(input: &Doc) -> Doc {
    let most = input.at("deploymentConfiguration").int("maximumPercent").unwrap_or(200);
    // Rebalancing needs room for one more task ("Balancing an Amazon ECS service across Availability Zones").
    let rebalancing = if most > 100 { "ENABLED" } else { "DISABLED" };
    let breaker = doc! { "enable" => false, "rollback" => false };
    doc! {
        "deploymentConfiguration" => doc! {
            "deploymentCircuitBreaker" => breaker,
            "maximumPercent" => 200,
            "minimumHealthyPercent" => 100,
            "strategy" => "ROLLING",
            "bakeTimeInMinutes" => 0,
        },
        "deploymentController" => doc! { "type" => "ECS" },
        "placementConstraints" => Vec::<Doc>::new(),
        "placementStrategy" => Vec::<Doc>::new(),
        "enableECSManagedTags" => false,
        "propagateTags" => "NONE",
        "enableExecuteCommand" => false,
        "availabilityZoneRebalancing" => rebalancing,
    }
}

/// The definition that a service may run: an ACTIVE one.
pub(super) fn definition(ctx: &mut Ctx<'_>, given: &str) -> Result<TaskDefinition, AwsError> {
    let definition = definitions::find(ctx, given).ok_or_else(|| client("TaskDefinition not found."))?;
    if definition.deregistered.is_some() {
        return Err(client("TaskDefinition is inactive"));
    }
    Ok(definition.clone())
}

/// Does it run on Fargate?
pub(super) fn fargate(run: &Doc) -> bool {
    match run.text("launchType") {
        Some(launch) => launch == "FARGATE",
        None => run.list("capacityProviderStrategy").iter().any(|s| s.need("capacityProvider").starts_with("FARGATE")),
    }
}

/// Checks a deployment's settings against its definition.
pub(super) fn check_run(ctx: &mut Ctx<'_>, run: &Doc, definition: &TaskDefinition) -> Result<(), AwsError> {
    let fargate = fargate(run);
    let compatible = definition.doc.texts("compatibilities").iter().any(|c| c == "FARGATE");
    if fargate && !compatible {
        return Err(invalid("Task definition does not support launch_type FARGATE."));
    }
    let awsvpc = definition.doc.text("networkMode") == Some("awsvpc");
    let vpc = run.at("networkConfiguration").get("awsvpcConfiguration");
    match vpc {
        None if awsvpc => {
            return Err(invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified."));
        }
        Some(_) if !awsvpc => {
            return Err(invalid(
                "Network Configuration is not valid for the given networkMode of this task definition.",
            ));
        }
        _ => {}
    }
    if let Some(vpc) = vpc {
        check_vpc(vpc, fargate)?;
    }
    if run.has("platformVersion") && !fargate {
        return Err(invalid("The platform version must be null when specifying an EC2 launch type."));
    }
    if let Some(version) = run.text("platformVersion").filter(|v| !["LATEST", "1.4.0", "1.3.0"].contains(v)) {
        return Err(AwsError::new("PlatformUnknownException", format!("The platform version {version} is unknown.")));
    }
    check_strategy(run)?;
    for balancer in run.list("loadBalancers") {
        check_balancer(ctx, balancer, definition, awsvpc)?;
    }
    Ok(())
}

fn check_vpc(vpc: &Doc, fargate: bool) -> Result<(), AwsError> {
    if vpc.list("subnets").is_empty() {
        return Err(invalid("subnets can not be empty."));
    }
    // API Reference, AwsVpcConfiguration.
    if vpc.list("subnets").len() > 16 {
        return Err(invalid("subnets can have at most 16 items."));
    }
    if vpc.list("securityGroups").len() > 5 {
        return Err(invalid("securityGroups can have at most 5 items."));
    }
    let wrong = |name: &str, prefix: &str| vpc.texts(name).into_iter().find(|id| !id.starts_with(prefix));
    if let Some(id) = wrong("subnets", "subnet-") {
        return Err(invalid(&format!(
            "Error retrieving subnet information for [{id}]: The subnet ID '{id}' does not exist"
        )));
    }
    if let Some(id) = wrong("securityGroups", "sg-") {
        let message =
            format!("Error retrieving security group information for [{id}]: The security group '{id}' does not exist");
        return Err(invalid(&message));
    }
    if vpc.text("assignPublicIp") == Some("ENABLED") && !fargate {
        return Err(invalid("Assign public IP is not supported for this launch type."));
    }
    Ok(())
}

fn check_strategy(run: &Doc) -> Result<(), AwsError> {
    for item in run.list("capacityProviderStrategy") {
        let name = item.need("capacityProvider");
        if name != "FARGATE" && name != "FARGATE_SPOT" {
            return Err(invalid(&format!("The specified capacity provider '{name}' was not found.")));
        }
    }
    Ok(())
}

/// The target group must exist, take IP addresses, and be attached to a load balancer; container and port must be in
/// the definition.
fn check_balancer(
    ctx: &mut Ctx<'_>,
    balancer: &Doc,
    definition: &TaskDefinition,
    awsvpc: bool,
) -> Result<(), AwsError> {
    let (group, container) = (balancer.need("targetGroupArn"), balancer.need("containerName"));
    if group.is_empty() {
        return Err(invalid("Target group ARN can not be empty."));
    }
    let Some(port) = balancer.int("containerPort") else {
        return Err(invalid("Container port must be specified."));
    };
    let Some(found) = definition.containers().iter().find(|c| c.need("name") == container) else {
        return Err(invalid(&format!("The container {container} does not exist in the task definition.")));
    };
    if !found.list("portMappings").iter().any(|p| p.int("containerPort") == Some(port)) {
        return Err(invalid(&format!("The container {container} did not have a container port {port} defined.")));
    }
    let state = ctx.state::<crate::elbv2::State>();
    let Some(known) = state.group(group) else {
        return Err(invalid("The specified target group does not exist."));
    };
    if awsvpc && known.target_type != "ip" {
        let message = format!(
            "The provided target group {group} has target type {}, which is incompatible with the awsvpc network mode \
             specified in the task definition.",
            known.target_type
        );
        return Err(invalid(&message));
    }
    if !state.attached(group) {
        let message =
            format!("The target group with targetGroupArn {group} does not have an associated load balancer.");
        return Err(invalid(&message));
    }
    Ok(())
}

/// Checks what changes without a deployment.
pub(super) fn check_other(other: &Doc, run: &Doc) -> Result<(), AwsError> {
    let configuration = other.at("deploymentConfiguration");
    let (least, most) = (configuration.int("minimumHealthyPercent"), configuration.int("maximumPercent"));
    if least.is_some_and(|n| !(0..=100).contains(&n)) {
        return Err(invalid("minimumHealthyPercent must be between 0 and 100."));
    }
    if most.is_some_and(|n| !(100..=2_147_483_647).contains(&n)) {
        return Err(invalid("maximumPercent must be at least 100."));
    }
    if least == Some(100) && most == Some(100) {
        return Err(invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ));
    }
    if other.text("availabilityZoneRebalancing") == Some("ENABLED") && most == Some(100) {
        let message = "Availability Zone rebalancing requires a maximumPercent greater than 100.";
        return Err(invalid(message));
    }
    if let Some(grace) = other.int("healthCheckGracePeriodSeconds") {
        if !(0..=2_147_483_647).contains(&grace) {
            return Err(invalid("healthCheckGracePeriodSeconds is out of range."));
        }
        if grace > 0 && run.list("loadBalancers").is_empty() {
            let message = "Health check grace period is only valid for services configured to use load balancers";
            return Err(invalid(message));
        }
    }
    if fargate(run) && !(other.list("placementConstraints").is_empty() && other.list("placementStrategy").is_empty()) {
        return Err(invalid("Placement constraints and strategies are not supported with FARGATE launch type."));
    }
    if other.flag("enableECSManagedTags") == Some(true) && !other.has("propagateTags") {
        return Err(invalid("propagateTags must be set when ECS managed tags are enabled."));
    }
    Ok(())
}

/// A count of tasks.
pub(super) fn check_count(count: i64) -> Result<(), AwsError> {
    if (0..=5000).contains(&count) {
        return Ok(());
    }
    // Service quotas: 5,000 tasks per service.
    Err(invalid(if count < 0 { "desiredCount cannot be negative." } else { "A service can have at most 5000 tasks." }))
}
