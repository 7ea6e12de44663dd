//! Deliveries: what is due, attempts and their ends.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::Result;
use crate::leases::check_fence;
use crate::operation::Operation;
use crate::pool::{Store, in_batches, transact};
use crate::rows::{FromStoreRow, document, milliseconds, seconds};
use crate::types::Fence;

/// So many rows are pruned in one transaction that others wait for it for milliseconds only.
const PRUNE_BATCH: i64 = 500;

/// A delivery whose attempt has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Identity; grows.
    pub id: i64,
    /// Id of the message: the same over all attempts.
    pub message_id: Uuid,
    /// The message; it changes no more.
    pub body: String,
    /// What receivers filter by.
    pub attributes: BTreeMap<String, String>,
    /// Attempts, this one included.
    pub attempts: i64,
    /// For how long it has been due.
    pub age: Duration,
    /// Attempts in a row, before this one, that found the receiver away; whoever made them.
    pub failures: i64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver has it.
    Delivered,
    /// The receiver is away: it is left alone for a while, by whoever sends, and then tried again.
    Away {
        /// After so long.
        after: Duration,
        /// Why it failed.
        error: String,
    },
    /// The receiver does not want this one: it is tried again after a while.
    Refused {
        /// After so long.
        after: Duration,
        /// Why it failed.
        error: String,
    },
    /// It is not tried again.
    GivenUp {
        /// Why it failed.
        error: String,
    },
}

impl FromStoreRow for Delivery {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            message_id: row.try_get("message_id")?,
            body: row.try_get("body")?,
            attributes: document(row, "attributes")?,
            attempts: row.try_get("attempts")?,
            age: milliseconds(row, "age_ms")?,
            failures: row.try_get("failures")?,
        })
    }
}

impl Store {
    /// Deliveries to a receiver that are due, by id, oldest first. None while it is left alone.
    pub async fn due_notifications(&self, receiver: &str, limit: u32) -> Result<Vec<i64>> {
        self.timed(Operation::ReadNotifications, async {
            Ok(sqlx::query_scalar(
                "SELECT id FROM notification_deliveries
                 WHERE receiver = $1 AND settled_at IS NULL AND next_attempt_at <= clock_timestamp()
                   AND NOT EXISTS (SELECT FROM notification_receivers r
                                   WHERE r.name = $1 AND r.resting_until > clock_timestamp())
                 ORDER BY id LIMIT $2",
            )
            .bind(receiver)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?)
        })
        .await
    }

    /// Begins an attempt: only what this answers may be sent. Should nothing be heard of it, it is due again after
    /// `patience`. `None`: it is settled, or on its way.
    ///
    /// # Errors
    /// `StaleEpoch`.
    pub async fn begin_delivery(&self, id: i64, patience: Duration, fence: &Fence) -> Result<Option<Delivery>> {
        transact!(self, Operation::SettleNotification, |tx| async {
            check_fence(tx, fence).await?;
            let row = sqlx::query(
                "UPDATE notification_deliveries d
                 SET attempts = attempts + 1, next_attempt_at = clock_timestamp() + make_interval(secs => $2)
                 WHERE id = $1 AND settled_at IS NULL AND next_attempt_at <= clock_timestamp()
                 RETURNING id, message_id, body, attributes, attempts,
                     floor(extract(epoch FROM clock_timestamp() - due_at) * 1000)::bigint AS age_ms,
                     coalesce((SELECT r.failures FROM notification_receivers r WHERE r.name = d.receiver), 0)
                         AS failures",
            )
            .bind(id)
            .bind(seconds(patience))
            .fetch_optional(tx)
            .await?;
            row.as_ref().map(Delivery::from_row).transpose()
        })
    }

    /// Records how an attempt ended, and how the receiver fares. What was delivered is delivered, whoever holds the lease
    /// now. Answers how many attempts in a row had found the receiver away before.
    pub async fn end_delivery(&self, id: i64, attempt: &Attempt) -> Result<i64> {
        let (outcome, after, error) = match attempt {
            Attempt::Delivered => (Some("Delivered"), Duration::ZERO, None),
            Attempt::Away { after, error } | Attempt::Refused { after, error } => (None, *after, Some(error)),
            Attempt::GivenUp { error } => (Some("GivenUp"), Duration::ZERO, Some(error)),
        };
        let is_away = matches!(attempt, Attempt::Away { .. });
        self.timed(Operation::SettleNotification, async {
            // All parts of the statement see what was there before it.
            let before: Option<i64> = sqlx::query_scalar(
                "WITH settled AS (
                     UPDATE notification_deliveries SET
                         outcome = $2, settled_at = CASE WHEN $2 IS NULL THEN NULL ELSE clock_timestamp() END,
                         next_attempt_at = clock_timestamp() + make_interval(secs => $3),
                         last_error = coalesce($4, last_error)
                     WHERE id = $1 AND settled_at IS NULL RETURNING receiver
                 ), told AS (
                     UPDATE notification_receivers r SET
                         last_error = coalesce($4, r.last_error),
                         last_delivered_at = CASE WHEN $2 = 'Delivered' THEN clock_timestamp()
                                                  ELSE r.last_delivered_at END,
                         failures = CASE WHEN $5 THEN r.failures + 1 WHEN $2 = 'Delivered' THEN 0
                                         ELSE r.failures END,
                         failing_since = CASE WHEN $5 THEN coalesce(r.failing_since, clock_timestamp())
                                              WHEN $2 = 'Delivered' THEN NULL ELSE r.failing_since END,
                         resting_until = CASE WHEN $5 THEN clock_timestamp() + make_interval(secs => $3)
                                              WHEN $2 = 'Delivered' THEN NULL ELSE r.resting_until END
                     FROM settled s WHERE r.name = s.receiver
                 )
                 SELECT r.failures FROM notification_receivers r JOIN settled s ON r.name = s.receiver",
            )
            .bind(id)
            .bind(outcome)
            .bind(seconds(after))
            .bind(error)
            .bind(is_away)
            .fetch_optional(self.pool())
            .await?;
            Ok(before.unwrap_or_default())
        })
        .await
    }

    /// Gives up what has been due to a receiver for longer than `age`, and the oldest of what is more than `most`.
    /// Answers how many.
    ///
    /// # Errors
    /// `StaleEpoch`.
    pub async fn give_up_notifications(
        &self,
        receiver: &str,
        (age, most): (Duration, u32),
        error: &str,
        fence: &Fence,
    ) -> Result<u64> {
        transact!(self, Operation::SettleNotification, |tx| async {
            check_fence(tx, fence).await?;
            let done = sqlx::query(
                "UPDATE notification_deliveries
                 SET outcome = 'GivenUp', settled_at = clock_timestamp(), last_error = coalesce(last_error, $4)
                 WHERE receiver = $1 AND settled_at IS NULL
                   AND (due_at <= clock_timestamp() - make_interval(secs => $2)
                        OR id <= (SELECT id FROM notification_deliveries
                                  WHERE receiver = $1 AND settled_at IS NULL ORDER BY id DESC OFFSET $3 LIMIT 1))",
            )
            .bind(receiver)
            .bind(seconds(age))
            .bind(i64::from(most))
            .bind(error)
            .execute(tx)
            .await?;
            Ok(done.rows_affected())
        })
    }

    /// Forgets what was settled longer than `age` ago, in small transactions.
    ///
    /// # Errors
    /// `StaleEpoch`.
    pub async fn prune_notifications(&self, age: Duration, fence: &Fence) -> Result<()> {
        in_batches(PRUNE_BATCH, || async {
            transact!(self, Operation::PruneNotifications, |tx| async {
                check_fence(tx, fence).await?;
                let done = sqlx::query(
                    "DELETE FROM notification_deliveries WHERE id IN (
                         SELECT id FROM notification_deliveries
                         WHERE settled_at < clock_timestamp() - make_interval(secs => $1) LIMIT $2
                     )",
                )
                .bind(seconds(age))
                .bind(PRUNE_BATCH)
                .execute(tx)
                .await?;
                Ok(done.rows_affected())
            })
        })
        .await
        .map(drop)
    }
}
