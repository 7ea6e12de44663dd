//! The migration runner and the check that `serve` makes. Migrations themselves are SQL files under `migrations/`.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection, Row};

use crate::error::Result;
use crate::operation::Operation;
use crate::pool::Store;

/// The embedded migrations.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// A migration waits this long for a lock and then gives up cleanly, rather than queueing everybody behind it.
const MIGRATION_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How the database's schema stands to this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaStatus {
    /// Exactly ours.
    Current,
    /// Migrations of this program have not been applied: run `migrate`.
    Behind {
        /// Versions that are missing, oldest first.
        missing: Vec<i64>,
    },
    /// A newer program has migrated it, in a way that this one can live with.
    AheadCompatible {
        /// Versions that this program does not know.
        unknown: Vec<i64>,
    },
    /// A newer program has migrated it and this one must not run on it.
    TooNew {
        /// The oldest migration that a program must know to run.
        oldest_reader: i64,
    },
    /// A migration was applied with other contents than this program holds, or only in part.
    Diverged {
        /// The versions in question.
        versions: Vec<i64>,
    },
}

impl SchemaStatus {
    /// Whether this program may serve on it.
    pub fn is_usable(&self) -> bool {
        matches!(self, Self::Current | Self::AheadCompatible { .. })
    }
}

impl Store {
    /// Applies the missing migrations, under the advisory lock that lets only one program migrate at a time. Newer,
    /// unknown migrations are left alone.
    pub async fn migrate(&self) -> Result<()> {
        // Neither the pool's statement time-out nor the call's bound fits a migration that fills a column.
        self.observed(Operation::Migrate, async {
            let options = self.pool().connect_options();
            let mut connection = options.as_ref().clone().connect().await?;
            let result = migrate_on(&mut connection).await;
            // Whatever a failed close says, the result is known.
            let _ = connection.close().await;
            result
        })
        .await
    }

    /// Compares the applied migrations with those of this program.
    pub async fn schema_status(&self) -> Result<SchemaStatus> {
        self.timed(Operation::SchemaStatus, async {
            let mut connection = self.pool().acquire().await?;
            schema_status_on(&mut connection).await
        })
        .await
    }
}

async fn migrate_on(connection: &mut PgConnection) -> Result<()> {
    let settings = "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', $1, false), \
                    set_config('idle_in_transaction_session_timeout', '0', false)";
    sqlx::query(settings).bind(format!("{}ms", MIGRATION_LOCK_TIMEOUT.as_millis())).execute(&mut *connection).await?;
    let mut migrator = Migrator { migrations: MIGRATOR.migrations.clone(), ..Migrator::DEFAULT };
    migrator.set_ignore_missing(true);
    migrator.run(&mut *connection).await?;
    Ok(())
}

async fn schema_status_on(connection: &mut PgConnection) -> Result<SchemaStatus> {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    let mut applied = BTreeMap::new();
    if exists {
        let rows =
            sqlx::query("SELECT version, checksum, success FROM _sqlx_migrations").fetch_all(&mut *connection).await?;
        for row in rows {
            let (version, checksum, success): (i64, Vec<u8>, bool) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            applied.insert(version, (checksum, success));
        }
    }

    let ours: BTreeMap<i64, &[u8]> = MIGRATOR.iter().map(|one| (one.version, one.checksum.as_ref())).collect();
    let diverged: Vec<i64> = applied
        .iter()
        .filter(|(version, (checksum, success))| {
            !success || ours.get(version).is_some_and(|expected| *expected != checksum.as_slice())
        })
        .map(|(version, _)| *version)
        .collect();
    if !diverged.is_empty() {
        return Ok(SchemaStatus::Diverged { versions: diverged });
    }
    let missing: Vec<i64> = ours.keys().filter(|version| !applied.contains_key(version)).copied().collect();
    if !missing.is_empty() {
        return Ok(SchemaStatus::Behind { missing });
    }
    let unknown: Vec<i64> = applied.keys().filter(|version| !ours.contains_key(version)).copied().collect();
    let oldest_reader: i64 =
        sqlx::query_scalar("SELECT oldest_reader FROM schema_info").fetch_one(&mut *connection).await?;
    let newest_known = ours.keys().last().copied().unwrap_or(0);
    if oldest_reader > newest_known {
        return Ok(SchemaStatus::TooNew { oldest_reader });
    }
    if unknown.is_empty() { Ok(SchemaStatus::Current) } else { Ok(SchemaStatus::AheadCompatible { unknown }) }
}
