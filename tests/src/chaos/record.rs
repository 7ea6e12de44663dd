//! What is recorded while things happen, outside of the daemons: AWS's call log, and by triggers in the database who took
//! which lease and who noted which intent. Users in Postgres are processes (see `replica`).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgPool;

use super::checker::{Call, Intent, Lease, Revision};
use crate::simaws_process::SimawsProcess;

/// Made in the daemons' database, beside their own tables. `process` is the SQL that names who writes.
pub fn statements(process: &str) -> [String; 3] {
    [
        "CREATE SCHEMA chaos".to_owned(),
        format!(
            "CREATE TABLE chaos.leases (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL,
                 process text NOT NULL, shard text NOT NULL, epoch bigint NOT NULL, expires_at timestamptz NOT NULL);
             CREATE FUNCTION chaos.lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO chaos.leases (at, process, shard, epoch, expires_at)
                 VALUES (clock_timestamp(), {process}, NEW.shard, NEW.epoch, NEW.expires_at);
                 RETURN NULL;
             END $$;
             CREATE TRIGGER chaos_lease AFTER INSERT OR UPDATE ON leases FOR EACH ROW EXECUTE FUNCTION chaos.lease()"
        ),
        format!(
            "CREATE TABLE chaos.intents (id bigint PRIMARY KEY, at timestamptz NOT NULL, process text NOT NULL,
                 account text NOT NULL, environment text NOT NULL, kind text NOT NULL, identity text NOT NULL,
                 step text NOT NULL, epoch bigint NOT NULL);
             CREATE FUNCTION chaos.intent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO chaos.intents
                 VALUES (NEW.id, clock_timestamp(), {process}, NEW.account, NEW.environment, NEW.kind, NEW.identity,
                         NEW.step, NEW.epoch);
                 RETURN NULL;
             END $$;
             CREATE TRIGGER chaos_intent AFTER INSERT ON journal FOR EACH ROW EXECUTE FUNCTION chaos.intent()"
        ),
    ]
}

fn timestamp(row: &sqlx::postgres::PgRow, column: &str) -> Result<Timestamp> {
    // As text, since the driver is built without a type for times that we share.
    let text: String = row.try_get(column)?;
    text.parse().with_context(|| format!("{column}: {text}"))
}

/// Times as RFC 3339.
const TIME: &str = "YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"";

/// Who had which lease when.
///
/// # Errors
/// When the database fails.
pub async fn leases(database: &PgPool) -> Result<Vec<Lease>> {
    let sql = format!(
        "SELECT to_char(at AT TIME ZONE 'UTC', '{TIME}') AS at, process, shard, epoch,
                to_char(expires_at AT TIME ZONE 'UTC', '{TIME}') AS expires_at FROM chaos.leases ORDER BY id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(database).await?;
    rows.iter()
        .map(|row| {
            Ok(Lease {
                at: timestamp(row, "at")?,
                process: row.try_get("process")?,
                account: row.try_get("shard")?,
                epoch: row.try_get("epoch")?,
                expires_at: timestamp(row, "expires_at")?,
            })
        })
        .collect()
}

/// Who meant to do what when.
///
/// # Errors
/// When the database fails.
pub async fn intents(database: &PgPool) -> Result<Vec<Intent>> {
    let sql = format!(
        "SELECT id, to_char(at AT TIME ZONE 'UTC', '{TIME}') AS at, process, account, environment, kind, identity, step,
                epoch FROM chaos.intents ORDER BY at, id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(database).await?;
    rows.iter()
        .map(|row| {
            Ok(Intent {
                at: timestamp(row, "at")?,
                process: row.try_get("process")?,
                account: row.try_get("account")?,
                environment: row.try_get("environment")?,
                object: format!("{}/{}", row.try_get::<String, _>("kind")?, row.try_get::<String, _>("identity")?),
                step: row.try_get("step")?,
                epoch: row.try_get("epoch")?,
            })
        })
        .collect()
}

/// Every spec that was ever accepted, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn revisions(database: &PgPool) -> Result<Vec<Revision>> {
    let sql = "SELECT environment, revision, generation, author, spec::text AS spec FROM revisions
               ORDER BY environment, revision";
    let rows = sqlx::query(sql).fetch_all(database).await?;
    rows.iter()
        .map(|row| {
            Ok(Revision {
                environment: row.try_get("environment")?,
                number: row.try_get("revision")?,
                generation: row.try_get("generation")?,
                author: row.try_get("author")?,
                spec: serde_json::from_str(&row.try_get::<String, _>("spec")?)?,
            })
        })
        .collect()
}

/// What the audit trail says of accepted writes: how often it names each author.
///
/// # Errors
/// When the database fails.
pub async fn audited(database: &PgPool) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT actor, count(*) AS count FROM audit_log GROUP BY actor";
    let rows = sqlx::query(sql).fetch_all(database).await?;
    rows.iter().map(|row| Ok((row.try_get("actor")?, row.try_get("count")?))).collect()
}

/// The places in the database where a text stands: every table, every column, as text.
///
/// # Errors
/// When the database fails.
pub async fn found_in_database(database: &PgPool, what: &str) -> Result<Vec<String>> {
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT table_schema::text, table_name::text FROM information_schema.tables
         WHERE table_schema IN ('public', 'chaos') AND table_type = 'BASE TABLE' ORDER BY 1, 2",
    )
    .fetch_all(database)
    .await?;
    let mut found = Vec::new();
    for (schema, table) in tables {
        let sql = format!("SELECT count(*) FROM \"{schema}\".\"{table}\" t WHERE t::text LIKE '%' || $1 || '%'");
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(what).fetch_one(database).await?;
        if rows > 0 {
            found.push(table);
        }
    }
    Ok(found)
}

/// Follows AWS's log: misses no change, however many calls there are.
#[derive(Debug, Default)]
pub struct Log {
    /// Calls that change something, in order.
    pub changes: Vec<Call>,
    /// How often each fault struck a call.
    pub faults: BTreeMap<String, u64>,
    /// All calls.
    pub total: u64,
    after: u64,
}

/// How many calls are read at once.
const PAGE: u64 = 5_000;

impl Log {
    /// Reads what is new.
    ///
    /// # Errors
    /// When the simulated AWS does not answer.
    pub async fn read(&mut self, simaws: &SimawsProcess) -> Result<()> {
        loop {
            let answer = simaws.calls(&format!("?log={PAGE}&after={}", self.after)).await?;
            let log = answer["log"].as_array().cloned().unwrap_or_default();
            let full = log.len() as u64 == PAGE;
            for entry in log {
                self.take(entry)?;
            }
            self.total = answer["total"].as_u64().unwrap_or(self.total);
            if !full {
                return Ok(());
            }
        }
    }

    fn take(&mut self, entry: Value) -> Result<()> {
        let call: Call = serde_json::from_value(entry).context("a call of the log")?;
        anyhow::ensure!(call.number == self.after + 1, "the log lost calls after number {}", self.after);
        self.after = call.number;
        for fault in &call.faults {
            *self.faults.entry(fault.clone()).or_default() += 1;
        }
        if call.mutating {
            self.changes.push(call);
        }
        Ok(())
    }
}

/// How often the log is read.
pub const LOG_PERIOD: Duration = Duration::from_secs(1);
