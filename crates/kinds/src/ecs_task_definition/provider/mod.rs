//! ECS calls for task definitions. Decides nothing: what a new revision says is worked out by `overlay`.

mod convert;
mod register;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_ecs::types::{TaskDefinition, TaskDefinitionField, TaskDefinitionStatus};
use awskit::{Aws, RegionClients, not_tried};
use engine::kind::Owner;
use engine::plan::owner_by_tags;
use futures::StreamExt;
use jiff::Timestamp;
use model::observation::Unknown;
use model::plan::Private;
use model::{ActError, AwsAccountId, Class, Effect, Observation, ObserveError, Region, Step, Tags};

use self::convert::{content, revision};
use self::register::{overlaid, registration, tag_list, values};
use super::errors::{NO_SUCH_REVISION, classify};
use super::{Action, Observed, Registration, Revision};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const DESCRIBE: &str = "ecs:DescribeTaskDefinition";

/// Calls under way at once in a batch; the rate budget is a matter of the clients.
const AT_ONCE: usize = 8;
/// How old the knowledge that a revision is ACTIVE may get before it is looked at again.
const STATUS_AGE_S: i64 = 600;
/// How many revisions one batch looks at again for that.
const STATUS_CHECKS: usize = 2;
/// Revisions that are kept; above it those not asked for within an hour are dropped.
const KEPT: usize = 10_000;

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    /// Revisions by ARN: their content never changes.
    revisions: HashMap<String, Entry>,
    /// The newest revision of a family, as it was last seen by a direct read.
    newest: HashMap<(AwsAccountId, Region, Arc<str>), Arc<Revision>>,
    /// What a revision was made from, by ARN: what we know better than its tag tells. The tag is for after a restart,
    /// and an older revision may be found to be just what is wanted now.
    bases: HashMap<String, String>,
}

struct Entry {
    revision: Arc<Revision>,
    active: bool,
    checked: Timestamp,
    used: Timestamp,
}

/// A revision as AWS describes it.
struct Described {
    definition: TaskDefinition,
    tags: Tags,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws, cache: Mutex::default() }
    }

    fn with_cache<T>(&self, f: impl FnOnce(&mut Cache) -> T) -> T {
        f(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A revision by ARN, or the newest ACTIVE one by family; `None` when there is none.
    async fn look(
        &self,
        clients: &RegionClients,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<(Arc<Revision>, bool)>, ObserveError> {
        let Some(described) = describe(clients, name).await? else { return Ok(None) };
        let mut revision = revision(&described).ok_or_else(|| no_object(DESCRIBE, "a task definition without ARN"))?;
        if let Some(base) = self.with_cache(|cache| cache.bases.get(&revision.arn).cloned()) {
            revision.base = Some(base);
        }
        let revision = Arc::new(revision);
        let active = described.definition.status() != Some(&TaskDefinitionStatus::Inactive);
        self.with_cache(|cache| {
            if cache.revisions.len() >= KEPT {
                cache.revisions.retain(|_, entry| now.duration_since(entry.used).as_hours() < 1);
            }
            let entry = Entry { revision: Arc::clone(&revision), active, checked: now, used: now };
            cache.revisions.insert(revision.arn.clone(), entry);
        });
        Ok(Some((revision, active)))
    }

    /// The revision that counts for a key, from memory where it is there.
    async fn current(
        &self,
        clients: &RegionClients,
        scope: &Scope,
        key: &ObserveKey,
        again: bool,
    ) -> Result<Option<(Arc<Revision>, bool)>, ObserveError> {
        let Some(arn) = &key.at else { return self.look(clients, &key.identity, scope.now).await };
        let kept = self.with_cache(|cache| {
            let entry = cache.revisions.get_mut(arn)?;
            entry.used = scope.now;
            Some((Arc::clone(&entry.revision), entry.active))
        });
        match kept {
            Some(kept) if !again => Ok(Some(kept)),
            Some(_) | None => self.look(clients, arn, scope.now).await,
        }
    }

    /// The newest revision of a family, noted for later batches.
    async fn newest(
        &self,
        clients: &RegionClients,
        scope: &Scope,
        family: &Arc<str>,
    ) -> Result<Option<Arc<Revision>>, ObserveError> {
        let newest = self.look(clients, family, scope.now).await?.map(|(revision, _)| revision);
        let slot = (scope.account.clone(), scope.region.clone(), Arc::clone(family));
        self.with_cache(|cache| match &newest {
            Some(revision) => drop(cache.newest.insert(slot, Arc::clone(revision))),
            None => drop(cache.newest.remove(&slot)),
        });
        Ok(newest)
    }

    async fn observe_one(
        &self,
        clients: &RegionClients,
        scope: &Scope,
        key: &ObserveKey,
        again: bool,
    ) -> (Arc<str>, Observation<Observed>) {
        let since = scope.now;
        let observation = match self.current(clients, scope, key, again).await {
            Ok(Some((current, active))) => {
                let slot = (scope.account.clone(), scope.region.clone(), Arc::clone(&key.identity));
                let newest = self.with_cache(|cache| cache.newest.get(&slot).cloned());
                let successor = newest.filter(|newest| key.at.is_some() && newest.succeeds(&current));
                Observation::Present(Observed { current, active, successor })
            }
            Ok(None) => Observation::Unknown { since, why: Unknown::NotListed },
            Err(error) => {
                Observation::Unknown { since, why: Unknown::Failed { class: error.class, message: error.to_string() } }
            }
        };
        (Arc::clone(&key.identity), observation)
    }

    /// The keys whose status was not looked at for longest, if that is too long ago.
    fn stale(&self, keys: &[ObserveKey], now: Timestamp) -> Vec<Arc<str>> {
        let mut stale: Vec<(Timestamp, Arc<str>)> = self.with_cache(|cache| {
            keys.iter()
                .filter_map(|key| {
                    let checked = cache.revisions.get(key.at.as_ref()?)?.checked;
                    (now.duration_since(checked).as_secs() > STATUS_AGE_S).then(|| (checked, Arc::clone(&key.identity)))
                })
                .collect()
        });
        stale.sort();
        stale.truncate(STATUS_CHECKS);
        stale.into_iter().map(|(_, identity)| identity).collect()
    }

    fn note_base(&self, arn: &str, base: Option<String>) {
        let Some(base) = base else { return };
        self.with_cache(|cache| {
            cache.revisions.remove(arn);
            if cache.bases.len() >= KEPT {
                cache.bases.clear();
            }
            cache.bases.insert(arn.to_owned(), base);
        });
    }

    /// Registers a revision, unless the family's newest is the very same: the API takes no idempotency token.
    async fn register(
        &self,
        clients: &RegionClients,
        scope: &Scope,
        family: &Arc<str>,
        wanted: Registration,
        private: &Private,
    ) -> Result<Acted, ActError> {
        let fields = wanted.fields(private).map_err(value_missing)?;
        let base = match &wanted.base {
            Some(arn) => match describe(clients, arn).await.map_err(not_tried)? {
                Some(described) => Some(described),
                None => return Err(not_tried(gone(arn))),
            },
            None => None,
        };
        let (definition, tags) = overlaid(&wanted, &fields, base.as_ref());
        let content = content(&definition);
        let newest = self.newest(clients, scope, family).await.map_err(not_tried)?;
        let base = base.as_ref().and_then(revision).map(|base| base.name());
        // Only one of ours: what somebody else registered is theirs to use and to take away.
        let ours = |newest: &Revision| owner_by_tags(&newest.owner, &wanted.tags) == Owner::Ours;
        let same = |newest: &Revision| Some(&newest.arn) != wanted.base.as_ref() && newest.content.means(&content);
        if let Some(newest) = newest.filter(|newest| ours(newest) && same(newest)) {
            self.note_base(&newest.arn, base);
            return Ok(Acted { request_id: None, at: Some(newest.arn.clone()) });
        }
        let values = values(&definition);
        let call = registration(clients, family, definition).set_tags(Some(tag_list(tags)));
        let answer = clients.act("ecs:RegisterTaskDefinition", classify, || call.send()).await;
        let masked = |error: ActError| ActError { message: values.mask(&error.message), ..error };
        let (answer, request_id) = answer.map_err(masked)?;
        let at = answer.task_definition().and_then(TaskDefinition::task_definition_arn).map(str::to_owned);
        if let Some(arn) = &at {
            self.note_base(arn, base);
        }
        Ok(Acted { request_id, at })
    }
}

/// A step that was not planned in this pass carries no values any more.
fn value_missing(name: String) -> ActError {
    ActError {
        class: Class::Bug,
        effect: Effect::NotApplied,
        operation: "ecs:RegisterTaskDefinition".to_owned(),
        code: "ValueMissing".to_owned(),
        message: format!("the step does not carry the value of variable {name}"),
        request_id: None,
    }
}

fn gone(arn: &str) -> ObserveError {
    ObserveError {
        class: Class::NotFound,
        operation: DESCRIBE.to_owned(),
        code: "RevisionGone".to_owned(),
        message: format!("{arn} is no longer there"),
        request_id: None,
    }
}

async fn describe(clients: &RegionClients, name: &str) -> Result<Option<Described>, ObserveError> {
    let answer = clients
        .read(DESCRIBE, classify, || {
            clients.ecs.describe_task_definition().task_definition(name).include(TaskDefinitionField::Tags).send()
        })
        .await;
    match answer {
        Ok(answer) => {
            let tags = answer.tags().iter();
            let tags = tags
                .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
                .collect();
            Ok(answer.task_definition.map(|definition| Described { definition, tags }))
        }
        Err(error) if error.code == NO_SUCH_REVISION => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let stale = self.stale(keys, scope.now);
        let mut looks = Vec::with_capacity(keys.len());
        for key in keys {
            looks.push(self.observe_one(&clients, scope, key, stale.contains(&key.identity)));
        }
        Ok(futures::stream::iter(looks).buffered(AT_ONCE).collect().await)
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let newest = self.newest(&clients, scope, &key.identity).await?;
        let Some(arn) = &key.at else {
            return Ok(newest.map_or(Observation::Absent, |current| {
                Observation::Present(Observed { current, active: true, successor: None })
            }));
        };
        let Some((current, active)) = self.look(&clients, arn, scope.now).await? else {
            return Err(gone(arn));
        };
        let successor = newest.filter(|newest| newest.succeeds(&current));
        Ok(Observation::Present(Observed { current, active, successor }))
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        match instruction(step)? {
            Action::RegisterTaskDefinition(wanted) => {
                self.register(&clients, scope, &key.identity, *wanted, &step.private).await
            }
            Action::DeregisterTaskDefinition { arn } => {
                let call = clients.ecs.deregister_task_definition().task_definition(arn);
                let (_, request_id) = clients.act("ecs:DeregisterTaskDefinition", classify, || call.send()).await?;
                Ok(Acted { request_id, at: None })
            }
        }
    }
}
