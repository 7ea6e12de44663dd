//! Reading the trail: entries, what AWS was asked for because of them, and the chain itself for whoever verifies it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{AuditRow, Checkpoint, Head, KIND, Link};
use crate::error::{Error, Result};
use crate::journal::JournalRow;
use crate::operation::Operation;
use crate::pool::Store;
use crate::rows::{FromStoreRow, at, at_optional, milliseconds, optional_timestamp, timestamp};
use crate::types::{Page, PageRequest};

/// Which entries to list. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this environment.
    pub environment: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// What was done, in a word.
    pub verb: Option<String>,
    /// On this kind of object.
    pub kind: Option<String>,
    /// `Accepted` or `Refused`.
    pub outcome: Option<String>,
}

/// How far the chain has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditState {
    /// The newest entry; 0 before the first.
    pub sequence: i64,
    /// Entries that wait to be chained.
    pub pending: i64,
    /// How long the oldest of them has been waiting.
    pub oldest_pending: Option<Duration>,
}

impl FromStoreRow for AuditRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        let content = serde_json::from_str(row.try_get("content")?);
        let hash = |column: &str| row.try_get::<Vec<u8>, _>(column).map(hex::encode);
        Ok(Self {
            sequence: row.try_get("sequence")?,
            resource_version: row.try_get("resource_version")?,
            uid: row.try_get("uid")?,
            occurred_at: timestamp(row, "occurred_at")?,
            environment: row.try_get("environment")?,
            environment_uid: row.try_get("environment_uid")?,
            generation: row.try_get("generation")?,
            acts_since: optional_timestamp(row, "acts_since")?,
            content: content.map_err(|source| Error::Corrupt { what: "audit entry", source })?,
            previous: hash("previous")?,
            hash: hash("hash")?,
        })
    }
}

pub(super) fn rows(rows: &[PgRow]) -> Result<Vec<AuditRow>> {
    AuditRow::from_rows(rows)
}

impl Store {
    /// A page of the trail, oldest first.
    pub async fn list_audit(&self, filter: &AuditFilter, page: &PageRequest) -> Result<Page<AuditRow>> {
        let after: i64 = page.after.as_deref().and_then(|after| after.parse().ok()).unwrap_or(0);
        self.timed(Operation::ReadAudit, async {
            let rows = sqlx::query(
                "SELECT c.resource_version AS store_version, a.*
                 FROM counter c LEFT JOIN LATERAL (
                     SELECT * FROM audit_log
                     WHERE sequence > $1 AND ($2::text IS NULL OR environment = $2)
                       AND ($3::text IS NULL OR actor = $3) AND ($4::text IS NULL OR verb = $4)
                       AND ($5::text IS NULL OR kind = $5) AND ($6::text IS NULL OR outcome = $6)
                     ORDER BY sequence LIMIT $7
                 ) a ON true
                 ORDER BY a.sequence",
            )
            .bind(after)
            .bind(&filter.environment)
            .bind(&filter.actor)
            .bind(&filter.verb)
            .bind(&filter.kind)
            .bind(&filter.outcome)
            .bind(page.sql_limit())
            .fetch_all(self.pool())
            .await?;
            page.fill(&rows, AuditRow::name)
        })
        .await
    }

    /// One entry.
    pub async fn get_audit(&self, sequence: i64) -> Result<AuditRow> {
        self.timed(Operation::ReadAudit, async {
            let row = sqlx::query("SELECT * FROM audit_log WHERE sequence = $1")
                .bind(sequence)
                .fetch_optional(self.pool())
                .await?;
            row.as_ref().map(AuditRow::from_row).transpose()?.ok_or_else(|| Error::not_found(KIND, sequence))
        })
        .await
    }

    /// What AWS was asked for because of these entries, by sequence, oldest first, at most `limit` of each: the journal's
    /// rows of the generation that the entry left in force, begun after it.
    pub async fn acts_of(&self, entries: &[&AuditRow], limit: u32) -> Result<BTreeMap<i64, Vec<JournalRow>>> {
        type Wanted = (i64, Uuid, i64, Option<jiff_sqlx::Timestamp>);
        let wanted: Vec<Wanted> = entries
            .iter()
            .filter_map(|row| Some((row.sequence, row.environment_uid?, row.generation?, at_optional(row.acts_since))))
            .collect();
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.timed(Operation::ReadAudit, async {
            let rows = sqlx::query(
                "SELECT w.sequence AS for_sequence, j.*
                 FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::timestamptz[])
                      AS w (sequence, environment_uid, generation, since)
                 CROSS JOIN LATERAL (
                     SELECT * FROM journal
                     WHERE environment_uid = w.environment_uid AND generation = w.generation
                       AND (w.since IS NULL OR begun_at >= w.since)
                     ORDER BY id LIMIT $5
                 ) j
                 ORDER BY w.sequence, j.id",
            )
            .bind(wanted.iter().map(|one| one.0).collect::<Vec<_>>())
            .bind(wanted.iter().map(|one| one.1).collect::<Vec<_>>())
            .bind(wanted.iter().map(|one| one.2).collect::<Vec<_>>())
            .bind(wanted.iter().map(|one| one.3).collect::<Vec<_>>())
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
            let mut acts: BTreeMap<i64, Vec<JournalRow>> = BTreeMap::new();
            for row in &rows {
                acts.entry(row.try_get("for_sequence")?).or_default().push(JournalRow::from_row(row)?);
            }
            Ok(acts)
        })
        .await
    }

    /// How far the chain has come.
    pub async fn audit_state(&self) -> Result<AuditState> {
        self.timed(Operation::ReadAudit, async {
            let row = sqlx::query(
                "SELECT coalesce((SELECT max(sequence) FROM audit_log), 0) AS sequence, count(*) AS pending,
                        coalesce(floor(extract(epoch FROM clock_timestamp() - min(occurred_at)) * 1000), 0)::bigint
                            AS oldest_ms
                 FROM audit_pending",
            )
            .fetch_one(self.pool())
            .await?;
            let pending: i64 = row.try_get("pending")?;
            let oldest = milliseconds(&row, "oldest_ms")?;
            Ok(AuditState {
                sequence: row.try_get("sequence")?,
                pending,
                oldest_pending: (pending > 0).then_some(oldest),
            })
        })
        .await
    }

    /// Where the chain ends; `None` before the first entry.
    pub async fn audit_head(&self) -> Result<Option<Head>> {
        self.timed(Operation::ReadAudit, async {
            let row = sqlx::query("SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1")
                .fetch_optional(self.pool())
                .await?;
            row.as_ref().map(head).transpose()
        })
        .await
    }

    /// Entries after one, as they are stored: for verification.
    pub async fn audit_links(&self, after: i64, limit: u32) -> Result<Vec<Link>> {
        self.timed(Operation::ReadAudit, async {
            let rows = sqlx::query("SELECT * FROM audit_log WHERE sequence > $1 ORDER BY sequence LIMIT $2")
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(self.pool())
                .await?;
            rows.iter().map(link).collect()
        })
        .await
    }

    /// Where entries were cut off.
    pub async fn audit_checkpoints(&self) -> Result<Vec<Checkpoint>> {
        self.timed(Operation::ReadAudit, async {
            let rows = sqlx::query("SELECT through, hash FROM audit_checkpoints ORDER BY through")
                .fetch_all(self.pool())
                .await?;
            rows.iter()
                .map(|row| Ok(Checkpoint { through: row.try_get("through")?, hash: row.try_get("hash")? }))
                .collect()
        })
        .await
    }
}

pub(super) fn head(row: &PgRow) -> Result<Head> {
    let hash: Vec<u8> = row.try_get("hash")?;
    let hash = hash.as_slice().try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Head { sequence: row.try_get("sequence")?, hash })
}

fn link(row: &PgRow) -> Result<Link> {
    let text = |column: &str| row.try_get::<String, _>(column).map(Value::from);
    let environment_uid: Option<Uuid> = row.try_get("environment_uid")?;
    let generation: Option<i64> = row.try_get("generation")?;
    // Put as the content puts it.
    let time = |time: jiff::Timestamp| json!(at(time).to_jiff());
    Ok(Link {
        sequence: row.try_get("sequence")?,
        content: row.try_get("content")?,
        previous: row.try_get("previous")?,
        hash: row.try_get("hash")?,
        columns: vec![
            ("/uid", json!(row.try_get::<Uuid, _>("uid")?)),
            ("/at", time(timestamp(row, "occurred_at")?)),
            ("/actor", text("actor")?),
            ("/verb", text("verb")?),
            ("/object/kind", text("kind")?),
            ("/object/name", text("name")?),
            ("/environment", text("environment")?),
            ("/environmentUid", json!(environment_uid)),
            ("/generation", json!(generation)),
            ("/actsSince", optional_timestamp(row, "acts_since")?.map_or(Value::Null, time)),
            ("/outcome", text("outcome")?),
        ],
    })
}
