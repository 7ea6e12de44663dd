//! ECS calls for task definitions. Decides nothing: what a new revision says is worked out by `overlay`.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_ecs::operation::register_task_definition::builders::RegisterTaskDefinitionFluentBuilder;
use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, KeyValuePair, LogConfiguration, LogDriver, NetworkMode, PortMapping, Secret,
    Tag, TaskDefinition, TaskDefinitionField, TaskDefinitionStatus, TransportProtocol,
};
use awskit::{Aws, RegionClients, not_tried};
use futures::StreamExt;
use jiff::Timestamp;
use model::observation::Unknown;
use model::{ActError, AwsAccountId, Class, Observation, ObserveError, Region, Step, Tags};

use super::content::{Container, Content, Logs, Masked, Port};
use super::errors::{NO_SUCH_REVISION, classify};
use super::overlay::{Edit, edits, merged};
use super::{Action, Observed, Registration, Revision, TAG_BASE};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const DESCRIBE: &str = "ecs:DescribeTaskDefinition";

/// Calls under way at once in a batch; the rate budget is a matter of the clients.
const AT_ONCE: usize = 8;
/// How old the knowledge that a revision is ACTIVE may get before it is looked at again.
const STATUS_AGE_S: i64 = 600;
/// How many revisions one batch looks at again for that.
const STATUS_CHECKS: usize = 2;
/// Revisions that are kept; above it those not asked for within an hour are dropped.
const KEPT: usize = 10_000;

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    /// Revisions by ARN: their content never changes.
    revisions: HashMap<String, Entry>,
    /// The newest revision of a family, as it was last seen by a direct read.
    newest: HashMap<(AwsAccountId, Region, Arc<str>), Arc<Revision>>,
    /// What a revision was made from, by ARN: what we know better than its tag tells. The tag is for after a restart,
    /// and an older revision may be found to be just what is wanted now.
    bases: HashMap<String, String>,
}

struct Entry {
    revision: Arc<Revision>,
    active: bool,
    checked: Timestamp,
    used: Timestamp,
}

/// A revision as AWS describes it.
struct Described {
    definition: TaskDefinition,
    tags: Tags,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws, cache: Mutex::default() }
    }

    fn with_cache<T>(&self, f: impl FnOnce(&mut Cache) -> T) -> T {
        f(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A revision by ARN, or the newest ACTIVE one by family; `None` when there is none.
    async fn look(
        &self,
        clients: &RegionClients,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<(Arc<Revision>, bool)>, ObserveError> {
        let Some(described) = describe(clients, name).await? else { return Ok(None) };
        let mut revision = revision(&described).ok_or_else(|| no_object(DESCRIBE, "a task definition without ARN"))?;
        if let Some(base) = self.with_cache(|cache| cache.bases.get(&revision.arn).cloned()) {
            revision.base = Some(base);
        }
        let revision = Arc::new(revision);
        let active = described.definition.status() != Some(&TaskDefinitionStatus::Inactive);
        self.with_cache(|cache| {
            if cache.revisions.len() >= KEPT {
                cache.revisions.retain(|_, entry| now.duration_since(entry.used).as_hours() < 1);
            }
            let entry = Entry { revision: Arc::clone(&revision), active, checked: now, used: now };
            cache.revisions.insert(revision.arn.clone(), entry);
        });
        Ok(Some((revision, active)))
    }

    /// The revision that counts for a key, from memory where it is there.
    async fn current(
        &self,
        clients: &RegionClients,
        scope: &Scope,
        key: &ObserveKey,
        again: bool,
    ) -> Result<Option<(Arc<Revision>, bool)>, ObserveError> {
        let Some(arn) = &key.at else { return self.look(clients, &key.identity, scope.now).await };
        let kept = self.with_cache(|cache| {
            let entry = cache.revisions.get_mut(arn)?;
            entry.used = scope.now;
            Some((Arc::clone(&entry.revision), entry.active))
        });
        match kept {
            Some(kept) if !again => Ok(Some(kept)),
            Some(_) | None => self.look(clients, arn, scope.now).await,
        }
    }

    /// The newest revision of a family, noted for later batches.
    async fn newest(
        &self,
        clients: &RegionClients,
        scope: &Scope,
        family: &Arc<str>,
    ) -> Result<Option<Arc<Revision>>, ObserveError> {
        let newest = self.look(clients, family, scope.now).await?.map(|(revision, _)| revision);
        let slot = (scope.account.clone(), scope.region.clone(), Arc::clone(family));
        self.with_cache(|cache| match &newest {
            Some(revision) => drop(cache.newest.insert(slot, Arc::clone(revision))),
            None => drop(cache.newest.remove(&slot)),
        });
        Ok(newest)
    }

    async fn observe_one(
        &self,
        clients: &RegionClients,
        scope: &Scope,
        key: &ObserveKey,
        again: bool,
    ) -> (Arc<str>, Observation<Observed>) {
        let since = scope.now;
        let observation = match self.current(clients, scope, key, again).await {
            Ok(Some((current, active))) => {
                let slot = (scope.account.clone(), scope.region.clone(), Arc::clone(&key.identity));
                let newest = self.with_cache(|cache| cache.newest.get(&slot).cloned());
                let successor = newest.filter(|newest| key.at.is_some() && newest.succeeds(&current));
                Observation::Present(Observed { current, active, successor })
            }
            Ok(None) => Observation::Unknown { since, why: Unknown::NotListed },
            Err(error) => {
                Observation::Unknown { since, why: Unknown::Failed { class: error.class, message: error.to_string() } }
            }
        };
        (Arc::clone(&key.identity), observation)
    }

    /// The keys whose status was not looked at for longest, if that is too long ago.
    fn stale(&self, keys: &[ObserveKey], now: Timestamp) -> Vec<Arc<str>> {
        let mut stale: Vec<(Timestamp, Arc<str>)> = self.with_cache(|cache| {
            keys.iter()
                .filter_map(|key| {
                    let checked = cache.revisions.get(key.at.as_ref()?)?.checked;
                    (now.duration_since(checked).as_secs() > STATUS_AGE_S).then(|| (checked, Arc::clone(&key.identity)))
                })
                .collect()
        });
        stale.sort();
        stale.truncate(STATUS_CHECKS);
        stale.into_iter().map(|(_, identity)| identity).collect()
    }

    fn note_base(&self, arn: &str, base: Option<String>) {
        let Some(base) = base else { return };
        self.with_cache(|cache| {
            cache.revisions.remove(arn);
            if cache.bases.len() >= KEPT {
                cache.bases.clear();
            }
            cache.bases.insert(arn.to_owned(), base);
        });
    }

    /// Registers a revision, unless the family's newest is the very same: the API takes no idempotency token.
    async fn register(
        &self,
        clients: &RegionClients,
        scope: &Scope,
        family: &Arc<str>,
        wanted: Registration,
    ) -> Result<Acted, ActError> {
        let base = match &wanted.base {
            Some(arn) => match describe(clients, arn).await.map_err(not_tried)? {
                Some(described) => Some(described),
                None => return Err(not_tried(gone(arn))),
            },
            None => None,
        };
        let (definition, tags) = overlaid(&wanted, base.as_ref());
        let content = content(&definition);
        let newest = self.newest(clients, scope, family).await.map_err(not_tried)?;
        let base = base.as_ref().and_then(revision).map(|base| base.name());
        if let Some(newest) = newest.filter(|n| Some(&n.arn) != wanted.base.as_ref() && n.content.means(&content)) {
            self.note_base(&newest.arn, base);
            return Ok(Acted { request_id: None, at: Some(newest.arn.clone()) });
        }
        let call = registration(clients, family, definition).set_tags(Some(tag_list(tags)));
        let (answer, request_id) = clients.act("ecs:RegisterTaskDefinition", classify, || call.send()).await?;
        let at = answer.task_definition().and_then(TaskDefinition::task_definition_arn).map(str::to_owned);
        if let Some(arn) = &at {
            self.note_base(arn, base);
        }
        Ok(Acted { request_id, at })
    }
}

fn gone(arn: &str) -> ObserveError {
    ObserveError {
        class: Class::NotFound,
        operation: DESCRIBE.to_owned(),
        code: "RevisionGone".to_owned(),
        message: format!("{arn} is no longer there"),
        request_id: None,
    }
}

async fn describe(clients: &RegionClients, name: &str) -> Result<Option<Described>, ObserveError> {
    let answer = clients
        .read(DESCRIBE, classify, || {
            clients.ecs.describe_task_definition().task_definition(name).include(TaskDefinitionField::Tags).send()
        })
        .await;
    match answer {
        Ok(answer) => {
            let tags = answer.tags().iter();
            let tags = tags
                .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
                .collect();
            Ok(answer.task_definition.map(|definition| Described { definition, tags }))
        }
        Err(error) if error.code == NO_SUCH_REVISION => Ok(None),
        Err(error) => Err(error),
    }
}

fn revision(described: &Described) -> Option<Revision> {
    let definition = &described.definition;
    Some(Revision {
        arn: definition.task_definition_arn()?.to_owned(),
        family: definition.family()?.to_owned(),
        revision: u32::try_from(definition.revision()).ok()?,
        base: described.tags.get(TAG_BASE).cloned(),
        content: content(definition),
    })
}

/// What a revision says, with AWS's defaults dropped.
fn content(definition: &TaskDefinition) -> Content {
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

fn port(mapping: &PortMapping) -> Option<Port> {
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
    }
}

const LOG_GROUP: &str = "awslogs-group";
const LOG_REGION: &str = "awslogs-region";
const LOG_PREFIX: &str = "awslogs-stream-prefix";

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
    if let Some(log) = container.log_configuration.take() {
        let mut options = log.options.unwrap_or_default();
        for declared in [LOG_GROUP, LOG_REGION, LOG_PREFIX] {
            options.remove(declared);
        }
        let secret_options = log.secret_options.filter(|list| !list.is_empty());
        parts.push(format!("{}{secret_options:?}", sorted(Some(options))));
    }
    if let Some(firelens) = &mut container.firelens_configuration {
        parts.push(sorted(firelens.options.take()));
    }
    parts.push(sorted(container.docker_labels.take()));
    let mut mappings = container.port_mappings.take().unwrap_or_default();
    mappings.sort_by_key(|mapping| (mapping.container_port, mapping.container_port_range.clone()));
    for mapping in mappings {
        parts.push(format!("{:?}{:?}{:?}", mapping.name, mapping.app_protocol, mapping.container_port_range));
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

/// The base with the edits carried out, or the first revision of a family; and the tags it shall carry.
fn overlaid(wanted: &Registration, base: Option<&Described>) -> (TaskDefinition, Tags) {
    let fields = wanted.fields();
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
    let edits = edits(&fields, wanted.secrets.as_ref(), &wanted.dropped(), &live);
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

/// The call that registers a definition: everything of it that the operation takes.
fn registration(
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

fn tag_list(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let stale = self.stale(keys, scope.now);
        let mut looks = Vec::with_capacity(keys.len());
        for key in keys {
            looks.push(self.observe_one(&clients, scope, key, stale.contains(&key.identity)));
        }
        Ok(futures::stream::iter(looks).buffered(AT_ONCE).collect().await)
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let newest = self.newest(&clients, scope, &key.identity).await?;
        let Some(arn) = &key.at else {
            return Ok(newest.map_or(Observation::Absent, |current| {
                Observation::Present(Observed { current, active: true, successor: None })
            }));
        };
        let Some((current, active)) = self.look(&clients, arn, scope.now).await? else {
            return Err(gone(arn));
        };
        let successor = newest.filter(|newest| newest.succeeds(&current));
        Ok(Observation::Present(Observed { current, active, successor }))
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        match instruction(step)? {
            Action::RegisterTaskDefinition(wanted) => self.register(&clients, scope, &key.identity, *wanted).await,
            Action::DeregisterTaskDefinition { arn } => {
                let call = clients.ecs.deregister_task_definition().task_definition(arn);
                let (_, request_id) = clients.act("ecs:DeregisterTaskDefinition", classify, || call.send()).await?;
                Ok(Acted { request_id, at: None })
            }
        }
    }
}
