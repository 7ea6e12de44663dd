//! Secrets Manager calls for secrets. Decides nothing, and has no call that carries a value.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use aws_sdk_secretsmanager::types::{RotationRulesType, Tag};
use aws_smithy_types::DateTime;
use awskit::{Aws, RegionClients, TokenGuard, not_tried};
use jiff::Timestamp;
use model::observation::Unknown;
use model::{ActError, Class, Observation, ObserveError, Step, Tags};

use super::errors::classify;
use super::observed::days_of_rate;
use super::{Action, Observed, Rotated};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const LIST: &str = "secretsmanager:ListSecrets";
const DESCRIBE: &str = "secretsmanager:DescribeSecret";
const CURRENT: &str = "AWSCURRENT";

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
    /// Pages that the longest listing had so far: so many secrets or fewer are described one by one instead, which
    /// costs no more calls and does not lag.
    pages: AtomicUsize,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws, pages: AtomicUsize::new(1) }
    }

    /// Every secret of the region by name, also those whose deletion is pending.
    async fn list(&self, clients: &RegionClients) -> Result<BTreeMap<String, Observed>, ObserveError> {
        let mut secrets = BTreeMap::new();
        let mut guard = TokenGuard::new(LIST);
        let mut token = None;
        let mut pages = 0;
        loop {
            let page = clients
                .read(LIST, classify, || {
                    clients
                        .secretsmanager
                        .list_secrets()
                        .include_planned_deletion(true)
                        .max_results(100)
                        .set_next_token(token.clone())
                        .send()
                })
                .await?;
            pages += 1;
            for entry in page.secret_list() {
                let parts = Parts {
                    arn: entry.arn(),
                    description: entry.description(),
                    kms_key_id: entry.kms_key_id(),
                    rotation_enabled: entry.rotation_enabled(),
                    lambda_arn: entry.rotation_lambda_arn(),
                    rules: entry.rotation_rules(),
                    stages: entry.secret_versions_to_stages(),
                    changed: entry.last_changed_date(),
                    deleted: entry.deleted_date(),
                    owning_service: entry.owning_service(),
                    tags: entry.tags(),
                };
                let Some(name) = entry.name() else { continue };
                if let Some(observed) = parts.observed() {
                    secrets.insert(name.to_owned(), observed);
                }
            }
            token = guard.next(page.next_token())?;
            if token.is_none() {
                self.pages.store(pages, Ordering::Relaxed);
                return Ok(secrets);
            }
        }
    }
}

async fn describe(clients: &RegionClients, name: &str) -> Result<Option<Observed>, ObserveError> {
    let answer =
        clients.read(DESCRIBE, classify, || clients.secretsmanager.describe_secret().secret_id(name).send()).await;
    let secret = match answer {
        Ok(secret) => secret,
        Err(error) if error.class == Class::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let parts = Parts {
        arn: secret.arn(),
        description: secret.description(),
        kms_key_id: secret.kms_key_id(),
        rotation_enabled: secret.rotation_enabled(),
        lambda_arn: secret.rotation_lambda_arn(),
        rules: secret.rotation_rules(),
        stages: secret.version_ids_to_stages(),
        changed: secret.last_changed_date(),
        deleted: secret.deleted_date(),
        owning_service: secret.owning_service(),
        tags: secret.tags(),
    };
    parts.observed().map(Some).ok_or_else(|| no_object(DESCRIBE, "a secret without ARN"))
}

/// What ListSecrets and DescribeSecret have in common.
struct Parts<'a> {
    arn: Option<&'a str>,
    description: Option<&'a str>,
    kms_key_id: Option<&'a str>,
    rotation_enabled: Option<bool>,
    lambda_arn: Option<&'a str>,
    rules: Option<&'a RotationRulesType>,
    stages: Option<&'a HashMap<String, Vec<String>>>,
    changed: Option<&'a DateTime>,
    deleted: Option<&'a DateTime>,
    owning_service: Option<&'a str>,
    tags: &'a [Tag],
}

impl Parts<'_> {
    fn observed(self) -> Option<Observed> {
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let schedule = self.rules.and_then(RotationRulesType::schedule_expression);
        let days = self.rules.and_then(RotationRulesType::automatically_after_days);
        let every_days = days.and_then(|days| u32::try_from(days).ok()).or_else(|| schedule.and_then(days_of_rate));
        let current = self.stages.and_then(|stages| {
            let (id, _) = stages.iter().find(|(_, stages)| stages.iter().any(|stage| stage == CURRENT))?;
            Some(id.clone())
        });
        Some(Observed {
            arn: self.arn?.to_owned(),
            description: text(self.description),
            kms_key_id: text(self.kms_key_id),
            rotation: self.rotation_enabled.unwrap_or(false).then(|| Rotated {
                lambda_arn: text(self.lambda_arn),
                every_days,
                schedule: if every_days.is_none() { text(schedule) } else { None },
                duration: text(self.rules.and_then(RotationRulesType::duration)),
            }),
            version_id: current,
            changed_at: self.changed.and_then(|at| Timestamp::from_millisecond(at.to_millis().ok()?).ok()),
            deletion_pending: self.deleted.is_some(),
            owning_service: text(self.owning_service),
            tags: self
                .tags
                .iter()
                .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
                .collect(),
        })
    }
}

fn tag_list(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let unknown = |why| Observation::Unknown { since: scope.now, why };
        let mut batch = Batch::new();
        if keys.len() <= self.pages.load(Ordering::Relaxed) {
            for key in keys {
                let observation = match describe(&clients, &key.identity).await {
                    Ok(Some(observed)) => Observation::Present(observed),
                    Ok(None) => unknown(Unknown::NotListed),
                    Err(error) => unknown(Unknown::Failed { class: error.class, message: error.to_string() }),
                };
                batch.insert(Arc::clone(&key.identity), observation);
            }
            return Ok(batch);
        }
        let mut secrets = self.list(&clients).await?;
        for key in keys {
            let found = secrets.remove(&*key.identity);
            let observation = found.map_or_else(|| unknown(Unknown::NotListed), Observation::Present);
            batch.insert(Arc::clone(&key.identity), observation);
        }
        Ok(batch)
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        Ok(describe(&clients, &key.identity).await?.map_or(Observation::Absent, Observation::Present))
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let name = &*key.identity;
        let secrets = &clients.secretsmanager;
        let request_id = match instruction(step)? {
            Action::CreateSecret { description, kms_key_id, tags } => {
                let call = secrets
                    .create_secret()
                    .name(name)
                    .client_request_token(token)
                    .set_description(description)
                    .set_kms_key_id(kms_key_id)
                    .set_tags(Some(tag_list(tags)));
                clients.act("secretsmanager:CreateSecret", classify, || call.send()).await?.1
            }
            Action::UpdateSecret { description } => {
                let call = secrets.update_secret().secret_id(name).description(description);
                clients.act("secretsmanager:UpdateSecret", classify, || call.send()).await?.1
            }
            Action::RotateSecret { rotation, duration } => {
                let rules = RotationRulesType::builder()
                    .automatically_after_days(i64::from(rotation.every_days))
                    .set_duration(duration)
                    .build();
                let call = secrets
                    .rotate_secret()
                    .secret_id(name)
                    .client_request_token(token)
                    .rotation_lambda_arn(rotation.lambda_arn)
                    .rotation_rules(rules)
                    .rotate_immediately(false);
                clients.act("secretsmanager:RotateSecret", classify, || call.send()).await?.1
            }
            Action::TagResource { tags } => {
                let call = secrets.tag_resource().secret_id(name).set_tags(Some(tag_list(tags)));
                clients.act("secretsmanager:TagResource", classify, || call.send()).await?.1
            }
            Action::DeleteSecret { recovery_window_days } => {
                let call = secrets.delete_secret().secret_id(name).recovery_window_in_days(recovery_window_days);
                clients.act("secretsmanager:DeleteSecret", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }
}
