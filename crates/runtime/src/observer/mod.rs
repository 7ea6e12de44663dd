//! The observer: one sweep per (account, region, kind) for all environments of an account, again and again.
//!
//! - A group's period is its lane's, jittered; a throttled one slows down and recovers.
//! - New objects, and whoever wishes for a fresh look, have their groups swept at once.
//! - A group whose objects follow another's outputs is swept after that one.
//! - A sweep that changed nothing writes its freshness and wakes nobody.

mod sweep;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use model::{Class, ObserveError, ResourceKey};
use tokio::time::Instant;

#[cfg(feature = "inline")]
pub(crate) use sweep::sweep as sweep_group;
pub(crate) use wishes::{Granted, Wishes};

use crate::cache::Ticket;
use crate::holdings::Group;
use crate::look::not_confirmed;
use crate::queue::Priority;
use crate::shared::{CredentialState, Shard, Shared};
use sweep::{Outcome, sweep};

/// A failing group slows down to this multiple of its period.
const SLOWEST: u32 = 8;
/// STS is asked again after so long, doubling, when it did not confirm the account.
const CONFIRM_FIRST: Duration = Duration::from_secs(5);
const CONFIRM_LONGEST: Duration = Duration::from_secs(60);
/// The loop comes round at least this often.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// However many wish for it, a group is not swept more often than this: a burst of new environments shares sweeps.
const LEAST_BETWEEN: Duration = Duration::from_secs(1);

/// One group's schedule.
struct Schedule {
    due: Instant,
    /// When the last sweep began.
    started: Option<Instant>,
    /// Multiple of the period.
    slowed: u32,
    /// When the last sweep that ended began; a follower waits for one of what it follows.
    swept: Option<Ticket>,
    running: bool,
}

impl Schedule {
    fn new(due: Instant) -> Self {
        Self { due, started: None, slowed: 1, swept: None, running: false }
    }

    /// Wanted soon: at once, or a little after the last time.
    fn soon(&mut self, now: Instant, least_between: Duration) {
        self.due = self.started.map_or(now, |started| now.max(started + least_between));
    }
}

enum Done {
    Swept(Group, Ticket, Outcome),
    Confirmed(Result<(), ObserveError>),
}

/// Sweeps one account until its shard is lost.
pub(crate) async fn observe(shared: Arc<Shared>, shard: Shard) {
    let mut observer = Observer {
        shared: Arc::clone(&shared),
        shard: shard.clone(),
        schedules: BTreeMap::new(),
        running: FuturesUnordered::new(),
        confirmed: false,
        unconfirmed_for: 0,
        refused: None,
        denied: BTreeMap::new(),
    };
    observer.confirm_after(Duration::ZERO);
    loop {
        // Before looking at the wishes, so that none is missed.
        let changed = shared.wishes.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        observer.start_due();
        let next = observer.next_due();
        // Every arm is cancel safe: the stream keeps its futures, and the state is looked at anew each time.
        tokio::select! {
            () = shard.stop.cancelled() => return,
            Some(done) = observer.running.next() => observer.finish(done),
            () = &mut changed => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

struct Observer {
    shared: Arc<Shared>,
    shard: Shard,
    schedules: BTreeMap<Group, Schedule>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    /// STS has confirmed the account: nothing is called before.
    confirmed: bool,
    unconfirmed_for: u32,
    /// What STS said against our credentials.
    refused: Option<String>,
    /// The groups that we may not read, and what AWS said.
    denied: BTreeMap<Group, String>,
}

impl Observer {
    fn confirm_after(&self, delay: Duration) {
        let shared = Arc::clone(&self.shared);
        let account = self.shard.account.clone();
        self.running.push(Box::pin(async move {
            tokio::time::sleep(delay).await;
            let longest = shared.config.call_timeout * 2;
            let result = tokio::time::timeout(longest, shared.cloud.confirm(&account)).await;
            Done::Confirmed(result.unwrap_or_else(|_| {
                Err(ObserveError {
                    class: Class::Transient,
                    operation: "sts:GetCallerIdentity".to_owned(),
                    code: "Timeout".to_owned(),
                    message: format!("no answer within {} s", longest.as_secs()),
                    request_id: None,
                })
            }))
        }));
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        let groups: BTreeSet<Group> = self.shared.holdings.groups_of(&self.shard.account).into_iter().collect();
        self.schedules.retain(|group, _| {
            let kept = groups.contains(group);
            if !kept {
                self.shared.metrics.observer.forget(group.kind.as_str(), &scope_label(group));
            }
            kept
        });
        let denied = self.denied.len();
        self.denied.retain(|group, _| groups.contains(group));
        if self.denied.len() < denied {
            self.credentials();
        }
        for group in &groups {
            self.schedules.entry(group.clone()).or_insert_with(|| Schedule::new(now));
        }
        let account = self.shard.account.clone();
        for group in self.shared.wishes.take_soon(|group| group.account == account) {
            let least_between = LEAST_BETWEEN.min(self.shared.period_of(&group) / 4);
            if let Some(schedule) = self.schedules.get_mut(&group) {
                schedule.soon(now, least_between);
            }
        }
        let granted = self.shared.wishes.drop_missing(|group| group.account != account || groups.contains(group));
        self.grant(granted);
        if !self.confirmed {
            if self.refused.is_some() {
                // Nobody looks before STS agrees: who waits for a look is told how things stand.
                let granted = self.shared.wishes.drop_missing(|group| group.account != account);
                self.grant(granted);
            }
            return;
        }
        for group in due(&self.schedules, now) {
            let running = self.schedules.values().filter(|schedule| schedule.running).count();
            if running >= self.shared.config.sweeps {
                return;
            }
            if !self.waits_for_another(&group, now) {
                self.start(&group);
            }
        }
    }

    /// A follower goes after what it follows, when that is about to be swept or never was.
    fn waits_for_another(&self, group: &Group, now: Instant) -> bool {
        self.shared.holdings.followed(group).iter().filter(|followed| *followed != group).any(|followed| {
            self.schedules.get(followed).is_some_and(|other| other.running || other.due <= now || other.swept.is_none())
        })
    }

    fn start(&mut self, group: &Group) {
        if let Some(schedule) = self.schedules.get_mut(group) {
            schedule.running = true;
            schedule.started = Some(Instant::now());
        }
        let (shared, shard, group) = (Arc::clone(&self.shared), self.shard.clone(), group.clone());
        self.running.push(Box::pin(async move {
            let (began, outcome) = sweep(&shared, &shard, &group).await;
            Done::Swept(group, began, outcome)
        }));
    }

    fn next_due(&self) -> Instant {
        let now = Instant::now();
        // What is due already waits for a place, another group or STS, whose end wakes the loop: a second look in a
        // second is a safety net.
        let soonest = self.schedules.values().filter(|schedule| !schedule.running && schedule.due > now);
        soonest.map(|schedule| schedule.due).min().unwrap_or(now + IDLE_LOOK).min(now + IDLE_LOOK)
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Confirmed(result) => self.finish_confirming(result),
            Done::Swept(group, began, outcome) => self.finish_sweep(&group, began, &outcome),
        }
    }

    fn finish_confirming(&mut self, result: Result<(), ObserveError>) {
        match result {
            Ok(()) => {
                self.confirmed = true;
                self.unconfirmed_for = 0;
                self.refused = None;
                self.credentials();
                self.confirm_after(self.shared.config.confirm_period);
            }
            Err(error) => {
                // Once confirmed, a lost connection to STS says nothing about the credentials.
                let lasting = !matches!(error.class, Class::Throttled | Class::Transient);
                if lasting || !self.confirmed {
                    self.confirmed = false;
                    tracing::warn!(account = %self.shard.account, %error, "the account is not confirmed");
                    self.refused = Some(error.to_string());
                    self.credentials();
                    self.distrust(&error);
                }
                let delay = CONFIRM_FIRST.saturating_mul(1 << self.unconfirmed_for.min(4)).min(CONFIRM_LONGEST);
                self.unconfirmed_for += 1;
                self.confirm_after(delay);
            }
        }
    }

    fn credentials(&self) {
        let state = match (&self.refused, self.denied.values().next()) {
            (Some(why), _) => CredentialState::Refused(why.clone()),
            (None, Some(why)) => CredentialState::Denied(why.clone()),
            (None, None) => CredentialState::Valid,
        };
        let valid = state == CredentialState::Valid;
        self.shared.metrics.environments.set_credentials(self.shard.account.as_str(), valid);
        if self.shared.credentials.set(&self.shard.account, state) {
            for name in self.shared.holdings.environments_of(&self.shard.account) {
                self.shared.queue.add(name, Priority::Background);
            }
        }
    }

    /// What was seen with credentials that STS does not confirm (any more) is not known now.
    fn distrust(&self, error: &ObserveError) {
        let groups = self.shared.holdings.groups_of(&self.shard.account);
        let keys: Vec<ResourceKey> =
            groups.iter().flat_map(|group| self.shared.holdings.watches(group).into_keys()).collect();
        let error = not_confirmed(&error.to_string());
        let changed = self.shared.cache.distrust(&keys, &error, self.shared.clock.now());
        self.wake_holders(&changed);
    }

    fn wake_holders<'k>(&self, changed: impl IntoIterator<Item = &'k ResourceKey>) {
        let woken: BTreeSet<_> = changed.into_iter().flat_map(|key| self.shared.holdings.holders(key)).collect();
        for name in woken {
            self.shared.queue.add(name, Priority::Background);
            self.shared.metrics.queue.added();
        }
    }

    fn finish_sweep(&mut self, group: &Group, began: Ticket, outcome: &Outcome) {
        let period = self.shared.period_of(group);
        let jitter = 0.9 + 0.2 * self.shared.jitter();
        if let Some(schedule) = self.schedules.get_mut(group) {
            schedule.running = false;
            schedule.swept = Some(began);
            schedule.slowed = match outcome.failure {
                None => (schedule.slowed / 2).max(1),
                Some(Class::Throttled) => (schedule.slowed * 2).min(SLOWEST),
                Some(_) => schedule.slowed,
            };
            schedule.due = Instant::now() + (period * schedule.slowed).mul_f64(jitter);
        }
        match &outcome.denied {
            // A group that nobody looks at any more is denied to nobody.
            Some(message) if self.schedules.contains_key(group) => {
                self.denied.insert(group.clone(), message.clone());
                self.credentials();
            }
            None if outcome.failure.is_none() && self.denied.remove(group).is_some() => self.credentials(),
            Some(_) | None => {}
        }
        if !outcome.changed.is_empty() {
            let followers = self.shared.holdings.followers(&outcome.changed);
            for follower in followers.into_iter().filter(|follower| self.shared.follower_moved(follower)) {
                if let Some(schedule) = self.schedules.get_mut(&follower) {
                    schedule.due = Instant::now();
                }
            }
            self.wake_holders(&outcome.changed);
        }
        let granted = self.shared.wishes.swept(group, began);
        self.grant(granted);
    }

    fn grant(&self, granted: Vec<Granted>) {
        for one in granted {
            self.shared.keep_requests(&one.environment, one.requests);
            self.shared.queue.add(one.environment, one.priority);
            self.shared.metrics.queue.added();
        }
    }
}

/// The groups to be swept now. Whichever has waited longest goes first: with too few places for all, none goes without
/// for ever.
fn due(schedules: &BTreeMap<Group, Schedule>, now: Instant) -> Vec<Group> {
    let due = schedules.iter().filter(|(_, schedule)| schedule.due <= now && !schedule.running);
    let mut due: Vec<(Instant, &Group)> = due.map(|(group, schedule)| (schedule.due, group)).collect();
    due.sort();
    due.into_iter().map(|(_, group)| group.clone()).collect()
}

/// The metric registry's key of a group's place.
pub(crate) fn scope_label(group: &Group) -> String {
    format!("{}/{}", group.account, group.region)
}

#[cfg(test)]
mod tests {
    use model::{AwsAccountId, KindName, Region};

    use super::*;

    #[test]
    fn what_has_waited_longest_is_swept_first() {
        let group = |kind| Group {
            account: AwsAccountId::parse("123456789012").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            kind: KindName::of(kind),
        };
        let now = Instant::now();
        let ago = |seconds| Schedule::new(now - Duration::from_secs(seconds));
        let running = Schedule { running: true, ..ago(9) };
        let later = Schedule::new(now + Duration::from_secs(1));
        let schedules = [(group("A"), ago(1)), (group("B"), later), (group("C"), running), (group("Z"), ago(5))].into();
        assert_eq!(due(&schedules, now), [group("Z"), group("A")]);
    }
}
