//! The SDK's task definition → what we compare: AWS's defaults dropped, and a digest of what cannot be declared.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_ecs::types::{ContainerDefinition, LogConfiguration, PortMapping, TaskDefinition, TransportProtocol};

use model::{TAG_ENVIRONMENT, TAG_MANAGED_BY};

use super::Described;
use crate::ecs_task_definition::{Container, Content, Logs, Masked, Port, Revision, TAG_BASE};

pub(super) fn revision(described: &Described) -> Option<Revision> {
    let definition = &described.definition;
    Some(Revision {
        arn: definition.task_definition_arn()?.to_owned(),
        family: definition.family()?.to_owned(),
        revision: u32::try_from(definition.revision()).ok()?,
        base: described.tags.get(TAG_BASE).cloned(),
        owner: described
            .tags
            .iter()
            .filter(|(tag, _)| [TAG_ENVIRONMENT, TAG_MANAGED_BY].contains(&tag.as_str()))
            .map(|(tag, value)| (tag.clone(), value.clone()))
            .collect(),
        content: content(definition),
    })
}

/// What a revision says, with AWS's defaults dropped.
pub(super) fn content(definition: &TaskDefinition) -> Content {
    Content {
        cpu: definition.cpu.clone(),
        memory: definition.memory.clone(),
        task_role: definition.task_role_arn.clone(),
        execution_role: definition.execution_role_arn.clone(),
        containers: definition.container_definitions().iter().map(container).collect(),
        rest: rest(definition.clone()),
    }
}

fn container(live: &ContainerDefinition) -> Container {
    Container {
        name: live.name().unwrap_or_default().to_owned(),
        image: live.image().unwrap_or_default().to_owned(),
        ports: live.port_mappings().iter().filter_map(port).collect(),
        environment: live
            .environment()
            .iter()
            .filter_map(|pair| Some((pair.name()?.to_owned(), Masked::of(pair.value().unwrap_or_default().as_bytes()))))
            .collect(),
        secrets: live
            .secrets()
            .iter()
            .map(|secret| (secret.name().to_owned(), secret.value_from().to_owned()))
            .collect(),
        logs: live.log_configuration().map(logs),
    }
}

pub(super) fn port(mapping: &PortMapping) -> Option<Port> {
    let protocol = mapping.protocol().map_or("tcp", TransportProtocol::as_str).to_owned();
    Some(Port { port: u16::try_from(mapping.container_port()?).ok()?, protocol })
}

fn logs(live: &LogConfiguration) -> Logs {
    let option = |name: &str| live.options().and_then(|options| options.get(name)).cloned();
    Logs {
        driver: live.log_driver().as_str().to_owned(),
        group: option(LOG_GROUP),
        region: option(LOG_REGION),
        stream_prefix: option(LOG_PREFIX),
        rest: rest_of_logs(live),
    }
}

/// What cannot be declared of a log configuration.
fn rest_of_logs(live: &LogConfiguration) -> Option<Masked> {
    let mut options = live.options.clone().unwrap_or_default();
    for declared in [LOG_GROUP, LOG_REGION, LOG_PREFIX] {
        options.remove(declared);
    }
    let mut secrets = live.secret_options.clone().unwrap_or_default();
    secrets.sort_by(|a, b| a.name.cmp(&b.name));
    let any = !options.is_empty() || !secrets.is_empty();
    any.then(|| Masked::of(format!("{}{secrets:?}", sorted(Some(options))).as_bytes()))
}

pub(super) const LOG_GROUP: &str = "awslogs-group";
pub(super) const LOG_REGION: &str = "awslogs-region";
pub(super) const LOG_PREFIX: &str = "awslogs-stream-prefix";

/// The digest of what cannot be declared. What `content` holds by itself, what AWS fills in and the order of lists
/// that have none are taken out first; maps are written in order.
fn rest(mut definition: TaskDefinition) -> Masked {
    let containers = definition.container_definitions.take().unwrap_or_default();
    let mut volumes = definition.volumes.take().unwrap_or_default();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut parts = Vec::new();
    for mut volume in volumes {
        if let Some(docker) = &mut volume.docker_volume_configuration {
            parts.push(sorted(docker.driver_opts.take()));
            parts.push(sorted(docker.labels.take()));
        }
        parts.push(format!("{volume:?}"));
    }
    // Only what RegisterTaskDefinition takes, and is not declared.
    let registered = (
        definition.network_mode,
        definition.placement_constraints.filter(|list| !list.is_empty()),
        definition.requires_compatibilities.filter(|list| !list.is_empty()),
        definition.pid_mode,
        definition.ipc_mode,
        definition.proxy_configuration,
        definition.ephemeral_storage,
        definition.runtime_platform,
        definition.enable_fault_injection.filter(|on| *on),
    );
    parts.push(format!("{registered:?}"));
    let mut containers: Vec<ContainerDefinition> = containers;
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    for container in containers {
        parts.push(rest_of(container));
    }
    Masked::of(parts.join(";").as_bytes())
}

fn rest_of(mut container: ContainerDefinition) -> String {
    let mut parts = Vec::new();
    container.image = None;
    container.environment = None;
    container.secrets = None;
    // It is compared with the container's own fields, the options that cannot be declared included.
    container.log_configuration = None;
    if let Some(firelens) = &mut container.firelens_configuration {
        parts.push(sorted(firelens.options.take()));
    }
    parts.push(sorted(container.docker_labels.take()));
    let mut mappings = container.port_mappings.take().unwrap_or_default();
    mappings.sort_by_key(|mapping| (mapping.container_port, mapping.container_port_range.clone()));
    for PortMapping { name, app_protocol, container_port_range: range, .. } in mappings {
        // A plain one leaves no trace here: the overlay adds such.
        if name.is_some() || app_protocol.is_some() || range.is_some() {
            parts.push(format!("{name:?}{app_protocol:?}{range:?}"));
        }
    }
    let mut mounts = container.mount_points.take().unwrap_or_default();
    mounts.sort_by(|a, b| a.container_path.cmp(&b.container_path));
    for mut mount in mounts {
        mount.read_only = mount.read_only.filter(|on| *on);
        parts.push(format!("{mount:?}"));
    }
    // Defaults of AWS equal nothing said. (Amazon ECS API Reference, ContainerDefinition, HealthCheck.)
    container.essential = container.essential.filter(|on| !*on);
    container.volumes_from = container.volumes_from.filter(|list| !list.is_empty());
    container.system_controls = container.system_controls.filter(|list| !list.is_empty());
    container.links = container.links.filter(|list| !list.is_empty());
    container.entry_point = container.entry_point.filter(|list| !list.is_empty());
    container.command = container.command.filter(|list| !list.is_empty());
    container.environment_files = container.environment_files.filter(|list| !list.is_empty());
    container.depends_on = container.depends_on.filter(|list| !list.is_empty());
    container.dns_servers = container.dns_servers.filter(|list| !list.is_empty());
    container.dns_search_domains = container.dns_search_domains.filter(|list| !list.is_empty());
    container.extra_hosts = container.extra_hosts.filter(|list| !list.is_empty());
    container.docker_security_options = container.docker_security_options.filter(|list| !list.is_empty());
    container.ulimits = container.ulimits.filter(|list| !list.is_empty());
    container.resource_requirements = container.resource_requirements.filter(|list| !list.is_empty());
    container.credential_specs = container.credential_specs.filter(|list| !list.is_empty());
    container.readonly_root_filesystem = container.readonly_root_filesystem.filter(|on| *on);
    container.privileged = container.privileged.filter(|on| *on);
    container.interactive = container.interactive.filter(|on| *on);
    container.pseudo_terminal = container.pseudo_terminal.filter(|on| *on);
    container.disable_networking = container.disable_networking.filter(|on| *on);
    if let Some(check) = &mut container.health_check {
        check.interval = check.interval.filter(|seconds| *seconds != 30);
        check.timeout = check.timeout.filter(|seconds| *seconds != 5);
        check.retries = check.retries.filter(|retries| *retries != 3);
        check.start_period = check.start_period.filter(|seconds| *seconds != 0);
    }
    parts.push(format!("{container:?}"));
    parts.join(";")
}

fn sorted(map: Option<HashMap<String, String>>) -> String {
    format!("{:?}", map.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>())
}
