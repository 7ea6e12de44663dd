//! ECS calls for services. Decides nothing.

mod convert;
mod diagnose;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_ecs::types::{DesiredStatus, LaunchType, Service, ServiceField};
use awskit::{Aws, RegionClients, not_tried};
use model::observation::Unknown;
use model::{ActError, Class, Effect, Finding, Observation, ObserveError, Step};

use self::convert::{deployment_configuration, has_trouble, load_balancer, network_configuration, observed, tag_list};
use self::diagnose::stopped_reason;
use super::diagnosis;
use super::errors::classify;
use super::{Action, Create, DeploymentSettings, Observed, Update};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const DESCRIBE: &str = "ecs:DescribeServices";
const UPDATE: &str = "ecs:UpdateService";

/// Services that one call takes, all of one cluster. (Amazon ECS API Reference, DescribeServices.)
const PER_CALL: usize = 10;
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
    async fn explain(&self, clients: &RegionClients, cluster: &str, name: &str, observed: &mut Observed) {
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
            .set_health_check_grace_period_seconds(update.grace_s.map(u32::cast_signed))
            .set_force_new_deployment(update.restart.then_some(true));
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
    // One service that is asked for is there or among the failures; a success with neither proves no absence.
    if names.len() == 1 && answer.services().is_empty() && answer.failures().is_empty() {
        return Err(ObserveError {
            class: Class::Transient,
            operation: DESCRIBE.to_owned(),
            code: "PartialAnswer".to_owned(),
            message: format!("{}: neither among the services nor among the failures", names[0]),
            request_id: None,
        });
    }
    Ok(answer.services.unwrap_or_default().into_iter().filter(|live| live.status() != Some("INACTIVE")).collect())
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
        self.explain(&clients, cluster, name, &mut observed).await;
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

    async fn diagnose(
        &self,
        scope: &Scope,
        key: &ObserveKey,
        observed: &Observed,
    ) -> Result<Vec<Finding>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let (cluster, name) = split(&key.identity);
        let stopped = diagnose::tasks(&clients, cluster, name, DesiredStatus::Stopped).await?;
        let running = diagnose::tasks(&clients, cluster, name, DesiredStatus::Running).await?;
        let services = describe(&clients, cluster, &[name]).await?;
        let events = services.first().map(diagnose::events).unwrap_or_default();
        Ok(diagnosis::findings(observed, &stopped, &running, &events, scope.now))
    }
}
