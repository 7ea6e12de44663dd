//! Receivers: since when each is told, and how it fares. Only the holder of the lease writes here.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::error::Result;
use crate::leases::check_fence;
use crate::operation::Operation;
use crate::pool::{Store, transact};
use crate::rows::{FromStoreRow, milliseconds, optional_timestamp, seconds, timestamp};
use crate::types::Fence;

/// From where events are followed, and for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enrolment {
    /// Up to where the events have been followed.
    pub cursor: i64,
    /// The receivers by name, and the version after which each is told of events.
    pub receivers: BTreeMap<String, i64>,
}

/// How a receiver fares, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverRow {
    /// Its name.
    pub name: String,
    /// It is told what happened since.
    pub enrolled_at: Timestamp,
    /// Messages that are due and not delivered.
    pub waiting: i64,
    /// For how long the oldest of them has been due.
    pub oldest: Duration,
    /// Attempts in a row that found it away.
    pub failures: i64,
    /// Since when it takes nothing.
    pub failing_since: Option<Timestamp>,
    /// Why the latest attempt failed that did.
    pub last_error: Option<String>,
    /// When it last took a message.
    pub last_delivered_at: Option<Timestamp>,
}

impl FromStoreRow for ReceiverRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            enrolled_at: timestamp(row, "enrolled_at")?,
            waiting: row.try_get("waiting")?,
            oldest: milliseconds(row, "oldest_ms")?,
            failures: row.try_get("failures")?,
            failing_since: optional_timestamp(row, "failing_since")?,
            last_error: row.try_get("last_error")?,
            last_delivered_at: optional_timestamp(row, "last_delivered_at")?,
        })
    }
}

impl Store {
    /// Says who is told from now on. A new receiver is told of what happens after this, the first one ever included: what
    /// happened before is nobody's news. With no name at all, all receivers are forgotten.
    ///
    /// # Errors
    /// `StaleEpoch`.
    pub async fn enrol_receivers(&self, names: &[&str], fence: &Fence) -> Result<Enrolment> {
        transact!(self, Operation::EnrolReceivers, |tx| async {
            check_fence(tx, fence).await?;
            if names.is_empty() {
                forget(tx, &[], Duration::ZERO).await?;
                return Ok(Enrolment::default());
            }
            sqlx::query(
                "INSERT INTO notification_cursor (resource_version) SELECT resource_version FROM counter
                 ON CONFLICT ON CONSTRAINT notification_cursor_pkey DO NOTHING",
            )
            .execute(&mut *tx)
            .await?;
            sqlx::query(
                "INSERT INTO notification_receivers (name, after_version)
                 SELECT name, resource_version FROM unnest($1::text[]) AS name, counter
                 ON CONFLICT ON CONSTRAINT notification_receivers_pkey DO UPDATE SET seen_at = clock_timestamp()",
            )
            .bind(names)
            .execute(&mut *tx)
            .await?;
            let cursor =
                sqlx::query_scalar("SELECT resource_version FROM notification_cursor").fetch_one(&mut *tx).await?;
            let rows = sqlx::query("SELECT name, after_version FROM notification_receivers WHERE name = ANY ($1)")
                .bind(names)
                .fetch_all(tx)
                .await?;
            let mut receivers = BTreeMap::new();
            for row in &rows {
                receivers.insert(row.try_get("name")?, row.try_get("after_version")?);
            }
            Ok(Enrolment { cursor, receivers })
        })
    }

    /// Forgets receivers that have not been configured for `grace`: while replicas are replaced, one with the old
    /// configuration may hold the lease for a moment. Answers how many of their deliveries were dropped.
    ///
    /// # Errors
    /// `StaleEpoch`.
    pub async fn forget_receivers(&self, names: &[&str], grace: Duration, fence: &Fence) -> Result<u64> {
        transact!(self, Operation::EnrolReceivers, |tx| async {
            check_fence(tx, fence).await?;
            sqlx::query("UPDATE notification_receivers SET seen_at = clock_timestamp() WHERE name = ANY ($1)")
                .bind(names)
                .execute(&mut *tx)
                .await?;
            forget(tx, names, grace).await
        })
    }

    /// Every receiver, how it fares, and what waits for it.
    pub async fn notification_receivers(&self) -> Result<Vec<ReceiverRow>> {
        self.timed(Operation::ReadNotifications, async {
            let rows = sqlx::query(
                "SELECT r.*, coalesce(w.waiting, 0) AS waiting,
                        coalesce(floor(extract(epoch FROM clock_timestamp() - w.oldest) * 1000), 0)::bigint AS oldest_ms
                 FROM notification_receivers r LEFT JOIN (
                     SELECT receiver, count(*) AS waiting, min(due_at) AS oldest FROM notification_deliveries
                     WHERE settled_at IS NULL AND due_at <= clock_timestamp() GROUP BY receiver
                 ) w ON w.receiver = r.name
                 ORDER BY r.name",
            )
            .fetch_all(self.pool())
            .await?;
            ReceiverRow::from_rows(&rows)
        })
        .await
    }
}

async fn forget(tx: &mut PgConnection, but: &[&str], grace: Duration) -> Result<u64> {
    let dropped = sqlx::query(
        "WITH gone AS (
             DELETE FROM notification_receivers
             WHERE name <> ALL ($1) AND seen_at <= clock_timestamp() - make_interval(secs => $2) RETURNING name
         )
         UPDATE notification_deliveries SET outcome = 'Dropped', settled_at = clock_timestamp(),
                last_error = 'the receiver is no longer configured'
         WHERE settled_at IS NULL AND receiver IN (SELECT name FROM gone)",
    )
    .bind(but)
    .bind(seconds(grace))
    .execute(tx)
    .await?;
    Ok(dropped.rows_affected())
}
