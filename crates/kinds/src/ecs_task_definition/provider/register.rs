//! The base revision with the planned edits carried out, as a call that registers everything of it.

use aws_sdk_ecs::operation::register_task_definition::builders::RegisterTaskDefinitionFluentBuilder;
use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, KeyValuePair, LogConfiguration, LogDriver, NetworkMode, PortMapping, Secret,
    Tag, TaskDefinition, TransportProtocol,
};
use awskit::RegionClients;
use model::Tags;
use model::plan::Private;

use super::Described;
use super::convert::{LOG_GROUP, LOG_PREFIX, LOG_REGION, content, port, revision};
use crate::ecs_task_definition::overlay::{Edit, Fields, edits, merged};
use crate::ecs_task_definition::{Container, Registration, TAG_BASE};

/// The base with the edits carried out, or the first revision of a family; and the tags it shall carry.
pub(super) fn overlaid(wanted: &Registration, fields: &Fields, base: Option<&Described>) -> (TaskDefinition, Tags) {
    let mut definition = match base {
        Some(base) => base.definition.clone(),
        // Fargate is what the document speaks of.
        None => TaskDefinition::builder()
            .network_mode(NetworkMode::Awsvpc)
            .requires_compatibilities(Compatibility::Fargate)
            .container_definitions(ContainerDefinition::builder().name(&fields.container).essential(true).build())
            .build(),
    };
    let live = content(&definition);
    let edits = edits(fields, wanted.secrets.as_ref(), &wanted.dropped(), &live);
    if let Some(position) = live.managed(&fields.container) {
        for edit in &edits {
            carry_out(edit, &mut definition, position, &live.containers[position]);
        }
    }
    let mut tags: Tags = base.map(|base| base.tags.clone()).unwrap_or_default();
    tags.retain(|key, _| !key.starts_with("aws:") && key != TAG_BASE);
    tags.extend(wanted.tags.clone());
    if let Some(base) = base.and_then(revision) {
        tags.insert(TAG_BASE.to_owned(), base.name());
    }
    (definition, tags)
}

fn carry_out(edit: &Edit, definition: &mut TaskDefinition, position: usize, live: &Container) {
    match edit {
        Edit::Cpu(units) => definition.cpu = Some(units.clone()),
        Edit::Memory(mib) => definition.memory = Some(mib.clone()),
        Edit::ExecutionRole(arn) => definition.execution_role_arn = Some(arn.clone()),
        Edit::TaskRole(arn) => definition.task_role_arn = Some(arn.clone()),
        Edit::Image(_) | Edit::Port { .. } | Edit::Variable { .. } | Edit::Secret { .. } | Edit::Logs(_) => {
            if let Some(container) = definition.container_definitions.as_mut().and_then(|list| list.get_mut(position)) {
                carry_out_in(edit, container, live);
            }
        }
    }
}

fn carry_out_in(edit: &Edit, container: &mut ContainerDefinition, live: &Container) {
    match edit {
        Edit::Image(image) => container.image = Some(image.clone()),
        Edit::Port { port: number, replaces } => {
            let mappings = container.port_mappings.get_or_insert_default();
            let old = mappings.iter_mut().find(|mapping| replaces.is_some() && port(mapping) == *replaces);
            let number = Some(i32::from(*number));
            match old {
                // A name and an application protocol given by hand stay.
                Some(mapping) => {
                    mapping.host_port = mapping.host_port.filter(|host| Some(*host) != mapping.container_port);
                    mapping.container_port = number;
                    mapping.protocol = Some(TransportProtocol::Tcp);
                }
                None => mappings
                    .push(PortMapping::builder().set_container_port(number).protocol(TransportProtocol::Tcp).build()),
            }
        }
        Edit::Variable { name, value } => {
            let variables = container.environment.get_or_insert_default();
            variables.retain(|pair| pair.name() != Some(name));
            variables.extend(value.as_ref().map(|v| KeyValuePair::builder().name(name).value(v.reveal()).build()));
        }
        Edit::Secret { name, value } => {
            let secrets = container.secrets.get_or_insert_default();
            secrets.retain(|secret| secret.name() != name);
            secrets.extend(value.as_ref().and_then(|arn| Secret::builder().name(name).value_from(arn).build().ok()));
        }
        Edit::Logs(declared) => {
            let old = container.log_configuration.take().filter(|old| old.log_driver() == &LogDriver::Awslogs);
            let mut options = old.as_ref().and_then(|old| old.options.clone()).unwrap_or_default();
            let new = merged(declared, live.logs.as_ref());
            for (name, value) in [(LOG_GROUP, new.group), (LOG_REGION, new.region), (LOG_PREFIX, new.stream_prefix)] {
                options.extend(value.map(|value| (name.to_owned(), value)));
            }
            let built = LogConfiguration::builder().log_driver(LogDriver::Awslogs).set_options(Some(options));
            container.log_configuration = built.set_secret_options(old.and_then(|old| old.secret_options)).build().ok();
        }
        Edit::Cpu(_) | Edit::Memory(_) | Edit::ExecutionRole(_) | Edit::TaskRole(_) => {}
    }
}

/// The values of a definition's variables, declared or set by hand: AWS may repeat one that it refuses.
pub(super) fn values(definition: &TaskDefinition) -> Private {
    let variables = definition.container_definitions().iter().enumerate().flat_map(|(n, container)| {
        let named = move |pair: &KeyValuePair| Some((format!("{n}/{}", pair.name()?), pair.value()?.to_owned()));
        container.environment().iter().filter_map(named)
    });
    Private::new(variables.collect())
}

/// The call that registers a definition: everything of it that the operation takes.
pub(super) fn registration(
    clients: &RegionClients,
    family: &str,
    definition: TaskDefinition,
) -> RegisterTaskDefinitionFluentBuilder {
    clients
        .ecs
        .register_task_definition()
        .family(family)
        .set_task_role_arn(definition.task_role_arn)
        .set_execution_role_arn(definition.execution_role_arn)
        .set_network_mode(definition.network_mode)
        .set_container_definitions(definition.container_definitions)
        .set_volumes(definition.volumes)
        .set_placement_constraints(definition.placement_constraints)
        .set_requires_compatibilities(definition.requires_compatibilities)
        .set_cpu(definition.cpu)
        .set_memory(definition.memory)
        .set_pid_mode(definition.pid_mode)
        .set_ipc_mode(definition.ipc_mode)
        .set_proxy_configuration(definition.proxy_configuration)
        .set_ephemeral_storage(definition.ephemeral_storage)
        .set_runtime_platform(definition.runtime_platform)
        .set_enable_fault_injection(definition.enable_fault_injection)
}

pub(super) fn tag_list(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
