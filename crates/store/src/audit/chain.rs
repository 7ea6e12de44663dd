//! The one writer behind: moves what waits into the chain, and cuts off what is too old, leaving a checkpoint.
//!
//! Whoever calls this holds the lease `AUDIT_SHARD`; its epoch is checked in the same transaction. Should two writers get
//! this far all the same, the sequence's key and that of the pending entry let only one of them commit.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::act::PRUNE;
use super::verify::{BEGINNING, Hash, canonical, hash_of};
use super::{Act, AuditRow, KIND, Refusal, name_of};
use crate::error::{Error, Result};
use crate::leases::check_fence;
use crate::object_log::{LoggedEvent, Pen};
use crate::operation::Operation;
use crate::pool::{Store, in_batches, transact};
use crate::rows::{at, at_optional, seconds, timestamp};
use crate::types::Fence;

/// The shard whose owner writes the chain. No account has such a name.
pub const AUDIT_SHARD: &str = "audit";

/// So many entries are chained in one transaction that writers wait for it for milliseconds only.
const BATCH: i64 = 200;

/// So many entries are cut off in one transaction.
const PRUNE_BATCH: i64 = 1000;

/// What one call moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chained {
    /// So many entries.
    pub moved: usize,
    /// Whether more may wait.
    pub more: bool,
}

struct Pending {
    id: i64,
    uid: Uuid,
    occurred_at: jiff::Timestamp,
    entry: Value,
}

impl Pending {
    fn from_row(row: &PgRow) -> Result<Self> {
        let entry = serde_json::from_str(row.try_get("entry")?);
        Ok(Self {
            id: row.try_get("id")?,
            uid: row.try_get("uid")?,
            occurred_at: timestamp(row, "occurred_at")?,
            entry: entry.map_err(|source| Error::Corrupt { what: "audit entry", source })?,
        })
    }
}

/// Entries with their place in the chain, as columns.
#[derive(Default)]
struct Columns {
    rows: Vec<AuditRow>,
    pending: Vec<i64>,
    contents: Vec<String>,
    previous: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
}

impl Columns {
    /// Puts what waits behind the head.
    fn after((mut sequence, mut previous): (i64, Hash), pending: Vec<Pending>) -> Self {
        let mut columns = Self::default();
        for Pending { id, uid, occurred_at, mut entry } in pending {
            sequence += 1;
            entry["sequence"] = json!(sequence);
            entry["uid"] = json!(uid);
            entry["at"] = json!(occurred_at);
            let content = canonical(&entry);
            let hash = hash_of(&previous, &content);
            columns.rows.push(AuditRow {
                sequence,
                resource_version: 0,
                uid,
                occurred_at,
                environment: entry["environment"].as_str().unwrap_or_default().to_owned(),
                environment_uid: entry["environmentUid"].as_str().and_then(|uid| uid.parse().ok()),
                generation: entry["generation"].as_i64(),
                acts_since: entry["actsSince"].as_str().and_then(|at| at.parse().ok()),
                previous: hex::encode(previous),
                hash: hex::encode(hash),
                content: entry,
            });
            columns.pending.push(id);
            columns.contents.push(content);
            columns.previous.push(previous.to_vec());
            columns.hashes.push(hash.to_vec());
            previous = hash;
        }
        columns
    }

    fn texts(&self, pointer: &str) -> Vec<String> {
        let text = |row: &AuditRow| row.content.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.rows.iter().map(text).collect()
    }

    async fn write(mut self, tx: &mut PgConnection, fence: &Fence) -> Result<usize> {
        let mut pen = Pen::take(tx).await?;
        check_fence(tx, fence).await?;
        for row in &mut self.rows {
            row.resource_version = pen.next();
        }
        sqlx::query(
            "INSERT INTO audit_log (sequence, resource_version, pending_id, uid, occurred_at, actor, verb, kind, name,
                                    environment, environment_uid, generation, acts_since, outcome, content, previous,
                                    hash)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::text[],
                                  $7::text[], $8::text[], $9::text[], $10::text[], $11::uuid[], $12::bigint[],
                                  $13::timestamptz[], $14::text[], $15::text[], $16::bytea[], $17::bytea[])",
        )
        .bind(self.rows.iter().map(|row| row.sequence).collect::<Vec<_>>())
        .bind(self.rows.iter().map(|row| row.resource_version).collect::<Vec<_>>())
        .bind(&self.pending)
        .bind(self.rows.iter().map(|row| row.uid).collect::<Vec<_>>())
        .bind(self.rows.iter().map(|row| at(row.occurred_at)).collect::<Vec<_>>())
        .bind(self.texts("/actor"))
        .bind(self.texts("/verb"))
        .bind(self.texts("/object/kind"))
        .bind(self.texts("/object/name"))
        .bind(self.texts("/environment"))
        .bind(self.rows.iter().map(|row| row.environment_uid).collect::<Vec<_>>())
        .bind(self.rows.iter().map(|row| row.generation).collect::<Vec<_>>())
        .bind(self.rows.iter().map(|row| at_optional(row.acts_since)).collect::<Vec<_>>())
        .bind(self.texts("/outcome"))
        .bind(&self.contents)
        .bind(&self.previous)
        .bind(&self.hashes)
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM audit_pending WHERE id = ANY ($1)").bind(&self.pending).execute(&mut *tx).await?;
        for row in &self.rows {
            pen.log((KIND, &row.name()), row.resource_version, LoggedEvent::Added, row)?;
        }
        pen.put_down(tx).await?;
        Ok(self.rows.len())
    }
}

impl Store {
    /// Moves the oldest entries that wait into the chain. Nothing waits: one read, no write.
    ///
    /// # Errors
    /// `StaleEpoch`; `Violates` when another writer was there first.
    pub async fn chain_audit(&self, fence: &Fence) -> Result<Chained> {
        self.timed(Operation::ChainAudit, async {
            // Read and hashed before the pen is taken, so that nobody waits for that: this is the only writer.
            let rows = sqlx::query("SELECT id, uid, occurred_at, entry FROM audit_pending ORDER BY id LIMIT $1")
                .bind(BATCH)
                .fetch_all(self.pool())
                .await?;
            if rows.is_empty() {
                return Ok(Chained::default());
            }
            let pending = rows.iter().map(Pending::from_row).collect::<Result<Vec<_>>>()?;
            let head = self.audit_head().await?.map_or((0, BEGINNING), |head| (head.sequence, head.hash));
            let mut tx = self.begin().await?;
            let moved = Columns::after(head, pending).write(&mut tx, fence).await?;
            tx.commit().await?;
            Ok(Chained { moved, more: moved as i64 == BATCH })
        })
        .await
    }

    /// Cuts off entries that happened longer than `age` ago, oldest first and never the newest of all, in small
    /// transactions; each leaves a checkpoint and an entry that tells of it. Answers how many went.
    ///
    /// # Errors
    /// `StaleEpoch`.
    pub async fn prune_audit(&self, age: Duration, fence: &Fence) -> Result<u64> {
        in_batches(PRUNE_BATCH, || async { transact!(self, Operation::PruneAudit, |tx| prune_batch(tx, age, fence)) })
            .await
    }

    /// Tells of a request that was refused before it could write anything.
    pub async fn record_refusal(&self, refusal: &Refusal) -> Result<()> {
        let Some(origin) = self.origin() else { return Ok(()) };
        self.timed(Operation::RecordRefusal, async {
            sqlx::query("INSERT INTO audit_pending (entry) VALUES ($1)")
                .bind(refusal.entry(origin))
                .execute(self.pool())
                .await?;
            Ok(())
        })
        .await
    }
}

async fn prune_batch(tx: &mut PgConnection, age: Duration, fence: &Fence) -> Result<u64> {
    let mut pen = Pen::take(tx).await?;
    check_fence(tx, fence).await?;
    let cut = sqlx::query(
        "WITH oldest AS (
             SELECT sequence, occurred_at FROM audit_log
             WHERE sequence < (SELECT max(sequence) FROM audit_log) ORDER BY sequence LIMIT $2
         )
         INSERT INTO audit_checkpoints (through, hash)
         SELECT sequence, hash FROM audit_log
         WHERE sequence = (SELECT max(sequence) FROM oldest
                           WHERE occurred_at < clock_timestamp() - make_interval(secs => $1))
         RETURNING through, hash",
    )
    .bind(seconds(age))
    .bind(PRUNE_BATCH)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(cut) = cut else { return Ok(0) };
    let (through, hash): (i64, Vec<u8>) = (cut.try_get("through")?, cut.try_get("hash")?);
    let rows =
        sqlx::query("DELETE FROM audit_log WHERE sequence <= $1 RETURNING *").bind(through).fetch_all(&mut *tx).await?;
    for mut row in super::read::rows(&rows)? {
        row.resource_version = pen.next();
        pen.log((KIND, &name_of(row.sequence)), row.resource_version, LoggedEvent::Deleted, &row)?;
    }
    let details = json!({ "through": through, "hash": hex::encode(hash), "entries": rows.len() });
    pen.audit(None, Act { verb: PRUNE, kind: KIND, name: &name_of(through), details, ..Act::default() });
    pen.put_down(tx).await?;
    Ok(rows.len() as u64)
}
