//! RDS calls for copies of snapshots, all in the target region. Decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_rds::types::{DbSnapshot, Filter, Tag};
use aws_smithy_types::DateTime;
use awskit::{Aws, RegionClients, TokenGuard, not_tried};
use jiff::Timestamp;
use model::observation::Unknown;
use model::{ActError, Observation, ObserveError, Step};

use super::errors::classify;
use super::{Action, Copy, Observed};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction};

const DESCRIBE: &str = "rds:DescribeDBSnapshots";

/// Up to so many keys are asked for by a filter; above, all manual snapshots of the region are read, 100 a page.
const BY_FILTER: usize = 20;

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws }
    }

    /// Copies of snapshots of these instances, or of all, by instance.
    async fn list(
        &self,
        clients: &RegionClients,
        instances: Option<Vec<String>>,
    ) -> Result<BTreeMap<String, Observed>, ObserveError> {
        let filter =
            instances.map(|names| vec![Filter::builder().name("db-instance-id").set_values(Some(names)).build()]);
        let mut found: BTreeMap<String, Observed> = BTreeMap::new();
        let mut guard = TokenGuard::new(DESCRIBE);
        let mut marker = None;
        loop {
            let page = clients
                .read(DESCRIBE, classify, || {
                    clients
                        .rds
                        .describe_db_snapshots()
                        .snapshot_type("manual")
                        .set_filters(filter.clone())
                        .max_records(100)
                        .set_marker(marker.clone())
                        .send()
                })
                .await?;
            for live in page.db_snapshots() {
                let copy = copy(live, clients.region().as_str());
                if let (Some(instance), Some(copy)) = (live.db_instance_identifier(), copy) {
                    found.entry(instance.to_owned()).or_default().copies.push(copy);
                }
            }
            marker = guard.next(page.marker())?;
            if marker.is_none() {
                break;
            }
        }
        for observed in found.values_mut() {
            observed.copies.sort_by(|a, b| a.id.cmp(&b.id));
        }
        Ok(found)
    }
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

/// `None` for a snapshot that was taken here, or copied from here: an instance of the same name may live here too.
fn copy(live: &DbSnapshot, region: &str) -> Option<Copy> {
    let source = live.source_db_snapshot_identifier()?;
    if source.split(':').nth(3) == Some(region) {
        return None;
    }
    Some(Copy {
        id: live.db_snapshot_identifier()?.to_owned(),
        source: source.to_owned(),
        status: live.status()?.to_owned(),
        original_at: live.original_snapshot_create_time().and_then(timestamp),
        percent: live.percent_progress().and_then(|n| u32::try_from(n).ok()),
        encrypted: live.encrypted().unwrap_or(false),
        tags: live
            .tag_list()
            .iter()
            .map(|tag| (tag.key().unwrap_or("").to_owned(), tag.value().unwrap_or("").to_owned()))
            .collect(),
    })
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let names = (keys.len() <= BY_FILTER).then(|| keys.iter().map(|key| key.identity.to_string()).collect());
        let mut found = self.list(&clients, names).await?;
        let since = scope.now;
        Ok(keys
            .iter()
            .map(|key| {
                let observation = found
                    .remove(&*key.identity)
                    .map_or(Observation::Unknown { since, why: Unknown::NotListed }, Observation::Present);
                (Arc::clone(&key.identity), observation)
            })
            .collect())
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let mut found = self.list(&clients, Some(vec![key.identity.to_string()])).await?;
        // That there is none is an observation too: the set is there, and empty.
        Ok(Observation::Present(found.remove(&*key.identity).unwrap_or_default()))
    }

    async fn act(&self, scope: &Scope, _key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let request_id = match instruction(step)? {
            Action::CopyDBSnapshot { id, source, kms_key_id, tags } => {
                let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
                let call = clients
                    .rds
                    .copy_db_snapshot()
                    .source_db_snapshot_identifier(source)
                    .target_db_snapshot_identifier(id)
                    .set_kms_key_id(kms_key_id)
                    .set_tags(Some(tags));
                clients.act("rds:CopyDBSnapshot", classify, || call.send()).await?.1
            }
            Action::DeleteDBSnapshot { id } => {
                let call = clients.rds.delete_db_snapshot().db_snapshot_identifier(id);
                clients.act("rds:DeleteDBSnapshot", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }
}
