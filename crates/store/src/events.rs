//! Events: what happened, one row per meaning with a count. Kept for as long as the caller's pruning says (30 days).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::Result;
use crate::object_log::{LoggedEvent, Pen};
use crate::operation::Operation;
use crate::pool::{Store, in_batches, transact};
use crate::rows::{FromStoreRow, at, document, timestamp};
use crate::types::{Page, PageRequest};

/// How the API names the kind, also in the object log.
const KIND: &str = "Event";

/// So many rows are pruned in one transaction that others wait for it for milliseconds only.
const PRUNE_BATCH: i64 = 500;

/// One occurrence.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Name of the environment; empty for the installation itself.
    pub environment: String,
    /// The environment itself.
    pub environment_uid: Option<Uuid>,
    /// Kind of what it is about.
    pub regarding_kind: String,
    /// Its identity.
    pub regarding_identity: String,
    /// `Normal` or `Warning`.
    pub event_type: String,
    /// CamelCase reason.
    pub reason: String,
    /// One sentence. No secret value.
    pub message: String,
    /// Whatever else is known (AWS request ids, fields); of the latest occurrence.
    pub details: Value,
    /// When.
    pub now: Timestamp,
}

/// One event as stored. Also what the object log holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// Identity.
    pub uid: Uuid,
    /// Unique name.
    pub name: String,
    /// Name of the environment; empty for the installation itself.
    pub environment: String,
    /// The environment itself.
    pub environment_uid: Option<Uuid>,
    /// Kind of what it is about.
    pub regarding_kind: String,
    /// Its identity.
    pub regarding_identity: String,
    /// `Normal` or `Warning`.
    pub event_type: String,
    /// CamelCase reason.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// Of the latest occurrence.
    pub details: Value,
    /// How often.
    pub count: i64,
    /// First time.
    pub first_seen: Timestamp,
    /// Last time.
    pub last_seen: Timestamp,
    /// Changes with every occurrence.
    pub resource_version: i64,
}

/// Which events to list. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this environment.
    pub environment: Option<String>,
    /// About this kind.
    pub regarding_kind: Option<String>,
    /// About this identity.
    pub regarding_identity: Option<String>,
    /// `Normal` or `Warning`.
    pub event_type: Option<String>,
    /// For this reason.
    pub reason: Option<String>,
    /// Of this name.
    pub name: Option<String>,
}

impl FromStoreRow for EventRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self {
            uid: row.try_get("uid")?,
            name: row.try_get("name")?,
            environment: row.try_get("environment")?,
            environment_uid: row.try_get("environment_uid")?,
            regarding_kind: row.try_get("regarding_kind")?,
            regarding_identity: row.try_get("regarding_identity")?,
            event_type: row.try_get("type")?,
            reason: row.try_get("reason")?,
            message: row.try_get("message")?,
            details: document(row, "details")?,
            count: row.try_get("count")?,
            first_seen: timestamp(row, "first_seen")?,
            last_seen: timestamp(row, "last_seen")?,
            resource_version: row.try_get("resource_version")?,
        })
    }
}

/// Occurrences of one meaning within a batch.
struct Occurrences<'a> {
    latest: &'a NewEvent,
    count: i64,
    first_seen: Timestamp,
}

/// A statement may not touch a row twice: what repeats within the batch is counted here.
fn collapse(events: &[NewEvent]) -> Vec<Occurrences<'_>> {
    let mut collapsed: BTreeMap<_, Occurrences<'_>> = BTreeMap::new();
    let mut order = Vec::new();
    for event in events {
        let key = (
            &event.environment,
            &event.regarding_kind,
            &event.regarding_identity,
            &event.event_type,
            &event.reason,
            &event.message,
        );
        if let Some(seen) = collapsed.get_mut(&key) {
            seen.count += 1;
            seen.first_seen = seen.first_seen.min(event.now);
            if event.now >= seen.latest.now {
                seen.latest = event;
            }
        } else {
            order.push(key);
            collapsed.insert(key, Occurrences { latest: event, count: 1, first_seen: event.now });
        }
    }
    order.iter().filter_map(|key| collapsed.remove(key)).collect()
}

/// Writes a batch. The caller holds the pen.
pub(crate) async fn write_events_in(
    tx: &mut PgConnection,
    pen: &mut Pen,
    events: &[NewEvent],
) -> Result<Vec<EventRow>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let batch = collapse(events);
    let column = |pick: fn(&NewEvent) -> &str| batch.iter().map(|one| pick(one.latest)).collect::<Vec<_>>();
    let rows = sqlx::query(
        "WITH wanted AS MATERIALIZED (
             SELECT w.*, gen_random_uuid() AS uid,
                    sha256(convert_to(concat_ws(chr(31), kind, identity, type, reason, message), 'UTF8')) AS fingerprint
             FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::jsonb[], $9::bigint[], $10::timestamptz[], $11::timestamptz[], $12::bigint[])
                  AS w (environment, environment_uid, kind, identity, type, reason, message,
                        details, count, first_seen, last_seen, version)
         )
         INSERT INTO events AS e (uid, name, environment, environment_uid, regarding_kind, regarding_identity, type,
                                  reason, message, fingerprint, details, count, first_seen, last_seen, resource_version)
         SELECT uid, concat(coalesce(nullif(environment, ''), 'operator'), '.', left(replace(uid::text, '-', ''), 16)),
                environment, environment_uid, kind, identity, type, reason, message, fingerprint, details, count,
                first_seen, last_seen, version
         FROM wanted
         ON CONFLICT ON CONSTRAINT events_fingerprint_key DO UPDATE SET
             count = e.count + excluded.count, first_seen = least(e.first_seen, excluded.first_seen),
             last_seen = greatest(e.last_seen, excluded.last_seen), details = excluded.details,
             environment_uid = excluded.environment_uid, resource_version = excluded.resource_version
         RETURNING e.*, e.xmax = 0 AS inserted",
    )
    .bind(column(|event| &event.environment))
    .bind(batch.iter().map(|one| one.latest.environment_uid).collect::<Vec<_>>())
    .bind(column(|event| &event.regarding_kind))
    .bind(column(|event| &event.regarding_identity))
    .bind(column(|event| &event.event_type))
    .bind(column(|event| &event.reason))
    .bind(column(|event| &event.message))
    .bind(batch.iter().map(|one| Json(&one.latest.details)).collect::<Vec<_>>())
    .bind(batch.iter().map(|one| one.count).collect::<Vec<_>>())
    .bind(batch.iter().map(|one| at(one.first_seen)).collect::<Vec<_>>())
    .bind(batch.iter().map(|one| at(one.latest.now)).collect::<Vec<_>>())
    .bind(batch.iter().map(|_| pen.next()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let mut written = Vec::with_capacity(rows.len());
    for row in &rows {
        let event = EventRow::from_row(row)?;
        let logged = if row.try_get("inserted")? { LoggedEvent::Added } else { LoggedEvent::Modified };
        pen.log((KIND, &event.name), event.resource_version, logged, &event)?;
        written.push(event);
    }
    Ok(written)
}

impl Store {
    /// Writes a batch of events in one transaction; repeated ones raise a count.
    pub async fn write_events(&self, events: &[NewEvent]) -> Result<Vec<EventRow>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        transact!(self, Operation::WriteEvents, |tx| async {
            let mut pen = Pen::take(tx).await?;
            let written = write_events_in(tx, &mut pen, events).await?;
            pen.put_down(tx).await?;
            Ok(written)
        })
    }

    /// A page of events, ordered by name.
    pub async fn list_events(&self, filter: &EventFilter, page: &PageRequest) -> Result<Page<EventRow>> {
        self.timed(Operation::ListEvents, async {
            let rows = sqlx::query(
                "SELECT c.resource_version AS store_version, e.*
                 FROM counter c LEFT JOIN LATERAL (
                     SELECT * FROM events
                     WHERE name > $1 AND ($2::text IS NULL OR environment = $2)
                       AND ($3::text IS NULL OR regarding_kind = $3) AND ($4::text IS NULL OR regarding_identity = $4)
                       AND ($5::text IS NULL OR type = $5) AND ($6::text IS NULL OR reason = $6)
                       AND ($7::text IS NULL OR name = $7)
                     ORDER BY name LIMIT $8
                 ) e ON true
                 ORDER BY e.name",
            )
            .bind(page.after.as_deref().unwrap_or_default())
            .bind(&filter.environment)
            .bind(&filter.regarding_kind)
            .bind(&filter.regarding_identity)
            .bind(&filter.event_type)
            .bind(&filter.reason)
            .bind(&filter.name)
            .bind(page.sql_limit())
            .fetch_all(self.pool())
            .await?;
            page.fill(&rows, |row: &EventRow| row.name.clone())
        })
        .await
    }

    /// The latest events, newest first.
    pub async fn recent_events(&self, filter: &EventFilter, limit: u32) -> Result<Vec<EventRow>> {
        self.timed(Operation::ListEvents, async {
            let rows = sqlx::query(
                "SELECT * FROM events
                 WHERE ($1::text IS NULL OR environment = $1)
                   AND ($2::text IS NULL OR regarding_kind = $2) AND ($3::text IS NULL OR regarding_identity = $3)
                   AND ($4::text IS NULL OR type = $4) AND ($5::text IS NULL OR reason = $5)
                   AND ($6::text IS NULL OR name = $6)
                 ORDER BY last_seen DESC, resource_version DESC LIMIT $7",
            )
            .bind(&filter.environment)
            .bind(&filter.regarding_kind)
            .bind(&filter.regarding_identity)
            .bind(&filter.event_type)
            .bind(&filter.reason)
            .bind(&filter.name)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
            EventRow::from_rows(&rows)
        })
        .await
    }

    /// Forgets events last seen before a time, in small transactions; watchers see them deleted.
    pub async fn prune_events(&self, before: Timestamp) -> Result<u64> {
        in_batches(PRUNE_BATCH, || async {
            transact!(self, Operation::PruneEvents, |tx| async {
                let mut pen = Pen::take(tx).await?;
                let rows = sqlx::query(
                    "DELETE FROM events WHERE uid IN (
                         SELECT uid FROM events WHERE last_seen < $1 ORDER BY last_seen LIMIT $2
                     ) RETURNING *",
                )
                .bind(at(before))
                .bind(PRUNE_BATCH)
                .fetch_all(&mut *tx)
                .await?;
                for mut event in EventRow::from_rows(&rows)? {
                    event.resource_version = pen.next();
                    pen.log((KIND, &event.name), event.resource_version, LoggedEvent::Deleted, &event)?;
                }
                pen.put_down(tx).await?;
                Ok(rows.len() as u64)
            })
        })
        .await
    }
}
