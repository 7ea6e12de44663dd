//! Between the SDK's types and ours.

use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, Deployment as LiveDeployment, DeploymentCircuitBreaker,
    DeploymentConfiguration, DeploymentControllerType, DeploymentRolloutState, LoadBalancer as LiveLoadBalancer,
    NetworkConfiguration, Service, Tag,
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use model::{ActError, Class, Effect, Tags};

use super::UPDATE;
use crate::ecs_service::{Controller, Deployment, DeploymentSettings, LoadBalancer, Network, Observed, Rollout};

/// So many of a service's newest events are searched for trouble.
const EVENTS: usize = 5;

fn timestamp(time: Option<&DateTime>) -> Option<Timestamp> {
    time.and_then(|time| Timestamp::from_millisecond(time.to_millis().ok()?).ok())
}

pub(super) fn observed(service: &Service) -> Option<Observed> {
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
pub(super) fn has_trouble(observed: &Observed) -> bool {
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
        network: live.network_configuration().and_then(|n| n.awsvpc_configuration()).map(network),
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
        circuit_breaker: match breaker {
            None => Some(false),
            Some(breaker) if breaker.enable() == breaker.rollback() => Some(breaker.enable()),
            // It stops a failing deployment, and does not roll it back: neither what `true` nor what `false` declares.
            Some(breaker) => Some(false).filter(|_| !breaker.enable()),
        },
    }
}

fn live_load_balancer(live: &LiveLoadBalancer) -> Option<LoadBalancer> {
    Some(LoadBalancer {
        target_group_arn: live.target_group_arn()?.to_owned(),
        container: live.container_name().unwrap_or_default().to_owned(),
        port: live.container_port().and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
    })
}

pub(super) fn network_configuration(network: Network) -> Result<NetworkConfiguration, ActError> {
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
pub(super) fn deployment_configuration(
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

pub(super) fn load_balancer(wanted: LoadBalancer) -> LiveLoadBalancer {
    LiveLoadBalancer::builder()
        .target_group_arn(wanted.target_group_arn)
        .container_name(wanted.container)
        .container_port(i32::from(wanted.port))
        .build()
}

pub(super) fn tag_list(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
