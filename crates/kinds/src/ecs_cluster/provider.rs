//! ECS calls for clusters. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_ecs::types::{Cluster, ClusterField, ClusterSetting, ClusterSettingName, Tag};
use awskit::{Aws, RegionClients, not_tried};
use model::observation::Unknown;
use model::{ActError, Observation, ObserveError, Step, Tags};

use super::errors::classify;
use super::{Action, Insights, Observed};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const DESCRIBE: &str = "ecs:DescribeClusters";

/// Names that one call takes. (Amazon ECS API Reference, DescribeClusters.)
const PER_CALL: usize = 100;

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

/// What AWS says of clusters: those that are there, and the names of those that it says are not (INACTIVE, or among the
/// `failures`). A name in neither is not known.
#[derive(Default)]
struct Answered {
    clusters: BTreeMap<String, Observed>,
    missing: BTreeSet<String>,
}

/// Clusters by name, at most [`PER_CALL`].
async fn describe(clients: &RegionClients, names: &[&str]) -> Result<Answered, ObserveError> {
    let answer = clients
        .read(DESCRIBE, classify, || {
            clients
                .ecs
                .describe_clusters()
                .set_clusters(Some(names.iter().map(|&name| name.to_owned()).collect()))
                .include(ClusterField::Tags)
                .include(ClusterField::Settings)
                .send()
        })
        .await?;
    let mut answered = Answered::default();
    let missing = answer.failures().iter().filter(|failure| failure.reason() == Some("MISSING"));
    answered.missing.extend(missing.filter_map(|failure| Some(failure.arn()?.rsplit('/').next()?.to_owned())));
    for cluster in answer.clusters() {
        if cluster.status() == Some("INACTIVE") {
            answered.missing.extend(cluster.cluster_name().map(str::to_owned));
            continue;
        }
        let (Some(name), Some(observed)) = (cluster.cluster_name(), observed(cluster)) else {
            return Err(no_object(DESCRIBE, "a cluster without name or ARN"));
        };
        answered.clusters.insert(name.to_owned(), observed);
    }
    Ok(answered)
}

fn observed(cluster: &Cluster) -> Option<Observed> {
    let setting = cluster
        .settings()
        .iter()
        .find(|setting| setting.name() == Some(&ClusterSettingName::ContainerInsights))
        .and_then(ClusterSetting::value);
    Some(Observed {
        arn: cluster.cluster_arn()?.to_owned(),
        status: cluster.status().unwrap_or("ACTIVE").to_owned(),
        container_insights: match setting {
            Some("enabled") => Insights::Enabled,
            Some("enhanced") => Insights::Enhanced,
            Some(_) | None => Insights::Disabled,
        },
        tags: cluster
            .tags()
            .iter()
            .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
            .collect(),
    })
}

fn insights(on: bool) -> ClusterSetting {
    ClusterSetting::builder()
        .name(ClusterSettingName::ContainerInsights)
        .value(if on { "enabled" } else { "disabled" })
        .build()
}

fn tag_list(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let mut batch = Batch::new();
        for keys in keys.chunks(PER_CALL) {
            let names: Vec<&str> = keys.iter().map(|key| &*key.identity).collect();
            let mut answer = describe(&clients, &names).await;
            for key in keys {
                let why = match &mut answer {
                    Ok(answered) => match answered.clusters.remove(&*key.identity) {
                        Some(cluster) => {
                            batch.insert(Arc::clone(&key.identity), Observation::Present(cluster));
                            continue;
                        }
                        None => Unknown::NotListed,
                    },
                    Err(error) => Unknown::Failed { class: error.class, message: error.to_string() },
                };
                batch.insert(Arc::clone(&key.identity), Observation::Unknown { since: scope.now, why });
            }
        }
        Ok(batch)
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let mut answered = describe(&clients, &[&*key.identity]).await?;
        Ok(match answered.clusters.remove(&*key.identity) {
            Some(cluster) => Observation::Present(cluster),
            None if answered.missing.contains(&*key.identity) => Observation::Absent,
            None => Observation::Unknown { since: scope.now, why: Unknown::NotListed },
        })
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let name = &*key.identity;
        let ecs = &clients.ecs;
        let request_id = match instruction(step)? {
            Action::CreateCluster { container_insights, tags } => {
                let call = ecs
                    .create_cluster()
                    .cluster_name(name)
                    .set_settings(container_insights.map(|on| vec![insights(on)]))
                    .set_tags(Some(tag_list(tags)));
                clients.act("ecs:CreateCluster", classify, || call.send()).await?.1
            }
            Action::UpdateClusterSettings { container_insights } => {
                let call = ecs.update_cluster_settings().cluster(name).settings(insights(container_insights));
                clients.act("ecs:UpdateClusterSettings", classify, || call.send()).await?.1
            }
            Action::TagResource { arn, tags } => {
                let call = ecs.tag_resource().resource_arn(arn).set_tags(Some(tag_list(tags)));
                clients.act("ecs:TagResource", classify, || call.send()).await?.1
            }
            Action::DeleteCluster => {
                let call = ecs.delete_cluster().cluster(name);
                clients.act("ecs:DeleteCluster", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }
}
