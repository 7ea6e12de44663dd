//! Who wants which groups swept soon, and whom to wake when that is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::cache::Ticket;
use crate::holdings::{EnvName, Group};
use crate::queue::Priority;
use crate::shared::lock;

/// An environment that waits for a fresh look at all of its groups.
#[derive(Debug, Clone)]
struct Waiting {
    groups: BTreeSet<Group>,
    /// Only sweeps that begin after this count.
    since: Ticket,
    priority: Priority,
    requests: BTreeSet<Uuid>,
}

/// An environment whose fresh look is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) environment: EnvName,
    pub(crate) priority: Priority,
    pub(crate) requests: BTreeSet<Uuid>,
}

#[derive(Default)]
struct Inner {
    soon: BTreeSet<Group>,
    waiting: BTreeMap<EnvName, Vec<Waiting>>,
}

/// Who wants which groups swept soon.
#[derive(Default)]
pub(crate) struct Wishes {
    inner: Mutex<Inner>,
    changed: Notify,
}

impl Wishes {
    /// These groups are to be swept as soon as may be.
    pub(crate) fn soon(&self, groups: impl IntoIterator<Item = Group>) {
        lock(&self.inner).soon.extend(groups);
        self.changed.notify_waiters();
    }

    /// An environment wants all of these groups looked at after `since`, and to be woken then.
    pub(crate) fn fresh(
        &self,
        environment: &EnvName,
        groups: BTreeSet<Group>,
        since: Ticket,
        priority: Priority,
        request: Option<Uuid>,
    ) {
        let mut inner = lock(&self.inner);
        inner.soon.extend(groups.iter().cloned());
        let waiting = Waiting { groups, since, priority, requests: request.into_iter().collect() };
        inner.waiting.entry(EnvName::clone(environment)).or_default().push(waiting);
        drop(inner);
        self.changed.notify_waiters();
    }

    /// The groups wanted soon, among those that pass.
    pub(crate) fn take_soon(&self, ours: impl Fn(&Group) -> bool) -> BTreeSet<Group> {
        let mut inner = lock(&self.inner);
        let (taken, left) = std::mem::take(&mut inner.soon).into_iter().partition(|group| ours(group));
        inner.soon = left;
        taken
    }

    /// A sweep that began then has ended, well or not. Answers who waited for nothing else, and the groups that must
    /// be swept again because somebody's wish came after the sweep had begun.
    pub(crate) fn swept(&self, group: &Group, began: Ticket) -> Vec<Granted> {
        let mut inner = lock(&self.inner);
        let mut granted = Vec::new();
        let mut again = false;
        for (environment, all) in &mut inner.waiting {
            all.retain_mut(|waiting| {
                if began > waiting.since {
                    waiting.groups.remove(group);
                } else if waiting.groups.contains(group) {
                    again = true;
                }
                if waiting.groups.is_empty() {
                    granted.push(Granted {
                        environment: EnvName::clone(environment),
                        priority: waiting.priority,
                        requests: std::mem::take(&mut waiting.requests),
                    });
                }
                !waiting.groups.is_empty()
            });
        }
        inner.waiting.retain(|_, all| !all.is_empty());
        if again {
            inner.soon.insert(group.clone());
        }
        granted
    }

    /// Whoever waits for groups that nobody sweeps any more would wait for ever.
    pub(crate) fn drop_missing(&self, exists: impl Fn(&Group) -> bool) -> Vec<Granted> {
        let gone: BTreeSet<Group> = {
            let inner = lock(&self.inner);
            let all = inner.waiting.values().flatten().flat_map(|waiting| waiting.groups.iter());
            all.filter(|group| !exists(group)).cloned().collect()
        };
        gone.iter().flat_map(|group| self.swept(group, Ticket::LAST)).collect()
    }

    /// Whether an environment waits for a fresh look already.
    pub(crate) fn is_waiting(&self, environment: &str) -> bool {
        lock(&self.inner).waiting.contains_key(environment)
    }

    /// Whether a look for this request is under way.
    pub(crate) fn waits_for(&self, environment: &EnvName, request: Uuid) -> bool {
        let inner = lock(&self.inner);
        let waiting = inner.waiting.get(environment);
        waiting.is_some_and(|all| all.iter().any(|waiting| waiting.requests.contains(&request)))
    }

    /// An environment is gone. Answers the requests that waited with it.
    pub(crate) fn forget(&self, environment: &str) -> BTreeSet<Uuid> {
        let waiting = lock(&self.inner).waiting.remove(environment).unwrap_or_default();
        waiting.into_iter().flat_map(|waiting| waiting.requests).collect()
    }

    /// Completes when a wish is added. Enable it before looking at the wishes.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}

#[cfg(test)]
mod tests {
    use model::{AwsAccountId, KindName, Region};

    use super::*;
    use crate::cache::Cache;

    fn group(kind: &'static str) -> Group {
        Group {
            account: AwsAccountId::parse("123456789012").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            kind: KindName::of(kind),
        }
    }

    #[test]
    fn a_wish_is_granted_when_every_group_was_swept_after_it() {
        let (wishes, cache) = (Wishes::default(), Cache::default());
        let name: EnvName = "prod".into();
        let before = cache.ticket();
        wishes.fresh(&name, [group("A"), group("B")].into(), cache.ticket(), Priority::User, None);
        assert_eq!(wishes.take_soon(|_| true).len(), 2);
        assert!(wishes.swept(&group("A"), before).is_empty(), "that one began before");
        assert_eq!(wishes.take_soon(|_| true), [group("A")].into(), "so it must be swept again");
        assert!(wishes.swept(&group("A"), cache.ticket()).is_empty());
        let granted = wishes.swept(&group("B"), cache.ticket());
        assert_eq!(granted.len(), 1);
        assert_eq!(granted[0].environment, name);
        assert!(wishes.swept(&group("B"), cache.ticket()).is_empty(), "granted once");
    }

    #[test]
    fn nobody_waits_for_a_group_that_is_not_swept_any_more() {
        let (wishes, cache) = (Wishes::default(), Cache::default());
        wishes.fresh(&"prod".into(), [group("A")].into(), cache.ticket(), Priority::Background, Some(Uuid::nil()));
        let granted = wishes.drop_missing(|_| false);
        assert_eq!(granted[0].requests, [Uuid::nil()].into());
    }
}
