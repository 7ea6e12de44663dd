//! Application Auto Scaling calls for scaling policies. Decides nothing.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_applicationautoscaling::types::{
    MetricType, PolicyType, PredefinedMetricSpecification, ScalableDimension, ScalingPolicy as Live, ServiceNamespace,
    TargetTrackingScalingPolicyConfiguration as Configuration,
};
use awskit::{Aws, RegionClients, TokenGuard, not_tried};
use model::observation::Unknown;
use model::{ActError, Class, Effect, Observation, ObserveError, Step};

use super::errors::classify;
use super::{Action, Metric, Observed, POLICY_NAME};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction};

const DESCRIBE: &str = "application-autoscaling:DescribeScalingPolicies";
const PUT: &str = "application-autoscaling:PutScalingPolicy";

/// Pause that AWS uses for an ECS service when none is given. (Application Auto Scaling API Reference,
/// TargetTrackingScalingPolicyConfiguration.)
const DEFAULT_COOLDOWN_S: u32 = 300;
/// Policies a page. (Application Auto Scaling API Reference, DescribeScalingPolicies.)
const PER_PAGE: i32 = 10;
/// Above so many keys, reading all policies of the namespace costs no more calls than asking for each resource.
const BY_RESOURCE: usize = 2;

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws }
    }
}

/// The resource id of an identity, and the name we give.
fn split(identity: &str) -> (&str, &str) {
    identity.rsplit_once('/').unwrap_or((identity, POLICY_NAME))
}

/// The policies of one resource, or all of the namespace.
async fn describe(clients: &RegionClients, resource: Option<&str>) -> Result<Vec<Live>, ObserveError> {
    let mut policies = Vec::new();
    let mut guard = TokenGuard::new(DESCRIBE);
    let mut token = None;
    loop {
        let page = clients
            .read(DESCRIBE, classify, || {
                let dimension = resource.map(|_| ScalableDimension::EcsServiceDesiredCount);
                clients
                    .autoscaling
                    .describe_scaling_policies()
                    .service_namespace(ServiceNamespace::Ecs)
                    .set_resource_id(resource.map(str::to_owned))
                    .set_scalable_dimension(dimension)
                    .max_results(PER_PAGE)
                    .set_next_token(token.clone())
                    .send()
            })
            .await?;
        policies.extend(page.scaling_policies().iter().cloned());
        token = guard.next(page.next_token())?;
        if token.is_none() {
            return Ok(policies);
        }
    }
}

/// The policy of an identity: by name, else the only one on the average CPU.
fn pick<'a>(policies: &'a [Live], identity: &str) -> Option<&'a Live> {
    let (resource, name) = split(identity);
    let of_resource = || {
        let on_count = |live: &&Live| live.scalable_dimension() == &ScalableDimension::EcsServiceDesiredCount;
        policies.iter().filter(|live| live.resource_id() == resource).filter(on_count)
    };
    if let Some(named) = of_resource().find(|live| live.policy_name() == name) {
        return Some(named);
    }
    let mut on_cpu = of_resource().filter(|live| metric(live) == Metric::AverageCpu);
    let only = on_cpu.next()?;
    on_cpu.next().is_none().then_some(only)
}

fn metric(live: &Live) -> Metric {
    let Some(tracking) = live.target_tracking_scaling_policy_configuration() else {
        return Metric::NotTracking(live.policy_type().as_str().to_owned());
    };
    match (tracking.predefined_metric_specification(), tracking.customized_metric_specification()) {
        (Some(predefined), _) => match predefined.predefined_metric_type() {
            MetricType::EcsServiceAverageCpuUtilization => Metric::AverageCpu,
            other => Metric::Other(other.as_str().to_owned()),
        },
        (None, Some(custom)) => Metric::Other(custom.metric_name().unwrap_or("a custom metric").to_owned()),
        (None, None) => Metric::Other("none".to_owned()),
    }
}

fn observed(live: &Live) -> Observed {
    let tracking = live.target_tracking_scaling_policy_configuration();
    let cooldown = |seconds: Option<i32>| seconds.and_then(|s| u32::try_from(s).ok()).unwrap_or(DEFAULT_COOLDOWN_S);
    Observed {
        arn: live.policy_arn().to_owned(),
        name: live.policy_name().to_owned(),
        metric: metric(live),
        target_value: tracking.map_or(0.0, Configuration::target_value),
        scale_out_cooldown_s: cooldown(tracking.and_then(Configuration::scale_out_cooldown)),
        scale_in_cooldown_s: cooldown(tracking.and_then(Configuration::scale_in_cooldown)),
        scale_in_disabled: tracking.and_then(Configuration::disable_scale_in).unwrap_or(false),
    }
}

fn bug(message: String) -> ActError {
    ActError {
        class: Class::Bug,
        effect: Effect::NotApplied,
        operation: PUT.to_owned(),
        code: "InvalidPolicy".to_owned(),
        message,
        request_id: None,
    }
}

/// The live configuration overlaid with the declared fields.
fn overlaid(
    live: Option<&Live>,
    target_value: f64,
    scale_out: Option<u32>,
    scale_in: Option<u32>,
) -> Result<Configuration, ActError> {
    let on_cpu = live.is_some_and(|live| metric(live) == Metric::AverageCpu);
    let old = live.and_then(Live::target_tracking_scaling_policy_configuration);
    let metric = match old.filter(|_| on_cpu).and_then(Configuration::predefined_metric_specification) {
        Some(metric) => metric.clone(),
        None => PredefinedMetricSpecification::builder()
            .predefined_metric_type(MetricType::EcsServiceAverageCpuUtilization)
            .build()
            .map_err(|error| bug(error.to_string()))?,
    };
    let seconds = |declared: Option<u32>, live: Option<i32>| declared.map(u32::cast_signed).or(live);
    Configuration::builder()
        .target_value(target_value)
        .predefined_metric_specification(metric)
        .set_scale_out_cooldown(seconds(scale_out, old.and_then(Configuration::scale_out_cooldown)))
        .set_scale_in_cooldown(seconds(scale_in, old.and_then(Configuration::scale_in_cooldown)))
        .set_disable_scale_in(old.and_then(Configuration::disable_scale_in))
        .build()
        .map_err(|error| bug(error.to_string()))
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let mut policies = Vec::new();
        if keys.len() <= BY_RESOURCE {
            for key in keys {
                policies.extend(describe(&clients, Some(split(&key.identity).0)).await?);
            }
        } else {
            policies = describe(&clients, None).await?;
        }
        let since = scope.now;
        Ok(keys
            .iter()
            .map(|key| {
                let observation = pick(&policies, &key.identity)
                    .map(observed)
                    .map_or(Observation::Unknown { since, why: Unknown::NotListed }, Observation::Present);
                (Arc::clone(&key.identity), observation)
            })
            .collect())
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let policies = describe(&clients, Some(split(&key.identity).0)).await?;
        Ok(pick(&policies, &key.identity).map(observed).map_or(Observation::Absent, Observation::Present))
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let (resource, _) = split(&key.identity);
        let request_id = match instruction(step)? {
            Action::PutScalingPolicy { name, target_value, scale_out_cooldown_s, scale_in_cooldown_s } => {
                let live = describe(&clients, Some(resource)).await.map_err(not_tried)?;
                let live = live.iter().find(|live| live.policy_name() == name);
                let configuration = overlaid(live, target_value, scale_out_cooldown_s, scale_in_cooldown_s)?;
                let call = clients
                    .autoscaling
                    .put_scaling_policy()
                    .service_namespace(ServiceNamespace::Ecs)
                    .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
                    .resource_id(resource)
                    .policy_name(name)
                    .policy_type(PolicyType::TargetTrackingScaling)
                    .target_tracking_scaling_policy_configuration(configuration);
                clients.act(PUT, classify, || call.send()).await?.1
            }
            Action::DeleteScalingPolicy { name } => {
                let call = clients
                    .autoscaling
                    .delete_scaling_policy()
                    .service_namespace(ServiceNamespace::Ecs)
                    .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
                    .resource_id(resource)
                    .policy_name(name);
                clients.act("application-autoscaling:DeleteScalingPolicy", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }
}
