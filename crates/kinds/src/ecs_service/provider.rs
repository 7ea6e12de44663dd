//! ECS calls for services. Decides nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, Deployment as LiveDeployment, DeploymentCircuitBreaker,
    DeploymentConfiguration, DeploymentControllerType, DeploymentRolloutState, DesiredStatus, LaunchType,
    LoadBalancer as LiveLoadBalancer, NetworkConfiguration, Service, ServiceField, Tag, Task,
};
use aws_smithy_types::DateTime;
use awskit::{Aws, RegionClients, not_tried};
use jiff::Timestamp;
use model::observation::Unknown;
use model::{ActError, Class, Effect, Observation, ObserveError, Step, Tags};

use super::errors::classify;
use super::{
    Action, Controller, Create, Deployment, DeploymentSettings, LoadBalancer, Network, Observed, Rollout, Update,
};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const DESCRIBE: &str = "ecs:DescribeServices";
const UPDATE: &str = "ecs:UpdateService";

/// Services that one call takes, all of one cluster. (Amazon ECS API Reference, DescribeServices.)
const PER_CALL: usize = 10;
/// Stopped tasks that are looked at for the reason of a failure.
const STOPPED_TASKS: usize = 10;
/// So many of a service's newest events are searched for trouble.
const EVENTS: usize = 5;

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
    /// Why tasks of a deployment stopped, as a direct read found it: by service ARN, with the deployment's id.
    stopped: Mutex<HashMap<String, (String, String)>>,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws, stopped: Mutex::default() }
    }

    fn with_stopped<T>(&self, f: impl FnOnce(&mut HashMap<String, (String, String)>) -> T) -> T {
        f(&mut self.stopped.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A service as observed, with what was found out about its failing tasks before.
    fn observed(&self, service: &Service) -> Option<Observed> {
        let mut observed = observed(service)?;
        if !has_trouble(&observed) {
            observed.trouble = None;
            self.with_stopped(|stopped| stopped.remove(&observed.arn));
        } else if let Some(id) = observed.primary().map(|primary| primary.id.clone()) {
            let found = self.with_stopped(|stopped| stopped.get(&observed.arn).cloned());
            if let Some((_, reason)) = found.filter(|(deployment, _)| *deployment == id) {
                observed.trouble = Some(reason);
            }
        }
        Some(observed)
    }

    /// Adds why the newest tasks stopped, when some fail. What cannot be found out is left out.
    async fn diagnose(&self, clients: &RegionClients, cluster: &str, name: &str, observed: &mut Observed) {
        if !has_trouble(observed) {
            return;
        }
        let Some(reason) = stopped_reason(clients, cluster, name).await.ok().flatten() else { return };
        if let Some(primary) = observed.primary() {
            let note = (primary.id.clone(), reason.clone());
            self.with_stopped(|stopped| stopped.insert(observed.arn.clone(), note));
        }
        observed.trouble = Some(reason);
    }

    async fn update(
        &self,
        clients: &RegionClients,
        cluster: &str,
        name: &str,
        update: Update,
    ) -> Result<Option<String>, ActError> {
        let mut call = clients
            .ecs
            .update_service()
            .cluster(cluster)
            .service(name)
            .set_desired_count(update.desired_count.map(u32::cast_signed))
            .set_task_definition(update.task_definition)
            .set_health_check_grace_period_seconds(update.grace_s.map(u32::cast_signed));
        if let Some(network) = update.network {
            call = call.network_configuration(network_configuration(network)?);
        }
        if update.deployment.is_some() || update.load_balancer.is_some() {
            // Both are replaced whole: what is there and not declared is sent back as it is.
            let live = describe(clients, cluster, &[name]).await.map_err(not_tried)?.into_iter().next();
            let Some(live) = live else { return Err(gone(cluster, name)) };
            if let Some(settings) = update.deployment {
                call = call.deployment_configuration(deployment_configuration(live.deployment_configuration, settings));
            }
            if let Some(wanted) = update.load_balancer {
                let mut all = live.load_balancers.unwrap_or_default();
                all.retain(|live| live.target_group_arn() != Some(&wanted.target_group_arn));
                all.push(load_balancer(wanted));
                call = call.set_load_balancers(Some(all));
            }
        }
        Ok(clients.act(UPDATE, classify, || call.send()).await?.1)
    }
}

/// `<cluster>/<service>`.
fn split(identity: &str) -> (&str, &str) {
    identity.split_once('/').unwrap_or(("default", identity))
}

fn gone(cluster: &str, name: &str) -> ActError {
    ActError {
        class: Class::NotFound,
        effect: Effect::NotApplied,
        operation: UPDATE.to_owned(),
        code: "ServiceGone".to_owned(),
        message: format!("service {name} is no longer in cluster {cluster}"),
        request_id: None,
    }
}

/// Services of one cluster by name, at most [`PER_CALL`]; those that are INACTIVE or missing are left out.
async fn describe(clients: &RegionClients, cluster: &str, names: &[&str]) -> Result<Vec<Service>, ObserveError> {
    let answer = clients
        .read(DESCRIBE, classify, || {
            clients
                .ecs
                .describe_services()
                .cluster(cluster)
                .set_services(Some(names.iter().map(|&name| name.to_owned()).collect()))
                .include(ServiceField::Tags)
                .send()
        })
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        // Without the cluster there is no service in it.
        Err(error) if error.code == "ClusterNotFoundException" => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let missing = |reason: Option<&str>| reason == Some("MISSING");
    if let Some(failure) = answer.failures().iter().find(|failure| !missing(failure.reason())) {
        return Err(ObserveError {
            class: Class::Transient,
            operation: DESCRIBE.to_owned(),
            code: failure.reason().unwrap_or("Failure").to_owned(),
            message: format!("{}: {}", failure.arn().unwrap_or("?"), failure.detail().unwrap_or("no detail")),
            request_id: None,
        });
    }
    Ok(answer.services.unwrap_or_default().into_iter().filter(|live| live.status() != Some("INACTIVE")).collect())
}

fn timestamp(time: Option<&DateTime>) -> Option<Timestamp> {
    time.and_then(|time| Timestamp::from_millisecond(time.to_millis().ok()?).ok())
}

fn observed(service: &Service) -> Option<Observed> {
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    let deployments: Vec<Deployment> = service.deployments().iter().filter_map(deployment).collect();
    Some(Observed {
        arn: service.service_arn()?.to_owned(),
        status: service.status().unwrap_or("ACTIVE").to_owned(),
        task_definition: service.task_definition().unwrap_or_default().to_owned(),
        desired_count: count(service.desired_count()),
        running_count: count(service.running_count()),
        pending_count: count(service.pending_count()),
        controller: match service.deployment_controller().map(|controller| &controller.r#type) {
            Some(DeploymentControllerType::CodeDeploy) => Controller::CodeDeploy,
            Some(DeploymentControllerType::External) => Controller::External,
            Some(_) | None => Controller::Ecs,
        },
        network: service.network_configuration().and_then(|n| n.awsvpc_configuration()).map(network),
        grace_s: count(service.health_check_grace_period_seconds().unwrap_or(0)),
        deployment: settings(service.deployment_configuration()),
        load_balancers: service.load_balancers().iter().filter_map(live_load_balancer).collect(),
        deployments,
        trouble: service
            .events()
            .iter()
            .take(EVENTS)
            .filter_map(|event| event.message())
            .find(|message| ["unable to", "failed", "unhealthy"].iter().any(|sign| message.contains(sign)))
            .map(str::to_owned),
        tags: service
            .tags()
            .iter()
            .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
            .collect(),
    })
}

/// Whether it is worth asking why tasks stopped.
fn has_trouble(observed: &Observed) -> bool {
    let primary = observed.primary();
    let lacking = observed.running_count < observed.desired_count;
    let failing = |primary: &Deployment| primary.failed_tasks > 0 && (lacking || primary.rollout != Rollout::Completed);
    observed.failed().next().is_some() || lacking && observed.trouble.is_some() || primary.is_some_and(failing)
}

fn deployment(live: &LiveDeployment) -> Option<Deployment> {
    Some(Deployment {
        id: live.id()?.to_owned(),
        primary: live.status() == Some("PRIMARY"),
        task_definition: live.task_definition().unwrap_or_default().to_owned(),
        rollout: match live.rollout_state() {
            Some(DeploymentRolloutState::InProgress) => Rollout::InProgress,
            Some(DeploymentRolloutState::Failed) => Rollout::Failed,
            // A deployment of another controller has no state.
            Some(_) | None => Rollout::Completed,
        },
        failed_tasks: u32::try_from(live.failed_tasks()).unwrap_or(0),
        reason: live.rollout_state_reason().map(str::to_owned),
        created_at: timestamp(live.created_at()),
        updated_at: timestamp(live.updated_at()),
    })
}

fn network(live: &AwsVpcConfiguration) -> Network {
    Network {
        subnets: live.subnets().iter().cloned().collect(),
        security_groups: live.security_groups().iter().cloned().collect(),
        assign_public_ip: live.assign_public_ip() == Some(&AssignPublicIp::Enabled),
    }
}

fn settings(live: Option<&DeploymentConfiguration>) -> DeploymentSettings {
    let percent = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    let breaker = live.and_then(DeploymentConfiguration::deployment_circuit_breaker);
    DeploymentSettings {
        minimum_healthy_percent: live.and_then(|live| percent(live.minimum_healthy_percent())),
        maximum_percent: live.and_then(|live| percent(live.maximum_percent())),
        circuit_breaker: Some(breaker.is_some_and(|breaker| breaker.enable() && breaker.rollback())),
    }
}

fn live_load_balancer(live: &LiveLoadBalancer) -> Option<LoadBalancer> {
    Some(LoadBalancer {
        target_group_arn: live.target_group_arn()?.to_owned(),
        container: live.container_name().unwrap_or_default().to_owned(),
        port: live.container_port().and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
    })
}

/// Why the newest of the stopped tasks stopped.
async fn stopped_reason(clients: &RegionClients, cluster: &str, name: &str) -> Result<Option<String>, ObserveError> {
    let listed = clients
        .read("ecs:ListTasks", classify, || {
            clients.ecs.list_tasks().cluster(cluster).service_name(name).desired_status(DesiredStatus::Stopped).send()
        })
        .await?;
    let tasks: Vec<String> = listed.task_arns().iter().take(STOPPED_TASKS).cloned().collect();
    if tasks.is_empty() {
        return Ok(None);
    }
    let described = clients
        .read("ecs:DescribeTasks", classify, || {
            clients.ecs.describe_tasks().cluster(cluster).set_tasks(Some(tasks.clone())).send()
        })
        .await?;
    let newest = described.tasks().iter().max_by_key(|task| task.stopped_at().map(DateTime::secs));
    Ok(newest.and_then(task_reason))
}

fn task_reason(task: &Task) -> Option<String> {
    let container = task.containers().iter().find_map(|container| {
        let name = container.name().unwrap_or("?");
        match (container.reason(), container.exit_code()) {
            (Some(reason), _) => Some(format!("container {name}: {reason}")),
            (None, Some(code)) if code != 0 => Some(format!("container {name} exited with code {code}")),
            (None, _) => None,
        }
    });
    match (task.stopped_reason(), container) {
        (Some(reason), Some(container)) => Some(format!("{reason} ({container})")),
        (Some(reason), None) => Some(reason.to_owned()),
        (None, container) => container,
    }
}

fn network_configuration(network: Network) -> Result<NetworkConfiguration, ActError> {
    let public = if network.assign_public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
    let awsvpc = AwsVpcConfiguration::builder()
        .set_subnets(Some(network.subnets.into_iter().collect()))
        .set_security_groups(Some(network.security_groups.into_iter().collect()))
        .assign_public_ip(public)
        .build()
        .map_err(|error| ActError {
            class: Class::Bug,
            effect: Effect::NotApplied,
            operation: UPDATE.to_owned(),
            code: "InvalidNetwork".to_owned(),
            message: error.to_string(),
            request_id: None,
        })?;
    Ok(NetworkConfiguration::builder().awsvpc_configuration(awsvpc).build())
}

/// The live configuration overlaid with the declared settings.
fn deployment_configuration(
    live: Option<DeploymentConfiguration>,
    settings: DeploymentSettings,
) -> DeploymentConfiguration {
    let mut configuration = live.unwrap_or_else(|| DeploymentConfiguration::builder().build());
    let percent = |value: Option<u32>| value.map(u32::cast_signed);
    configuration.minimum_healthy_percent =
        percent(settings.minimum_healthy_percent).or(configuration.minimum_healthy_percent);
    configuration.maximum_percent = percent(settings.maximum_percent).or(configuration.maximum_percent);
    if let Some(on) = settings.circuit_breaker {
        configuration.deployment_circuit_breaker =
            Some(DeploymentCircuitBreaker::builder().enable(on).rollback(on).build());
    }
    configuration
}

fn load_balancer(wanted: LoadBalancer) -> LiveLoadBalancer {
    LiveLoadBalancer::builder()
        .target_group_arn(wanted.target_group_arn)
        .container_name(wanted.container)
        .container_port(i32::from(wanted.port))
        .build()
}

fn tag_list(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

async fn create(
    clients: &RegionClients,
    cluster: &str,
    name: &str,
    create: Create,
    token: &str,
) -> Result<Option<String>, ActError> {
    let settings =
        (create.deployment != DeploymentSettings::default()).then(|| deployment_configuration(None, create.deployment));
    let call = clients
        .ecs
        .create_service()
        .cluster(cluster)
        .service_name(name)
        .client_token(token)
        .launch_type(LaunchType::Fargate)
        .task_definition(create.task_definition)
        .desired_count(create.desired_count.cast_signed())
        .network_configuration(network_configuration(create.network)?)
        .set_health_check_grace_period_seconds(create.grace_s.map(u32::cast_signed))
        .set_deployment_configuration(settings)
        .set_load_balancers(create.load_balancer.map(|wanted| vec![load_balancer(wanted)]))
        .set_tags(Some(tag_list(create.tags)));
    Ok(clients.act("ecs:CreateService", classify, || call.send()).await?.1)
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let mut clusters: BTreeMap<&str, Vec<&ObserveKey>> = BTreeMap::new();
        for key in keys {
            clusters.entry(split(&key.identity).0).or_default().push(key);
        }
        let mut batch = Batch::new();
        for (cluster, keys) in clusters {
            for keys in keys.chunks(PER_CALL) {
                let names: Vec<&str> = keys.iter().map(|key| split(&key.identity).1).collect();
                let answer = describe(&clients, cluster, &names).await;
                for (key, name) in keys.iter().zip(names) {
                    let why = match &answer {
                        Ok(services) => {
                            let live = services.iter().find(|live| live.service_name() == Some(name));
                            match live.and_then(|live| self.observed(live)) {
                                Some(observed) => {
                                    batch.insert(Arc::clone(&key.identity), Observation::Present(observed));
                                    continue;
                                }
                                None => Unknown::NotListed,
                            }
                        }
                        Err(error) => Unknown::Failed { class: error.class, message: error.to_string() },
                    };
                    batch.insert(Arc::clone(&key.identity), Observation::Unknown { since: scope.now, why });
                }
            }
        }
        Ok(batch)
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let (cluster, name) = split(&key.identity);
        let services = describe(&clients, cluster, &[name]).await?;
        let Some(live) = services.iter().find(|live| live.service_name() == Some(name)) else {
            return Ok(Observation::Absent);
        };
        let mut observed = self.observed(live).ok_or_else(|| no_object(DESCRIBE, "a service without ARN"))?;
        self.diagnose(&clients, cluster, name, &mut observed).await;
        Ok(Observation::Present(observed))
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let (cluster, name) = split(&key.identity);
        let request_id = match instruction(step)? {
            Action::CreateService(service) => create(&clients, cluster, name, service, token).await?,
            Action::UpdateService(update) => self.update(&clients, cluster, name, update).await?,
            Action::TagResource { arn, tags } => {
                let call = clients.ecs.tag_resource().resource_arn(arn).set_tags(Some(tag_list(tags)));
                clients.act("ecs:TagResource", classify, || call.send()).await?.1
            }
            Action::DeleteService => {
                let call = clients.ecs.delete_service().cluster(cluster).service(name).force(true);
                clients.act("ecs:DeleteService", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }
}
