//! Checks of `spec.cluster`, `spec.serviceDefaults`, `spec.services` and `spec.pipeline`.

use super::{Unique, names, network, range};
use crate::env::{AutoscalingSpec, Environment, LogsSpec, ServiceDefaults, ServiceSpec, TargetGroupSpec};
use crate::problem::{Problems, Reason, join};
use crate::quantity::Span;

/// CloudWatch Logs API Reference, PutRetentionPolicy, retentionInDays.
const RETENTIONS: [u32; 23] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653, 0];

pub(super) fn check(environment: &Environment, problems: &mut Problems) {
    check_cluster(environment, problems);
    check_defaults(environment, &environment.spec.service_defaults, problems);
    for (name, service) in &environment.spec.services {
        check_service(environment, name, service, &join("spec.services", name), problems);
    }
    check_unique(environment, problems);
    if let Some(pipeline) = &environment.spec.pipeline {
        let deployed = &pipeline.deploy.service;
        match environment.spec.services.get(deployed) {
            None => problems.add(
                "spec.pipeline.deploy.service",
                Reason::FieldValueNotFound,
                "names no service of this document",
            ),
            Some(service) if service.image.is_some() => problems.add(
                format!("{}.image", join("spec.services", deployed)),
                Reason::FieldValueForbidden,
                "the pipeline deploys this service and owns its image; declare initialImage instead",
            ),
            Some(_) => {}
        }
    }
}

fn check_cluster(environment: &Environment, problems: &mut Problems) {
    let Some(cluster) = &environment.spec.cluster else {
        if !environment.spec.services.is_empty() {
            problems.add("spec.cluster", Reason::FieldValueRequired, "must be given: services run in it");
        }
        return;
    };
    match (&cluster.name, &cluster.existing) {
        (Some(_), Some(_)) => {
            problems.add("spec.cluster.existing", Reason::FieldValueForbidden, "excludes name");
        }
        (None, None) if !environment.is_guide() => problems.add(
            "spec.cluster.name",
            Reason::FieldValueRequired,
            "must be given: only the environment prod takes the guide's name",
        ),
        (Some(name), None) | (None, Some(name)) if !names::is_ecs_name(name) => {
            let field = if cluster.name.is_some() { "name" } else { "existing" };
            problems.add(format!("spec.cluster.{field}"), Reason::FieldValueInvalid, names::ECS_NAME);
        }
        _ => {}
    }
    if cluster.existing.is_some() && cluster.container_insights.is_some() {
        problems.add(
            "spec.cluster.containerInsights",
            Reason::FieldValueForbidden,
            "an existing cluster is used and not managed",
        );
    }
}

fn check_defaults(environment: &Environment, defaults: &ServiceDefaults, problems: &mut Problems) {
    let path = "spec.serviceDefaults";
    ids(problems, path, "subnets", defaults.subnets.as_ref(), "subnet");
    ids(problems, path, "securityGroups", defaults.security_groups.as_ref(), "sg");
    role(environment, problems, &format!("{path}.executionRole"), defaults.execution_role.as_deref());
    role(environment, problems, &format!("{path}.taskRole"), defaults.task_role.as_deref());
    if let Some(logs) = &defaults.logs {
        if logs.group.is_some() {
            problems.add(format!("{path}.logs.group"), Reason::FieldValueForbidden, "a group belongs to one service");
        }
        check_logs(problems, &format!("{path}.logs"), logs);
    }
    if let (Some(cpu), Some(memory)) = (defaults.cpu, defaults.memory_mib) {
        fargate_size(problems, path, cpu, memory);
    }
}

fn check_service(environment: &Environment, short: &str, service: &ServiceSpec, path: &str, problems: &mut Problems) {
    let defaults = &environment.spec.service_defaults;
    if !names::is_dns_label(short) {
        problems.add(path, Reason::FieldValueInvalid, format!("a service's key {}", names::DNS_LABEL));
    }
    match &service.name {
        Some(name) if !names::is_ecs_name(name) => {
            problems.add(format!("{path}.name"), Reason::FieldValueInvalid, names::ECS_NAME);
        }
        None if !environment.is_guide() => problems.add(
            format!("{path}.name"),
            Reason::FieldValueRequired,
            "must be given: only the environment prod takes the guide's names",
        ),
        _ => {}
    }
    for (field, image) in [("image", &service.image), ("initialImage", &service.initial_image)] {
        if image.as_ref().is_some_and(|image| image.is_empty() || image.contains(char::is_whitespace)) {
            problems.add(format!("{path}.{field}"), Reason::FieldValueInvalid, "is no image reference");
        }
    }
    if service.image.is_some() && service.initial_image.is_some() {
        problems.add(format!("{path}.initialImage"), Reason::FieldValueForbidden, "excludes image");
    }
    range(problems, format!("{path}.port"), service.port, 1, u16::MAX);
    range(problems, format!("{path}.desiredCount"), service.desired_count, 0, 5_000);
    ids(problems, path, "subnets", service.subnets.as_ref(), "subnet");
    ids(problems, path, "securityGroups", service.security_groups.as_ref(), "sg");
    role(environment, problems, &format!("{path}.executionRole"), service.execution_role.as_deref());
    role(environment, problems, &format!("{path}.taskRole"), service.task_role.as_deref());
    let size = (service.cpu.or(defaults.cpu), service.memory_mib.or(defaults.memory_mib));
    if let (Some(cpu), Some(memory)) = size
        && (service.cpu.is_some() || service.memory_mib.is_some())
    {
        fargate_size(problems, path, cpu, memory);
    }
    if let Some(logs) = &service.logs {
        check_logs(problems, &format!("{path}.logs"), logs);
    }
    check_variables(environment, service, path, problems);
    if let Some(autoscaling) = &service.autoscaling {
        check_autoscaling(service, autoscaling, path, problems);
    }
    if let Some(group) = &service.target_group {
        check_target_group(group, &format!("{path}.targetGroup"), problems);
        if service.port.is_none() {
            problems.add(format!("{path}.port"), Reason::FieldValueRequired, "must be given where targetGroup is");
        }
    } else if service.health_check_grace_period.is_some() {
        problems.add(format!("{path}.healthCheckGracePeriod"), Reason::FieldValueForbidden, "needs a targetGroup");
    }
    range(problems, format!("{path}.minimumHealthyPercent"), service.minimum_healthy_percent, 0, 100);
    range(problems, format!("{path}.maximumPercent"), service.maximum_percent, 100, 200);
    if service.minimum_healthy_percent == Some(100) && service.maximum_percent == Some(100) {
        problems.add(
            format!("{path}.maximumPercent"),
            Reason::FieldValueInvalid,
            "with both percentages at 100 no deployment could ever proceed",
        );
    }
}

fn check_variables(environment: &Environment, service: &ServiceSpec, path: &str, problems: &mut Problems) {
    for name in service.environment.iter().flatten().map(|(name, _)| name) {
        if name.is_empty() || name.contains('=') {
            problems.add(join(&format!("{path}.environment"), name), Reason::FieldValueInvalid, "is no variable name");
        }
        if service.secrets.as_ref().is_some_and(|secrets| secrets.contains_key(name)) {
            problems.add(
                join(&format!("{path}.secrets"), name),
                Reason::FieldValueDuplicate,
                "the same variable stands in environment",
            );
        }
    }
    for (name, secret) in service.secrets.iter().flatten() {
        let at = join(&format!("{path}.secrets"), name);
        match names::arn(secret) {
            Some(arn) if matches!(arn.service, "secretsmanager" | "ssm") => {}
            Some(_) => problems.add(at, Reason::FieldValueInvalid, "is no ARN of Secrets Manager or Parameter Store"),
            None if environment.spec.secrets.contains_key(secret) => {}
            None => problems.add(
                at,
                Reason::FieldValueNotFound,
                "must be a name in spec.secrets or the ARN of a secret; a secret's value is never written here",
            ),
        }
    }
}

fn check_autoscaling(service: &ServiceSpec, autoscaling: &AutoscalingSpec, path: &str, problems: &mut Problems) {
    let at = format!("{path}.autoscaling");
    if autoscaling.min > autoscaling.max {
        problems.add(format!("{at}.min"), Reason::FieldValueInvalid, "is greater than max");
    } else {
        range(problems, format!("{path}.desiredCount"), service.desired_count, autoscaling.min, autoscaling.max);
    }
    range(problems, format!("{at}.max"), Some(autoscaling.max), 1, 5_000);
    range(problems, format!("{at}.cpuTargetPercent"), autoscaling.cpu_target_percent, 1.0, 100.0);
}

fn check_target_group(group: &TargetGroupSpec, path: &str, problems: &mut Problems) {
    if !names::is_target_group_name(&group.name) {
        problems.add(format!("{path}.name"), Reason::FieldValueInvalid, names::TARGET_GROUP_NAME);
    }
    range(problems, format!("{path}.deregistrationDelay"), group.deregistration_delay.map(Span::as_secs), 0, 3_600);
    let Some(check) = &group.health_check else { return };
    let at = format!("{path}.healthCheck");
    if check.path.as_ref().is_some_and(|p| !p.starts_with('/') || p.len() > 1_024) {
        problems.add(
            format!("{at}.path"),
            Reason::FieldValueInvalid,
            "must start with / and have at most 1024 characters",
        );
    }
    // Elastic Load Balancing API Reference, CreateTargetGroup.
    range(problems, format!("{at}.interval"), check.interval.map(Span::as_secs), 5, 300);
    range(problems, format!("{at}.timeout"), check.timeout.map(Span::as_secs), 2, 120);
    range(problems, format!("{at}.healthyThreshold"), check.healthy_threshold, 2, 10);
    range(problems, format!("{at}.unhealthyThreshold"), check.unhealthy_threshold, 2, 10);
    if let (Some(interval), Some(timeout)) = (check.interval, check.timeout)
        && timeout >= interval
    {
        problems.add(format!("{at}.timeout"), Reason::FieldValueInvalid, "must be shorter than interval");
    }
    if let Some(matcher) = &check.matcher {
        let code = |t: &str| t.parse::<u16>().is_ok_and(|n| (200..=499).contains(&n));
        let part = |t: &str| t.split_once('-').map_or_else(|| code(t), |(a, b)| code(a) && code(b));
        if !matcher.split(',').all(part) {
            problems.add(
                format!("{at}.matcher"),
                Reason::FieldValueInvalid,
                "must be HTTP codes from 200 to 499 such as 200, 200,202 or 200-299",
            );
        }
    }
}

fn check_logs(problems: &mut Problems, path: &str, logs: &LogsSpec) {
    if logs.group.as_ref().is_some_and(|group| !names::is_log_group_name(group)) {
        problems.add(format!("{path}.group"), Reason::FieldValueInvalid, names::LOG_GROUP_NAME);
    }
    if logs.retention_days.is_some_and(|days| days == 0 || !RETENTIONS.contains(&days)) {
        let known: Vec<String> = RETENTIONS.iter().filter(|d| **d > 0).map(ToString::to_string).collect();
        problems.add(
            format!("{path}.retentionDays"),
            Reason::FieldValueNotSupported,
            format!("must be one of {}", known.join(", ")),
        );
    }
}

fn check_unique(environment: &Environment, problems: &mut Problems) {
    let services = &environment.spec.services;
    let mut by_name = Unique::new("service", problems);
    for short in services.keys() {
        by_name.add(environment.service_name(short), join("spec.services", short));
    }
    let mut by_group = Unique::new("target group", problems);
    for (short, service) in services {
        if let Some(group) = &service.target_group {
            by_group.add(&group.name, format!("{}.targetGroup.name", join("spec.services", short)));
        }
    }
    let mut by_logs = Unique::new("log group", problems);
    for short in services.keys() {
        if let Some(group) = environment.log_group(short) {
            by_logs.add(group, format!("{}.logs.group", join("spec.services", short)));
        }
    }
}

pub(super) fn ids(problems: &mut Problems, path: &str, field: &str, list: Option<&Vec<String>>, prefix: &str) {
    for (n, id) in list.into_iter().flatten().enumerate() {
        if !names::is_resource_id(id, prefix) {
            problems.add(
                format!("{path}.{field}[{n}]"),
                Reason::FieldValueInvalid,
                format!("must be an id such as {prefix}-0a1b2c3d4e5f60718"),
            );
        }
    }
}

fn role(environment: &Environment, problems: &mut Problems, path: &str, role: Option<&str>) {
    let Some(role) = role else { return };
    if names::arn(role).is_some_and(|arn| arn.service == "iam" && arn.resource.starts_with("role/")) {
        network::elsewhere(environment, role, path, problems);
    } else {
        problems.add(path, Reason::FieldValueInvalid, "must be the ARN of a role (arn:aws:iam::…:role/…)");
    }
}

/// Amazon ECS Developer Guide, "Fargate task size": which memory each CPU value allows, in MiB.
fn fargate_size(problems: &mut Problems, path: &str, cpu: u32, memory: u32) {
    let gib = 1_024;
    let (least, most, step) = match cpu {
        256 => {
            if ![512, gib, 2 * gib].contains(&memory) {
                problems.add(
                    format!("{path}.memoryMib"),
                    Reason::FieldValueNotSupported,
                    "256 CPU units take 512, 1024 or 2048",
                );
            }
            return;
        }
        512 => (gib, 4 * gib, gib),
        1_024 => (2 * gib, 8 * gib, gib),
        2_048 => (4 * gib, 16 * gib, gib),
        4_096 => (8 * gib, 30 * gib, gib),
        8_192 => (16 * gib, 60 * gib, 4 * gib),
        16_384 => (32 * gib, 120 * gib, 8 * gib),
        _ => {
            problems.add(
                format!("{path}.cpu"),
                Reason::FieldValueNotSupported,
                "Fargate takes 256, 512, 1024, 2048, 4096, 8192 or 16384 CPU units",
            );
            return;
        }
    };
    if !(least..=most).contains(&memory) || !(memory - least).is_multiple_of(step) {
        problems.add(
            format!("{path}.memoryMib"),
            Reason::FieldValueNotSupported,
            format!("{cpu} CPU units take {least} to {most} in steps of {step}"),
        );
    }
}
