//! CloudWatch Logs calls for log groups. Decides nothing.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::types::LogGroup as Live;
use awskit::{Aws, RegionClients, TokenGuard, not_tried};
use jiff::Timestamp;
use model::observation::Unknown;
use model::{ActError, Observation, ObserveError, Step, Tags};

use super::errors::classify;
use super::{Action, Observed};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const DESCRIBE: &str = "logs:DescribeLogGroups";
const LIST_TAGS: &str = "logs:ListTagsForResource";

/// Above so many keys, reading all groups of the region costs no more calls than asking for each by its prefix.
const BY_NAME: usize = 2;

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws }
    }

    /// The groups whose names start with a prefix, or all: 50 a page.
    async fn describe(&self, clients: &RegionClients, prefix: Option<&str>) -> Result<Vec<Live>, ObserveError> {
        let mut groups = Vec::new();
        let mut guard = TokenGuard::new(DESCRIBE);
        let mut token = None;
        loop {
            let page = clients
                .read(DESCRIBE, classify, || {
                    clients
                        .logs
                        .describe_log_groups()
                        .set_log_group_name_prefix(prefix.map(str::to_owned))
                        .limit(50)
                        .set_next_token(token.clone())
                        .send()
                })
                .await?;
            groups.extend(page.log_groups().iter().cloned());
            token = guard.next(page.next_token())?;
            if token.is_none() {
                return Ok(groups);
            }
        }
    }

    async fn tags(&self, clients: &RegionClients, arn: &str) -> Result<Tags, ObserveError> {
        let answer = clients
            .read(LIST_TAGS, classify, || clients.logs.list_tags_for_resource().resource_arn(arn).send())
            .await?;
        let tags: Tags = answer.tags().cloned().unwrap_or_default().into_iter().collect();
        clients.note_tags(arn, &tags);
        Ok(tags)
    }
}

fn arn(live: &Live) -> Option<String> {
    live.log_group_arn().or(live.arn()).map(|arn| arn.trim_end_matches(":*").to_owned())
}

fn observed(live: &Live, tags: Option<Tags>) -> Option<Observed> {
    Some(Observed {
        arn: arn(live)?,
        retention_days: live.retention_in_days().and_then(|days| u32::try_from(days).ok()),
        created_at: live.creation_time().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        empty: live.stored_bytes().unwrap_or(0) == 0,
        tags,
    })
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let mut groups = Vec::new();
        let mut failed = std::collections::BTreeMap::new();
        if keys.len() <= BY_NAME {
            for key in keys {
                match self.describe(&clients, Some(&key.identity)).await {
                    Ok(found) => groups.extend(found),
                    Err(error) => {
                        let why = Unknown::Failed { class: error.class, message: error.to_string() };
                        failed.insert(Arc::clone(&key.identity), why);
                    }
                }
            }
        } else {
            groups = self.describe(&clients, None).await?;
        }
        let live: std::collections::BTreeMap<&str, &Live> =
            groups.iter().filter_map(|group| Some((group.log_group_name()?, group))).collect();
        let arns: Vec<String> = keys.iter().filter_map(|key| live.get(&*key.identity).and_then(|g| arn(g))).collect();
        let mut tags = clients.swept_tags(&arns).await?;
        for arn in &arns {
            // Not knowing whose one group is must not hide the others.
            if !tags.contains_key(arn)
                && let Ok(its) = self.tags(&clients, arn).await
            {
                tags.insert(arn.clone(), its);
            }
        }
        let since = scope.now;
        Ok(keys
            .iter()
            .map(|key| {
                let found = live.get(&*key.identity).and_then(|group| observed(group, tags.get(&arn(group)?).cloned()));
                let observation = found.map_or_else(
                    || {
                        let why = failed.remove(&key.identity).unwrap_or(Unknown::NotListed);
                        Observation::Unknown { since, why }
                    },
                    Observation::Present,
                );
                (Arc::clone(&key.identity), observation)
            })
            .collect())
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        // There is no read of one group by name: a prefix that is the whole name lists it first.
        let groups = self.describe(&clients, Some(&key.identity)).await?;
        let Some(group) = groups.iter().find(|group| group.log_group_name() == Some(&*key.identity)) else {
            return Ok(Observation::Absent);
        };
        let Some(arn) = arn(group) else { return Err(no_object(DESCRIBE, "a log group without ARN")) };
        let tags = self.tags(&clients, &arn).await?;
        observed(group, Some(tags))
            .map(Observation::Present)
            .ok_or_else(|| no_object(DESCRIBE, "a log group without ARN"))
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let name = &*key.identity;
        let logs = &clients.logs;
        let request_id = match instruction(step)? {
            Action::CreateLogGroup { tags } => {
                let call = logs.create_log_group().log_group_name(name).set_tags(Some(tags.into_iter().collect()));
                clients.act("logs:CreateLogGroup", classify, || call.send()).await?.1
            }
            Action::PutRetentionPolicy { days } => {
                let call = logs.put_retention_policy().log_group_name(name).retention_in_days(days.cast_signed());
                clients.act("logs:PutRetentionPolicy", classify, || call.send()).await?.1
            }
            Action::TagResource { arn, tags } => {
                let call = logs.tag_resource().resource_arn(arn).set_tags(Some(tags.into_iter().collect()));
                clients.act("logs:TagResource", classify, || call.send()).await?.1
            }
            Action::DeleteLogGroup => {
                let call = logs.delete_log_group().log_group_name(name);
                clients.act("logs:DeleteLogGroup", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }
}
