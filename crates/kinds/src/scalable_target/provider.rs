//! Application Auto Scaling calls for scalable targets. Decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_applicationautoscaling::types::{
    ScalableDimension, ScalableTarget as Live, ServiceNamespace, SuspendedState,
};
use awskit::{Aws, RegionClients, TokenGuard, not_tried};
use model::observation::Unknown;
use model::{ActError, Observation, ObserveError, Step, Tags};

use super::errors::classify;
use super::{Action, Observed, Suspended};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction};

const DESCRIBE: &str = "application-autoscaling:DescribeScalableTargets";
const LIST_TAGS: &str = "application-autoscaling:ListTagsForResource";

/// Resource ids that one call takes. (Application Auto Scaling API Reference, DescribeScalableTargets.)
const PER_CALL: usize = 50;

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

/// Targets by resource id, at most [`PER_CALL`].
async fn describe(clients: &RegionClients, ids: &[&str]) -> Result<BTreeMap<String, Live>, ObserveError> {
    let mut targets = BTreeMap::new();
    let mut guard = TokenGuard::new(DESCRIBE);
    let mut token = None;
    loop {
        let page = clients
            .read(DESCRIBE, classify, || {
                clients
                    .autoscaling
                    .describe_scalable_targets()
                    .service_namespace(ServiceNamespace::Ecs)
                    .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
                    .set_resource_ids(Some(ids.iter().map(|&id| id.to_owned()).collect()))
                    .set_next_token(token.clone())
                    .send()
            })
            .await?;
        targets.extend(page.scalable_targets().iter().map(|live| (live.resource_id().to_owned(), live.clone())));
        token = guard.next(page.next_token())?;
        if token.is_none() {
            return Ok(targets);
        }
    }
}

async fn tags(clients: &RegionClients, arn: &str) -> Result<Tags, ObserveError> {
    let answer = clients
        .read(LIST_TAGS, classify, || clients.autoscaling.list_tags_for_resource().resource_arn(arn).send())
        .await?;
    let tags: Tags = answer.tags().cloned().unwrap_or_default().into_iter().collect();
    clients.note_tags(arn, &tags);
    Ok(tags)
}

fn observed(live: &Live, tags: Option<Tags>) -> Observed {
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    let suspended = live.suspended_state();
    Observed {
        arn: live.scalable_target_arn().map(str::to_owned),
        min: count(live.min_capacity()),
        max: count(live.max_capacity()),
        suspended: Suspended {
            scale_in: suspended.and_then(SuspendedState::dynamic_scaling_in_suspended).unwrap_or(false),
            scale_out: suspended.and_then(SuspendedState::dynamic_scaling_out_suspended).unwrap_or(false),
            scheduled: suspended.and_then(SuspendedState::scheduled_scaling_suspended).unwrap_or(false),
        },
        // A target without ARN is older than tags are, so it has none.
        tags: if live.scalable_target_arn().is_none() { Some(Tags::new()) } else { tags },
    }
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let mut live = BTreeMap::new();
        let mut batch = Batch::new();
        for keys in keys.chunks(PER_CALL) {
            let ids: Vec<&str> = keys.iter().map(|key| &*key.identity).collect();
            let why = match describe(&clients, &ids).await {
                Ok(targets) => {
                    live.extend(targets);
                    Unknown::NotListed
                }
                Err(error) => Unknown::Failed { class: error.class, message: error.to_string() },
            };
            for key in keys {
                let unknown = Observation::Unknown { since: scope.now, why: why.clone() };
                batch.insert(Arc::clone(&key.identity), unknown);
            }
        }
        let arns: Vec<String> =
            live.values().filter_map(|live| live.scalable_target_arn().map(str::to_owned)).collect();
        let mut swept = if arns.is_empty() { BTreeMap::new() } else { clients.swept_tags(&arns).await? };
        for arn in &arns {
            if !swept.contains_key(arn) {
                // Not knowing whose one target is must not hide the others.
                if let Ok(tags) = tags(&clients, arn).await {
                    swept.insert(arn.clone(), tags);
                }
            }
        }
        for key in keys {
            if let Some(live) = live.get(&*key.identity) {
                let tags = live.scalable_target_arn().and_then(|arn| swept.get(arn)).cloned();
                batch.insert(Arc::clone(&key.identity), Observation::Present(observed(live, tags)));
            }
        }
        Ok(batch)
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let targets = describe(&clients, &[&*key.identity]).await?;
        let Some(live) = targets.get(&*key.identity) else { return Ok(Observation::Absent) };
        let tags = match live.scalable_target_arn() {
            Some(arn) => Some(tags(&clients, arn).await?),
            None => None,
        };
        Ok(Observation::Present(observed(live, tags)))
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let id = &*key.identity;
        let autoscaling = &clients.autoscaling;
        let request_id = match instruction(step)? {
            Action::RegisterScalableTarget { min, max, tags } => {
                let call = autoscaling
                    .register_scalable_target()
                    .service_namespace(ServiceNamespace::Ecs)
                    .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
                    .resource_id(id)
                    .min_capacity(min.cast_signed())
                    .max_capacity(max.cast_signed())
                    .set_tags(tags.map(|tags| tags.into_iter().collect()));
                clients.act("application-autoscaling:RegisterScalableTarget", classify, || call.send()).await?.1
            }
            Action::TagResource { arn, tags } => {
                let call = autoscaling.tag_resource().resource_arn(arn).set_tags(Some(tags.into_iter().collect()));
                clients.act("application-autoscaling:TagResource", classify, || call.send()).await?.1
            }
            Action::DeregisterScalableTarget => {
                let call = autoscaling
                    .deregister_scalable_target()
                    .service_namespace(ServiceNamespace::Ecs)
                    .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
                    .resource_id(id);
                clients.act("application-autoscaling:DeregisterScalableTarget", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }
}
