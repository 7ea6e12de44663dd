//! The outbox of notifications: how far the stored events have been followed, who is told, and what waits to be delivered.
//!
//! Guarantees: the cursor moves in the transaction that queues what it passed, so no event is missed by a crash. One
//! sender works at a time: each step checks its lease. A delivery may be sent twice, under one id; it is settled once.

mod deliveries;
mod receivers;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::Row;
use uuid::Uuid;

pub use deliveries::{Attempt, Delivery};
pub use receivers::{Enrolment, ReceiverRow};

use crate::error::Result;
use crate::events::EventRow;
use crate::leases::check_fence;
use crate::operation::Operation;
use crate::pool::{Store, transact};
use crate::rows::{FromStoreRow, document, seconds};
use crate::types::Fence;

/// Something to deliver.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    /// Name of the receiver.
    pub receiver: String,
    /// The event that it tells of.
    pub event_uid: Uuid,
    /// The message, as it is sent.
    pub body: String,
    /// What receivers filter by.
    pub attributes: BTreeMap<String, String>,
    /// So long passes between two messages about the same event.
    pub repeat_after: Duration,
}

/// What became of what was to be queued, by receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queued {
    /// Deliveries that now wait.
    pub queued: BTreeMap<String, u64>,
    /// Occurrences that a message tells of that was waiting anyway.
    pub merged: BTreeMap<String, u64>,
}

impl Store {
    /// Events whose latest occurrence is after `resource_version`, in the order of commits.
    pub async fn events_after(&self, resource_version: i64, limit: u32) -> Result<Vec<EventRow>> {
        self.timed(Operation::FollowEvents, async {
            let rows =
                sqlx::query("SELECT * FROM events WHERE resource_version > $1 ORDER BY resource_version LIMIT $2")
                    .bind(resource_version)
                    .bind(i64::from(limit))
                    .fetch_all(self.pool())
                    .await?;
            EventRow::from_rows(&rows)
        })
        .await
    }

    /// Labels of the environments of these names; of those that are there.
    pub async fn labels_of(&self, names: &[&str]) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        self.timed(Operation::FollowEvents, async {
            let rows = sqlx::query("SELECT name, labels FROM environments WHERE name = ANY ($1)")
                .bind(names)
                .fetch_all(self.pool())
                .await?;
            rows.iter().map(|row| Ok((row.try_get("name")?, document(row, "labels")?))).collect()
        })
        .await
    }

    /// Queues deliveries and moves the cursor, together. What a message that was not begun yet tells of already is merged
    /// into it; a repetition of what was sent not long ago waits until `repeat_after` has passed. No two of `new` are about
    /// the same event for the same receiver.
    ///
    /// # Errors
    /// `StaleEpoch`.
    pub async fn queue_notifications(&self, through: i64, new: &[NewDelivery], fence: &Fence) -> Result<Queued> {
        transact!(self, Operation::QueueNotifications, |tx| async {
            check_fence(tx, fence).await?;
            let attributes = new.iter().map(|one| serde_json::json!(one.attributes)).collect::<Vec<Value>>();
            // The row is locked as it is read: an attempt that begins meanwhile has the old contents, and then this
            // occurrence is told by a message of its own.
            let rows = sqlx::query(
                "WITH moved AS (UPDATE notification_cursor SET resource_version = $1 WHERE resource_version < $1),
                 wanted AS MATERIALIZED (
                     SELECT w.*, e.id AS earlier, coalesce(e.unsent, false) AS unsent,
                            e.due_at + make_interval(secs => w.repeat_s) AS free_at
                     FROM unnest($2::text[], $3::uuid[], $4::text[], $5::jsonb[], $6::float8[])
                          AS w (receiver, event_uid, body, attributes, repeat_s)
                     LEFT JOIN LATERAL (
                         SELECT d.id, d.due_at, d.settled_at IS NULL AND d.attempts = 0 AS unsent
                         FROM notification_deliveries d
                         WHERE d.event_uid = w.event_uid AND d.receiver = w.receiver
                         ORDER BY d.id DESC LIMIT 1 FOR UPDATE
                     ) e ON true
                 ), merged AS (
                     UPDATE notification_deliveries d
                     SET body = w.body, attributes = w.attributes, merged = d.merged + 1
                     FROM wanted w WHERE d.id = w.earlier AND w.unsent RETURNING d.receiver
                 ), queued AS (
                     INSERT INTO notification_deliveries
                         (receiver, event_uid, body, attributes, due_at, next_attempt_at)
                     SELECT receiver, event_uid, body, attributes, due, due
                     FROM wanted, LATERAL (SELECT greatest(clock_timestamp(), free_at) AS due) t
                     WHERE NOT unsent
                     RETURNING receiver
                 )
                 SELECT receiver, true AS queued, count(*) AS many FROM queued GROUP BY receiver
                 UNION ALL SELECT receiver, false, count(*) FROM merged GROUP BY receiver",
            )
            .bind(through)
            .bind(new.iter().map(|one| &*one.receiver).collect::<Vec<_>>())
            .bind(new.iter().map(|one| one.event_uid).collect::<Vec<_>>())
            .bind(new.iter().map(|one| &*one.body).collect::<Vec<_>>())
            .bind(attributes)
            .bind(new.iter().map(|one| seconds(one.repeat_after)).collect::<Vec<_>>())
            .fetch_all(tx)
            .await?;
            let mut done = Queued::default();
            for row in &rows {
                let many: i64 = row.try_get("many")?;
                let to = if row.try_get("queued")? { &mut done.queued } else { &mut done.merged };
                to.insert(row.try_get("receiver")?, many.unsigned_abs());
            }
            Ok(done)
        })
    }
}
