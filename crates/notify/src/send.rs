//! The sender of one receiver: takes what is due, oldest first, one at a time.
//!
//! A receiver that is away is left alone for a while as a whole, so that it is not knocked on for each message; a message
//! that it refuses waits by itself, so that the others get through.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use runtime::Held;
use serde_json::json;
use store::{Attempt, Delivery, NewEvent};
use telemetry::ErrorChain;
use tokio::time::Instant;

use crate::Shared;
use crate::backoff::wait;
use crate::config::{Receiver, Webhook};
use crate::sns::{Publisher, SnsMessage, subject};
use crate::topics::RECEIVER;
use crate::webhook::{Client, Post, post};

/// Deliveries read at once.
const BATCH: u32 = 20;

/// So many wait for a receiver at most: with bodies of up to 100 KiB or so, a gigabyte. The oldest are given up for the
/// newest, which tell how things are now.
const LONGEST_QUEUE: u32 = 10_000;

/// What can be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The receiver is away or overloaded: later, and leave it alone meanwhile.
    Unavailable,
    /// It does not want this message, or us: later.
    Refused,
    /// It is gone for good: never.
    Gone,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failed {
    /// What can be done about it.
    pub failure: Failure,
    /// Why: no secret, no URL.
    pub message: String,
    /// When the receiver wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl Failed {
    /// A failure.
    pub fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into(), retry_after: None }
    }
}

/// How messages reach a receiver.
pub(crate) enum Channel {
    Webhook { client: Box<Client>, hook: Box<Webhook> },
    Sns { publisher: Arc<dyn Publisher>, topic_arn: String },
}

/// The sender of one receiver.
pub(crate) struct Sender<'a> {
    shared: &'a Shared,
    receiver: &'a Receiver,
    channel: &'a Channel,
    held: &'a Held,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(shared: &'a Shared, receiver: &'a Receiver, channel: &'a Channel, held: &'a Held) -> Self {
        Self { shared, receiver, channel, held }
    }

    /// Sends until the lease is to be given back; an attempt under way ends first.
    pub(crate) async fn run(self) {
        let poll = self.shared.config.timing.poll;
        loop {
            let pause = match self.round().await {
                Ok(pause) => pause,
                Err(store::Error::StaleEpoch { .. }) => {
                    self.held.stop.cancel();
                    return;
                }
                Err(error) => {
                    tracing::warn!(receiver = self.receiver.name, error = %ErrorChain(&error), "notifications wait: the outbox cannot be read or written");
                    Some(poll)
                }
            };
            if self.held.stop.is_cancelled() {
                return;
            }
            let Some(wake) = self.shared.wake.get(&self.receiver.name) else { return };
            match pause {
                // The receiver is away: what is queued meanwhile does not hurry it.
                Some(pause) => tokio::select! {
                    () = self.held.stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                },
                None => tokio::select! {
                    () = self.held.stop.cancelled() => return,
                    () = wake.notified() => {}
                    () = tokio::time::sleep(poll) => {}
                },
            }
        }
    }

    /// Sends what is due; answers how long to leave the receiver alone, if it is away.
    async fn round(&self) -> Result<Option<Duration>, store::Error> {
        loop {
            let due = self.shared.store.due_notifications(&self.receiver.name, BATCH).await?;
            if due.is_empty() {
                return Ok(None);
            }
            for id in due {
                if self.held.stop.is_cancelled() {
                    return Ok(None);
                }
                if let Some(pause) = self.deliver(id).await? {
                    return Ok(Some(pause));
                }
            }
        }
    }

    async fn deliver(&self, id: i64) -> Result<Option<Duration>, store::Error> {
        let (store, timing) = (&self.shared.store, &self.shared.config.timing);
        // Should this process die, it is due again once the attempt cannot be on its way any more.
        let Some(delivery) = store.begin_delivery(id, timing.attempt * 2, &self.held.fence).await? else {
            return Ok(None);
        };
        let began = Instant::now();
        let sent = tokio::time::timeout(timing.attempt, self.send(&delivery)).await.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", timing.attempt.as_secs_f64());
            Err(Failed::new(Failure::Unavailable, message))
        });
        let attempt = self.judge(&delivery, sent);
        let outcome = match &attempt {
            Attempt::Delivered => "delivered",
            Attempt::Away { .. } | Attempt::Refused { .. } => "retried",
            Attempt::GivenUp { .. } => "given_up",
        };
        self.shared.metrics.notifications.attempted(&self.receiver.name, outcome, began.elapsed());
        let failures_before = store.end_delivery(id, &attempt).await?;
        self.explain(&delivery, &attempt, failures_before).await?;
        Ok(match attempt {
            Attempt::Away { after, .. } => Some(after),
            Attempt::Delivered | Attempt::Refused { .. } | Attempt::GivenUp { .. } => None,
        })
    }

    async fn send(&self, delivery: &Delivery) -> Result<(), Failed> {
        match self.channel {
            Channel::Webhook { client, hook } => {
                let id = format!("msg_{}", delivery.message_id.simple());
                let timestamp = self.shared.clock.now().as_second();
                post(client, hook, Post { id: &id, timestamp, body: &delivery.body }).await
            }
            Channel::Sns { publisher, topic_arn } => {
                let mut attributes = delivery.attributes.clone();
                attributes.insert("id".to_owned(), format!("msg_{}", delivery.message_id.simple()));
                let message = SnsMessage {
                    topic_arn: topic_arn.clone(),
                    subject: subject(&delivery.attributes),
                    body: delivery.body.clone(),
                    attributes,
                };
                publisher.publish(&message).await
            }
        }
    }

    /// What becomes of a delivery.
    fn judge(&self, delivery: &Delivery, sent: Result<(), Failed>) -> Attempt {
        let timing = &self.shared.config.timing;
        let Err(Failed { failure, message: error, retry_after }) = sent else {
            return Attempt::Delivered;
        };
        tracing::info!(
            receiver = self.receiver.name,
            attempts = delivery.attempts,
            error,
            "a notification was not delivered"
        );
        let jitter = rand::rng().random();
        match failure {
            Failure::Unavailable => {
                // Counted in the database: another process goes on where this one ends.
                let failures = u32::try_from(delivery.failures).unwrap_or(u32::MAX).saturating_add(1);
                Attempt::Away { after: wait(timing, failures, jitter, retry_after), error }
            }
            Failure::Refused if delivery.age < timing.give_up_after => {
                let refusals = u32::try_from(delivery.attempts).unwrap_or(u32::MAX);
                Attempt::Refused { after: wait(timing, refusals, jitter, retry_after), error }
            }
            Failure::Refused | Failure::Gone => Attempt::GivenUp { error },
        }
    }

    /// Tells people what has changed, and gives up what has waited for too long.
    async fn explain(&self, delivery: &Delivery, attempt: &Attempt, failures_before: i64) -> Result<(), store::Error> {
        let name = &self.receiver.name;
        let error = match attempt {
            Attempt::Delivered => {
                if failures_before > 0 {
                    let said = format!("{name} takes notifications again");
                    self.tell("Normal", "NotificationRecovered", said).await;
                }
                return Ok(());
            }
            Attempt::Away { error, .. } => {
                if failures_before == 0 {
                    let said = format!("{name} takes no notifications: {error}; they wait, and are tried again");
                    self.tell("Warning", "NotificationFailing", said).await;
                }
                error
            }
            Attempt::Refused { error, .. } => {
                if delivery.attempts == 1 {
                    let said = format!("{name} refuses a notification: {error}; it is tried again");
                    self.tell("Warning", "NotificationFailing", said).await;
                }
                error
            }
            Attempt::GivenUp { error } => {
                self.tell("Warning", "NotificationGivenUp", format!("{name}: a notification was given up: {error}"))
                    .await;
                return Ok(());
            }
        };
        give_up_old(self.shared, self.held, name, error).await
    }

    async fn tell(&self, event_type: &str, reason: &str, message: String) {
        tell(self.shared, &self.receiver.name, (event_type, reason), message).await;
    }
}

/// Gives up what a receiver did not take in time, and the oldest of too much.
pub(crate) async fn give_up_old(shared: &Shared, held: &Held, name: &str, why: &str) -> Result<(), store::Error> {
    let limits = (shared.config.timing.give_up_after, LONGEST_QUEUE);
    let many = shared.store.give_up_notifications(name, limits, why, &held.fence).await?;
    if many > 0 {
        shared.metrics.notifications.given_up(name, many);
        // The number is in the log and the metric: sentences with numbers in them would not be counted as one event.
        tracing::warn!(receiver = name, many, error = why, "notifications were given up");
        let said = format!("{name}: notifications that could not be delivered in time were given up: {why}");
        tell(shared, name, ("Warning", "NotificationGivenUp"), said).await;
    }
    Ok(())
}

/// Writes an event about a receiver.
async fn tell(shared: &Shared, name: &str, (event_type, reason): (&str, &str), message: String) {
    let event = NewEvent {
        environment: String::new(),
        environment_uid: None,
        regarding_kind: RECEIVER.to_owned(),
        regarding_identity: name.to_owned(),
        event_type: event_type.to_owned(),
        reason: reason.to_owned(),
        message,
        details: json!({}),
        now: shared.clock.now(),
    };
    if let Err(error) = shared.store.write_events(&[event]).await {
        tracing::warn!(error = %ErrorChain(&error), "an event could not be written");
    }
}
