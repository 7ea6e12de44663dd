//! Container definitions: what ECS refuses in them, and the defaults it fills in (API Reference, ContainerDefinition).
//! Pure.
use std::collections::BTreeSet;

use super::{client, invalid};
use crate::{AwsError, Doc};

/// What the task around a container says.
pub(super) struct Around<'a> {
    pub(super) fargate: bool,
    pub(super) network: &'a str,
    pub(super) execution_role: bool,
    pub(super) volumes: BTreeSet<&'a str>,
    pub(super) memory: bool,
}

/// All containers of a definition, checked and filled.
pub(super) fn read(containers: &[Doc], around: &Around<'_>) -> Result<Vec<Doc>, AwsError> {
    if containers.is_empty() {
        return Err(client("Container list cannot be empty."));
    }
    let mut seen = BTreeSet::new();
    for container in containers {
        check(container, around)?;
        if !seen.insert(container.need("name")) {
            let name = container.need("name");
            return Err(client(&format!("Container names must be unique within a task definition: '{name}'.")));
        }
    }
    let after = containers.iter().flat_map(|c| c.list("dependsOn"));
    if let Some(missing) = after.map(|d| d.need("containerName")).find(|n| !seen.contains(n)) {
        return Err(client(&format!("Container dependency '{missing}' does not exist in the task definition.")));
    }
    if containers.iter().all(|c| c.flag("essential") == Some(false)) {
        return Err(client("At least one container in a task definition must be essential."));
    }
    Ok(containers.iter().map(|c| fill(c, around.network)).collect())
}

fn check(container: &Doc, around: &Around<'_>) -> Result<(), AwsError> {
    let name = container.need("name");
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 255 || !name.chars().all(good) {
        return Err(client("Container.name contains invalid characters."));
    }
    if container.need("image").is_empty() {
        return Err(client("Container.image should not be null or empty."));
    }
    if !around.memory && !container.has("memory") && !container.has("memoryReservation") {
        let message = "At least one of 'memory' or 'memoryReservation' must be specified.";
        return Err(client(&format!("Invalid setting for container '{name}'. {message}")));
    }
    if let (Some(hard), Some(soft)) = (container.int("memory"), container.int("memoryReservation"))
        && soft > hard
    {
        let message = "The value for 'memory' must be greater than or equal to 'memoryReservation'.";
        return Err(client(&format!("Invalid setting for container '{name}'. {message}")));
    }
    check_ports(container, around.network)?;
    let mounts = container.list("mountPoints").iter().filter_map(|m| m.text("sourceVolume"));
    if let Some(volume) = mounts.into_iter().find(|v| !around.volumes.contains(v)) {
        return Err(client(&format!("Unknown volume '{volume}'.")));
    }
    check_names(container)?;
    if around.fargate {
        check_fargate(container, name)?;
    }
    check_secrets(container, around)?;
    check_health(container.at("healthCheck"))?;
    if let Some(limit) = container.list("ulimits").iter().find(|u| u.int("softLimit") > u.int("hardLimit")) {
        let limit = limit.need("name");
        return Err(client(&format!("The soft limit of ulimit '{limit}' must not be greater than its hard limit.")));
    }
    Ok(())
}

/// Fargate knows neither privileged containers nor every log driver (Developer Guide, "Amazon ECS task definition
/// differences for Fargate").
fn check_fargate(container: &Doc, name: &str) -> Result<(), AwsError> {
    if container.flag("privileged") == Some(true) {
        return Err(client("Fargate compatible task definitions do not support privileged."));
    }
    if container.int("stopTimeout").is_some_and(|t| t > 120) {
        return Err(client("The maximum value of stopTimeout for Fargate tasks is 120 seconds."));
    }
    let log = container.at("logConfiguration");
    if let Some(driver) = log.text("logDriver")
        && !["awslogs", "splunk", "awsfirelens"].contains(&driver)
    {
        return Err(client(&format!("Fargate task definitions do not support log driver '{driver}'.")));
    }
    if log.text("logDriver") == Some("awslogs") {
        let options = log.text_map("options");
        let needed = ["awslogs-group", "awslogs-region", "awslogs-stream-prefix"];
        if let Some(option) = needed.into_iter().find(|o| !options.contains_key(*o)) {
            let message = format!("Log driver awslogs requires options: {option} (container '{name}').");
            return Err(client(&message));
        }
    }
    Ok(())
}

fn check_ports(container: &Doc, network: &str) -> Result<(), AwsError> {
    let mut seen = BTreeSet::new();
    for port in container.list("portMappings") {
        let Some(inner) = port.int("containerPort") else {
            return Err(client("Port mappings must have a containerPort."));
        };
        let outer = port.int("hostPort");
        if network != "bridge" && outer.is_some_and(|p| p != inner && p != 0) {
            let message =
                format!("When networkMode={network}, the host ports and container ports in port mappings must match.");
            return Err(client(&message));
        }
        if !seen.insert((inner, port.text("protocol").unwrap_or("tcp"))) {
            return Err(client(&format!("The port mapping for containerPort {inner} is given twice.")));
        }
    }
    Ok(())
}

/// Names of the environment and of secrets must not meet.
fn check_names(container: &Doc) -> Result<(), AwsError> {
    let mut names: BTreeSet<&str> = container.list("environment").iter().map(|e| e.need("name")).collect();
    if names.contains("") {
        return Err(client("Environment variable names must not be empty."));
    }
    for secret in container.list("secrets") {
        let name = secret.need("name");
        if !names.insert(name) {
            let message = format!(
                "The secret name must be unique and not shared with any new or existing environment variables set on \
                 the container, such as '{name}'."
            );
            return Err(client(&message));
        }
        if secret.need("valueFrom").is_empty() {
            return Err(client(&format!("The secret '{name}' must have a valueFrom.")));
        }
    }
    Ok(())
}

fn check_secrets(container: &Doc, around: &Around<'_>) -> Result<(), AwsError> {
    if around.execution_role {
        return Ok(());
    }
    if !container.list("secrets").is_empty() {
        let message =
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.";
        return Err(client(message));
    }
    if !around.fargate {
        return Ok(());
    }
    if container.at("logConfiguration").text("logDriver") == Some("awslogs") {
        let message = "Fargate requires task definition to have execution role ARN to support log driver awslogs.";
        return Err(client(message));
    }
    if container.need("image").contains(".dkr.ecr.") {
        return Err(client("Fargate requires task definition to have execution role ARN to support ECR images."));
    }
    Ok(())
}

/// API Reference, HealthCheck.
fn check_health(check: &Doc) -> Result<(), AwsError> {
    if check.is_null() {
        return Ok(());
    }
    let command = check.texts("command");
    if !command.first().is_some_and(|c| ["CMD", "CMD-SHELL", "NONE"].contains(&c.as_str())) {
        return Err(client("The health check command must begin with CMD, CMD-SHELL or NONE."));
    }
    for (name, low, high) in [("interval", 5, 300), ("timeout", 2, 60), ("retries", 1, 10), ("startPeriod", 0, 300)] {
        if check.int(name).is_some_and(|n| n < low || n > high) {
            return Err(invalid(&format!("Health check {name} must be between {low} and {high}.")));
        }
    }
    Ok(())
}

/// What RegisterTaskDefinition answers with where the request was silent.
fn fill(container: &Doc, network: &str) -> Doc {
    let mut out = container.clone();
    for empty in ["environment", "mountPoints", "volumesFrom", "portMappings", "systemControls"] {
        if !out.has(empty) {
            out.set(empty, Vec::<Doc>::new());
        }
    }
    out.set("cpu", container.int("cpu").unwrap_or(0));
    out.set("essential", container.flag("essential").unwrap_or(true));
    let ports = container.list("portMappings").iter().map(|p| {
        let outer = p.int("hostPort").filter(|host| *host != 0 || network == "bridge");
        let outer = outer.unwrap_or(if network == "bridge" { 0 } else { p.int("containerPort").unwrap_or(0) });
        p.clone().with("hostPort", outer).with("protocol", p.text("protocol").unwrap_or("tcp"))
    });
    out.set("portMappings", ports.collect::<Doc>());
    if container.has("healthCheck") {
        let check = container.at("healthCheck");
        let filled = [("interval", 30), ("timeout", 5), ("retries", 3)];
        let check = filled.iter().fold(check.clone(), |c, (name, n)| c.with(name, check.int(name).unwrap_or(*n)));
        out.set("healthCheck", check);
    }
    out
}
