//! The journal of mutations: an intent before every AWS call that changes something, settled after it. What a crash
//! leaves open is found here and resolved by looking at AWS.
//!
//! Bodies must hold no secret value; that is the caller's duty. Times are the caller's clock.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::pool::{Store, in_batches, transact};
use crate::rows::{FromStoreRow, at, document, optional_timestamp, resource_key, timestamp};
use crate::types::{Fence, ResourceKey};

/// So many old rows are forgotten at once: far below what the bound on one call allows.
const PRUNE_BATCH: i64 = 1000;

/// The advisory lock of those who ask for a place under the blast-radius cap. Any number that nothing else uses.
const CAP_LOCK: i64 = 0x6563_6f63_6170;

/// How many environments may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// So many at most.
    pub most: u64,
    /// Those that were changed since then count.
    pub since: Timestamp,
}

/// What came of an intent under the cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It was written, under this id.
    As(i64),
    /// Nothing was written: others have all places. When each of them wrote last, oldest first.
    Full(Vec<Timestamp>),
}

/// A mutation that is about to be tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// The environment.
    pub environment_uid: Uuid,
    /// Its name.
    pub environment: String,
    /// The generation that asks for it.
    pub generation: i64,
    /// The AWS object.
    pub resource: ResourceKey,
    /// The step, as the plan names it.
    pub step: String,
    /// What the step changes: fields, from, to. No secret value.
    pub body: Value,
    /// Its risk, as the plan names it.
    pub risk: String,
    /// Idempotency token or deterministic name of the call.
    pub token: String,
    /// The caller's clock.
    pub now: Timestamp,
}

/// What is known of a mutation after its call.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString, strum::IntoStaticStr,
)]
pub enum MutationOutcome {
    /// It took effect.
    Applied,
    /// It did not.
    NotApplied,
    /// It may have: look before planning.
    Unknown,
}

/// How a mutation is settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// AWS request id.
    pub request_id: Option<String>,
    /// Class of the error, if there was one.
    pub error_class: Option<String>,
    /// What verification saw: whether the write had its effect. Unset while not verified.
    pub effective: Option<bool>,
}

/// One journal row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalRow {
    /// Identity; grows in the order of intents.
    pub id: i64,
    /// The environment.
    pub environment_uid: Uuid,
    /// Its name.
    pub environment: String,
    /// The generation that asked for it.
    pub generation: i64,
    /// The AWS object.
    pub resource: ResourceKey,
    /// The step.
    pub step: String,
    /// What the step changes.
    pub body: Value,
    /// Its risk.
    pub risk: String,
    /// The lease epoch under which it was begun.
    pub epoch: i64,
    /// Idempotency token or deterministic name.
    pub token: String,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When it was settled last.
    pub resolved_at: Option<Timestamp>,
    /// What is known of it; `None` between intent and settlement.
    pub outcome: Option<MutationOutcome>,
    /// AWS request id.
    pub request_id: Option<String>,
    /// Class of the error.
    pub error_class: Option<String>,
    /// Whether the write had its effect, as verified.
    pub effective: Option<bool>,
}

/// Which journal rows to list, newest first. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalFilter {
    /// Of this environment.
    pub environment: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this identity.
    pub identity: Option<String>,
    /// Only rows older than this id (paging).
    pub before: Option<i64>,
}

impl FromStoreRow for JournalRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        let outcome: Option<String> = row.try_get("outcome")?;
        let outcome = outcome
            .map(|outcome| outcome.parse::<MutationOutcome>())
            .transpose()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(Self {
            id: row.try_get("id")?,
            environment_uid: row.try_get("environment_uid")?,
            environment: row.try_get("environment")?,
            generation: row.try_get("generation")?,
            resource: resource_key(row)?,
            step: row.try_get("step")?,
            body: document(row, "body")?,
            risk: row.try_get("risk")?,
            epoch: row.try_get("epoch")?,
            token: row.try_get("token")?,
            begun_at: timestamp(row, "begun_at")?,
            resolved_at: optional_timestamp(row, "resolved_at")?,
            outcome,
            request_id: row.try_get("request_id")?,
            error_class: row.try_get("error_class")?,
            effective: row.try_get("effective")?,
        })
    }
}

async fn begin_in(connection: &mut PgConnection, intent: &Intent, fence: &Fence) -> Result<i64> {
    let id: Option<i64> = sqlx::query_scalar(
        "WITH fence AS (
             SELECT epoch FROM leases
             WHERE shard = $1 AND epoch = $2 AND expires_at > clock_timestamp() FOR SHARE
         )
         INSERT INTO journal (environment_uid, environment, account, region, kind, identity, step, body, risk,
                              generation, epoch, token, begun_at)
         SELECT $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, epoch, $13, $14 FROM fence
         RETURNING id",
    )
    .bind(&fence.shard)
    .bind(fence.epoch)
    .bind(intent.environment_uid)
    .bind(&intent.environment)
    .bind(&intent.resource.account)
    .bind(&intent.resource.region)
    .bind(&intent.resource.kind)
    .bind(&intent.resource.identity)
    .bind(&intent.step)
    .bind(&intent.body)
    .bind(&intent.risk)
    .bind(intent.generation)
    .bind(&intent.token)
    .bind(at(intent.now))
    .fetch_optional(connection)
    .await?;
    id.ok_or_else(|| Error::StaleEpoch { shard: fence.shard.clone(), epoch: fence.epoch })
}

async fn mutated_since(connection: &mut PgConnection, since: Timestamp) -> Result<Vec<(Uuid, Timestamp)>> {
    let rows = sqlx::query(
        "SELECT environment_uid, max(begun_at) AS begun_at FROM journal
         WHERE begun_at >= $1 AND outcome IS DISTINCT FROM 'NotApplied'
         GROUP BY environment_uid ORDER BY max(begun_at), environment_uid",
    )
    .bind(at(since))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("environment_uid")?, timestamp(row, "begun_at")?))).collect()
}

impl Store {
    /// Writes an intent; only when it has returned may the call be made. One statement, which also checks that the lease
    /// is held under this epoch.
    ///
    /// # Errors
    /// `StaleEpoch`: make no call.
    pub async fn begin_mutation(&self, intent: &Intent, fence: &Fence) -> Result<i64> {
        self.timed(Operation::BeginMutation, async {
            let mut connection = self.pool().acquire().await?;
            begin_in(&mut connection, intent, fence).await
        })
        .await
    }

    /// The same, when the environment is one of few that may be changed within a time. Whoever asks waits for whoever
    /// asked before, so that two replicas never both take the last place.
    ///
    /// # Errors
    /// `StaleEpoch`: make no call.
    pub async fn begin_mutation_within(&self, intent: &Intent, fence: &Fence, cap: &Cap) -> Result<Begun> {
        transact!(self, Operation::BeginMutation, |tx| async {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(CAP_LOCK).execute(&mut *tx).await?;
            let changed = mutated_since(tx, cap.since).await?;
            let counted = changed.iter().any(|(uid, _)| *uid == intent.environment_uid);
            if !counted && changed.len() as u64 >= cap.most {
                return Ok(Begun::Full(changed.into_iter().map(|(_, last)| last).collect()));
            }
            begin_in(tx, intent, fence).await.map(Begun::As)
        })
    }

    /// Settles an intent. Needs no lease: what happened is a fact, whoever owns the shard now. `Unknown` leaves it
    /// unsettled; `Applied` and `NotApplied` are final, and only what verification saw may still be added to them.
    /// Answers whether anything was written.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn resolve_mutation(
        &self,
        id: i64,
        outcome: MutationOutcome,
        resolution: &Resolution,
        now: Timestamp,
    ) -> Result<bool> {
        self.timed(Operation::ResolveMutation, async {
            let row = sqlx::query(
                "WITH settled AS (
                     UPDATE journal SET
                         outcome = CASE WHEN outcome IS NULL OR outcome = 'Unknown' THEN $2 ELSE outcome END,
                         resolved_at = CASE WHEN outcome IS NULL OR outcome = 'Unknown' THEN $6 ELSE resolved_at END,
                         request_id = coalesce(request_id, $3), error_class = coalesce(error_class, $4),
                         effective = coalesce($5, effective)
                     WHERE id = $1
                       AND (outcome IS NULL OR (outcome = 'Unknown' AND $2 <> 'Unknown')
                            OR $5 IS DISTINCT FROM effective AND $5 IS NOT NULL)
                     RETURNING 1
                 )
                 SELECT EXISTS (SELECT 1 FROM journal WHERE id = $1) AS found, EXISTS (SELECT 1 FROM settled) AS written",
            )
            .bind(id)
            .bind(<&str>::from(outcome))
            .bind(&resolution.request_id)
            .bind(&resolution.error_class)
            .bind(resolution.effective)
            .bind(at(now))
            .fetch_one(self.pool())
            .await?;
            if !row.try_get::<bool, _>("found")? {
                return Err(Error::not_found("journal row", id));
            }
            Ok(row.try_get("written")?)
        })
        .await
    }

    /// The intents of an environment whose effect is not known, oldest first.
    pub async fn unresolved_mutations(&self, environment_uid: Uuid) -> Result<Vec<JournalRow>> {
        self.timed(Operation::ReadJournal, async {
            let rows = sqlx::query(
                "SELECT * FROM journal
                 WHERE environment_uid = $1 AND (outcome IS NULL OR outcome = 'Unknown') ORDER BY id",
            )
            .bind(environment_uid)
            .fetch_all(self.pool())
            .await?;
            JournalRow::from_rows(&rows)
        })
        .await
    }

    /// How many writes of one object were begun since a time, without those known not to have been applied: what its
    /// write budget counts.
    pub async fn writes_since(&self, environment_uid: Uuid, key: &ResourceKey, since: Timestamp) -> Result<u64> {
        self.timed(Operation::ReadJournal, async {
            let count: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM journal
                 WHERE environment_uid = $1 AND account = $2 AND region = $3 AND kind = $4 AND identity = $5
                   AND begun_at >= $6 AND outcome IS DISTINCT FROM 'NotApplied'",
            )
            .bind(environment_uid)
            .bind(&key.account)
            .bind(&key.region)
            .bind(&key.kind)
            .bind(&key.identity)
            .bind(at(since))
            .fetch_one(self.pool())
            .await?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    /// The last `limit` mutations of an environment, newest first.
    pub async fn mutations_of(&self, environment_uid: Uuid, limit: u32) -> Result<Vec<JournalRow>> {
        self.timed(Operation::ReadJournal, async {
            let rows = sqlx::query("SELECT * FROM journal WHERE environment_uid = $1 ORDER BY id DESC LIMIT $2")
                .bind(environment_uid)
                .bind(i64::from(limit))
                .fetch_all(self.pool())
                .await?;
            JournalRow::from_rows(&rows)
        })
        .await
    }

    /// The last `limit` mutations of one object, newest first, without those known not to have been applied: what the
    /// non-convergence detector looks at.
    pub async fn last_mutations(
        &self,
        environment_uid: Uuid,
        key: &ResourceKey,
        limit: u32,
    ) -> Result<Vec<JournalRow>> {
        self.timed(Operation::ReadJournal, async {
            let rows = sqlx::query(
                "SELECT * FROM journal
                 WHERE environment_uid = $1 AND account = $2 AND region = $3 AND kind = $4 AND identity = $5
                   AND outcome IS DISTINCT FROM 'NotApplied'
                 ORDER BY id DESC LIMIT $6",
            )
            .bind(environment_uid)
            .bind(&key.account)
            .bind(&key.region)
            .bind(&key.kind)
            .bind(&key.identity)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
            JournalRow::from_rows(&rows)
        })
        .await
    }

    /// The environments that were mutated since a time, by uid, with their last write: what the blast-radius cap counts.
    /// An intent counts as soon as it is written, unless it is known not to have been applied.
    pub async fn environments_mutated_since(&self, since: Timestamp) -> Result<Vec<(Uuid, Timestamp)>> {
        self.timed(Operation::ReadJournal, async {
            let mut connection = self.pool().acquire().await?;
            mutated_since(&mut connection, since).await
        })
        .await
    }

    /// Journal rows, newest first, at most `limit`.
    pub async fn list_journal(&self, filter: &JournalFilter, limit: u32) -> Result<Vec<JournalRow>> {
        self.timed(Operation::ReadJournal, async {
            let rows = sqlx::query(
                "SELECT * FROM journal
                 WHERE ($1::text IS NULL OR environment = $1) AND ($2::text IS NULL OR kind = $2)
                   AND ($3::text IS NULL OR identity = $3) AND ($4::bigint IS NULL OR id < $4)
                 ORDER BY id DESC LIMIT $5",
            )
            .bind(&filter.environment)
            .bind(&filter.kind)
            .bind(&filter.identity)
            .bind(filter.before)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
            JournalRow::from_rows(&rows)
        })
        .await
    }

    /// Forgets settled mutations begun before a time, a batch at a time. What is unsettled is never forgotten.
    pub async fn prune_journal(&self, before: Timestamp) -> Result<u64> {
        in_batches(PRUNE_BATCH, || {
            self.timed(Operation::PruneJournal, async {
                let done = sqlx::query(
                    "DELETE FROM journal WHERE id IN (
                             SELECT id FROM journal WHERE begun_at < $1 AND outcome IN ('Applied', 'NotApplied')
                             ORDER BY begun_at LIMIT $2
                         )",
                )
                .bind(at(before))
                .bind(PRUNE_BATCH)
                .execute(self.pool())
                .await?;
                Ok(done.rows_affected())
            })
        })
        .await
    }
}
