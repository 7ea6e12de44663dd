//! The resourceVersion counter (the "pen") and the append-only object log that watches read.
//!
//! Guarantees: versions are handed out by the one transaction that holds the counter row, so their order is the order of
//! commits; whoever reads the log up to version N has seen every change up to N. See
//! `docs/adr/2026-11-22-resource-version-counter.md`.
//!
//! Rule: a transaction takes the pen *first*, before it locks any other row. Then writers queue at one place and cannot
//! deadlock.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, types::Json};

use crate::audit::{Act, Origin};
use crate::error::{Error, Result};
use crate::listen::{CHANNEL_ENVIRONMENT, CHANNEL_OBJECTS};
use crate::operation::Operation;
use crate::pool::{Store, in_batches, transact};
use crate::rows::{FromStoreRow, document, seconds, timestamp};

/// So many entries are pruned in one transaction that writers wait for it for milliseconds only.
const PRUNE_BATCH: i64 = 1000;

/// What happened to a logged object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum LoggedEvent {
    /// It was created.
    Added,
    /// It was changed.
    Modified,
    /// It was deleted; the object is its last state, under the deletion's resourceVersion.
    Deleted,
}

/// One entry of the object log.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedChange {
    /// The object's resourceVersion after the change; unique in the log.
    pub resource_version: i64,
    /// `Environment`, `ManagedResource`, `Change`, `Revision`, `Event`, `Operator` or `AuditEntry`.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// What happened.
    pub event: LoggedEvent,
    /// The row as this crate serialises it (`EnvironmentRow`, `ManagedResourceRow`, …): deserialise it to that type.
    pub object: Value,
    /// When, by the database's clock.
    pub logged_at: Timestamp,
}

impl FromStoreRow for LoggedChange {
    fn from_row(row: &PgRow) -> Result<Self> {
        let event: String = row.try_get("event")?;
        Ok(Self {
            resource_version: row.try_get("resource_version")?,
            kind: row.try_get("kind")?,
            name: row.try_get("name")?,
            event: event.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            object: document(row, "object")?,
            logged_at: timestamp(row, "logged_at")?,
        })
    }
}

/// The right to hand out resourceVersions, held until the transaction ends.
#[must_use = "a pen that is not put down loses the versions and the log entries it handed out"]
pub(crate) struct Pen {
    held: i64,
    next: i64,
    versions: Vec<i64>,
    kinds: Vec<&'static str>,
    names: Vec<String>,
    events: Vec<&'static str>,
    objects: Vec<Json<Value>>,
    channels: Vec<&'static str>,
    payloads: Vec<String>,
    audited: Vec<String>,
}

impl Pen {
    /// Waits for the counter row.
    pub(crate) async fn take(tx: &mut PgConnection) -> Result<Self> {
        let held: i64 =
            sqlx::query_scalar("SELECT resource_version FROM counter FOR UPDATE").fetch_one(&mut *tx).await?;
        Ok(Self {
            held,
            next: held,
            versions: Vec::new(),
            kinds: Vec::new(),
            names: Vec::new(),
            events: Vec::new(),
            objects: Vec::new(),
            channels: Vec::new(),
            payloads: Vec::new(),
            audited: Vec::new(),
        })
    }

    /// A version for one changed object.
    pub(crate) fn next(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    /// The version that `next` will hand out: for a statement that may turn out to change nothing.
    pub(crate) fn peek(&self) -> i64 {
        self.next + 1
    }

    /// Logs an object under the version it was given.
    pub(crate) fn log(
        &mut self,
        (kind, name): (&'static str, &str),
        version: i64,
        event: LoggedEvent,
        object: &impl Serialize,
    ) -> Result<()> {
        let object = serde_json::to_value(object).map_err(|source| Error::Corrupt { what: kind, source })?;
        self.versions.push(version);
        self.kinds.push(kind);
        self.names.push(name.to_owned());
        self.events.push(event.into());
        self.objects.push(Json(object));
        Ok(())
    }

    /// Tells in the audit trail what was done. Once for each transaction that does what somebody wants.
    pub(crate) fn audit(&mut self, origin: Option<&Origin>, act: Act<'_>) {
        self.audited.push(act.entry(origin).to_string());
    }

    /// Wakes the owner of an environment.
    pub(crate) fn wake(&mut self, name: &str, account: &str) {
        self.notify(CHANNEL_ENVIRONMENT, &json!({ "name": name, "account": account }));
    }

    pub(crate) fn notify(&mut self, channel: &'static str, payload: &Value) {
        self.channels.push(channel);
        self.payloads.push(payload.to_string());
    }

    /// Writes the counter, the log, the revisions that it tells of, the audit entry and the notifications in one statement;
    /// nothing at all if no version was handed out, nobody is to be woken and nothing is to be told. (A revision never
    /// changes, so that its entry of the log is its row: its spec is sent once.)
    pub(crate) async fn put_down(mut self, tx: &mut PgConnection) -> Result<()> {
        if self.next > self.held {
            self.notify(CHANNEL_OBJECTS, &json!({ "resourceVersion": self.next }));
        } else if self.channels.is_empty() && self.audited.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "WITH counted AS (UPDATE counter SET resource_version = $1 WHERE resource_version < $1),
                  entries AS (SELECT * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
                              AS entry (resource_version, kind, name, event, object)),
                  logged AS (INSERT INTO object_log (resource_version, kind, name, event, object)
                             SELECT * FROM entries),
                  revised AS (INSERT INTO revisions (environment, revision, environment_uid, generation,
                                                     resource_version, author, message, change, spec, diff, created_at)
                              SELECT object ->> 'environment', (object ->> 'revision')::bigint,
                                     (object ->> 'environment_uid')::uuid, (object ->> 'generation')::bigint,
                                     resource_version, object ->> 'author', object ->> 'message', object ->> 'change',
                                     object -> 'spec', object -> 'diff', (object ->> 'created_at')::timestamptz
                              FROM entries WHERE kind = $10),
                  audited AS (INSERT INTO audit_pending (entry) SELECT * FROM unnest($9::text[]))
             SELECT pg_notify(channel, payload) FROM unnest($7::text[], $8::text[]) AS woken (channel, payload)",
        )
        .bind(self.next)
        .bind(self.versions)
        .bind(self.kinds)
        .bind(self.names)
        .bind(self.events)
        .bind(self.objects)
        .bind(self.channels)
        .bind(self.payloads)
        .bind(self.audited)
        .bind(crate::revisions::KIND)
        .execute(tx)
        .await?;
        Ok(())
    }
}

impl Store {
    /// The newest resourceVersion of the store.
    pub async fn resource_version(&self) -> Result<i64> {
        self.timed(Operation::ChangesSince, async {
            Ok(sqlx::query_scalar("SELECT resource_version FROM counter").fetch_one(self.pool()).await?)
        })
        .await
    }

    /// Changes after `resource_version` in commit order, of the given kinds (none given: all), at most `limit`.
    ///
    /// # Errors
    /// `Gone` when the log no longer reaches back that far.
    pub async fn changes_since(&self, resource_version: i64, kinds: &[&str], limit: u32) -> Result<Vec<LoggedChange>> {
        self.timed(Operation::ChangesSince, async {
            // One statement, so that the horizon and the entries come from one snapshot.
            let rows = sqlx::query(
                "SELECT c.pruned_through, l.*
                 FROM counter c LEFT JOIN LATERAL (
                     SELECT * FROM object_log
                     WHERE resource_version > $1 AND (cardinality($2::text[]) = 0 OR kind = ANY ($2))
                     ORDER BY resource_version LIMIT $3
                 ) l ON true
                 ORDER BY l.resource_version",
            )
            .bind(resource_version)
            .bind(kinds)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
            let mut changes = Vec::new();
            for row in &rows {
                let pruned_through: i64 = row.try_get("pruned_through")?;
                if resource_version < pruned_through {
                    return Err(Error::Gone { pruned_through });
                }
                if row.try_get::<Option<i64>, _>("resource_version")?.is_some() {
                    changes.push(LoggedChange::from_row(row)?);
                }
            }
            Ok(changes)
        })
        .await
    }

    /// The last entry about an object before `resource_version`, if the log still has one.
    pub async fn logged_before(&self, kind: &str, name: &str, resource_version: i64) -> Result<Option<LoggedChange>> {
        self.timed(Operation::ChangesSince, async {
            let row = sqlx::query(
                "SELECT * FROM object_log WHERE kind = $1 AND name = $2 AND resource_version < $3
                 ORDER BY resource_version DESC LIMIT 1",
            )
            .bind(kind)
            .bind(name)
            .bind(resource_version)
            .fetch_optional(self.pool())
            .await?;
            row.as_ref().map(LoggedChange::from_row).transpose()
        })
        .await
    }

    /// Forgets log entries older than `age` by the database's clock, in small transactions, and remembers up to where.
    /// Answers how many went.
    pub async fn prune_log(&self, age: Duration) -> Result<u64> {
        in_batches(PRUNE_BATCH, || async {
            transact!(self, Operation::PruneLog, |tx| prune_batch(tx, age)).map(i64::unsigned_abs)
        })
        .await
    }
}

async fn prune_batch(tx: &mut PgConnection, age: Duration) -> Result<i64> {
    let pen = Pen::take(tx).await?;
    // Entries are in the order of time too, so the oldest by version are all that need to be looked at.
    let removed: i64 = sqlx::query_scalar(
        "WITH horizon AS (
             SELECT max(resource_version) AS version
             FROM (SELECT resource_version, logged_at FROM object_log ORDER BY resource_version LIMIT $2) oldest
             WHERE logged_at < clock_timestamp() - make_interval(secs => $1)
         ), removed AS (
             DELETE FROM object_log USING horizon WHERE resource_version <= horizon.version RETURNING 1
         ), remembered AS (
             UPDATE counter SET pruned_through = horizon.version FROM horizon WHERE horizon.version > pruned_through
         )
         SELECT count(*) FROM removed",
    )
    .bind(seconds(age))
    .bind(PRUNE_BATCH)
    .fetch_one(&mut *tx)
    .await?;
    pen.put_down(tx).await?;
    Ok(removed)
}
