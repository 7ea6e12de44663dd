//! The tags of many objects from one GetResources sweep, for kinds whose batch read gives none.
//!
//! Resource Groups Tagging API Reference, GetResources: 100 a page, eventually consistent, omits objects that never had
//! a tag. So what the sweep shows is taken, and what it lacks is not known: the kind then reads that object's tags
//! itself. A direct read never uses the sweep.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::{ObserveError, TAG_MANAGED_BY, Tags};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::classify::shared_only;
use crate::client::RegionClients;
use crate::page::TokenGuard;

#[derive(Default)]
struct Sweep {
    at: Option<Instant>,
    by_arn: Arc<HashMap<String, Tags>>,
}

/// The last sweep of one account and region.
#[derive(Default)]
pub struct TagIndex {
    // Held across the sweep's own calls, so that many kinds asking at once make one sweep.
    sweep: Mutex<Sweep>,
    // What kinds read themselves because the sweep lacked it; kept as long as a sweep counts as fresh.
    direct: std::sync::Mutex<HashMap<String, (Instant, Tags)>>,
}

impl RegionClients {
    /// The tags of these ARNs as far as the last sweep, or a direct read since, shows them. An ARN that is missing
    /// from the answer is not known. Sweeps first when the last sweep is older than the configured age.
    pub async fn swept_tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, ObserveError> {
        let max_age = self.config().tags_max_age;
        let by_arn = {
            let mut sweep = self.tags.sweep.lock().await;
            let now = Instant::now();
            if sweep.at.is_none_or(|at| now.duration_since(at) >= max_age) {
                sweep.by_arn = Arc::new(self.sweep_tags().await?);
                sweep.at = Some(now);
            }
            Arc::clone(&sweep.by_arn)
        };
        let direct = self.tags.direct.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        Ok(arns
            .iter()
            .filter_map(|arn| {
                let fresh = direct.get(arn).filter(|(at, _)| now.duration_since(*at) < max_age);
                let tags = fresh.map(|(_, tags)| tags).or_else(|| by_arn.get(arn))?;
                Some((arn.clone(), tags.clone()))
            })
            .collect())
    }

    /// Notes tags that a kind read directly: they are newer than the sweep's.
    pub fn note_tags(&self, arn: &str, tags: &Tags) {
        let mut direct = self.tags.direct.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let max_age = self.config().tags_max_age;
        if direct.len() > 10_000 {
            direct.retain(|_, (at, _)| now.duration_since(*at) < max_age);
        }
        direct.insert(arn.to_owned(), (now, tags.clone()));
    }

    async fn sweep_tags(&self) -> Result<HashMap<String, Tags>, ObserveError> {
        const OPERATION: &str = "tag:GetResources";
        let mut by_arn = HashMap::new();
        let mut guard = TokenGuard::new(OPERATION);
        let mut token = None;
        loop {
            let filter = aws_sdk_resourcegroupstagging::types::TagFilter::builder()
                .key(TAG_MANAGED_BY)
                .values(&self.config().installation)
                .build();
            let page = self
                .read(OPERATION, shared_only, || {
                    self.tagging
                        .get_resources()
                        .tag_filters(filter.clone())
                        .resources_per_page(100)
                        .set_pagination_token(token.clone())
                        .send()
                })
                .await?;
            for resource in page.resource_tag_mapping_list() {
                if let Some(arn) = resource.resource_arn() {
                    let tags = resource.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
                    by_arn.insert(arn.to_owned(), tags.collect());
                }
            }
            token = guard.next(page.pagination_token())?;
            if token.is_none() {
                return Ok(by_arn);
            }
        }
    }
}
