//! The store's errors: what a caller can act on is a variant of its own; the rest is classed by SQLSTATE, never by
//! message text. It decides nothing about HTTP or retries of a pass.

use std::borrow::Cow;
use std::io;

use sqlx::error::DatabaseError;

use crate::environments::ClaimConflict;

/// The result of every store method.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store call did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object does not exist (any more), or exists under another uid.
    #[error("{kind} {name} not found")]
    NotFound {
        /// Kind of the object, as the API names it.
        kind: &'static str,
        /// Its name or uid.
        name: String,
    },
    /// The object changed since the caller read it. Nothing was written.
    #[error("the object has changed: its resourceVersion is {current}")]
    Conflict {
        /// The resourceVersion it has now.
        current: i64,
    },
    /// An object of this name exists. Nothing was written.
    #[error("{kind} {name} already exists")]
    AlreadyExists {
        /// Kind of the object, as the API names it.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// At least one AWS object is claimed by another environment; all conflicts are listed. Nothing was written.
    #[error("{} AWS object(s) are claimed by another environment", .0.len())]
    ClaimedBy(Vec<ClaimConflict>),
    /// The shard's lease has another epoch or has run out: the caller is no longer the owner. Nothing was written.
    #[error("epoch {epoch} of shard {shard} is stale")]
    StaleEpoch {
        /// The shard whose lease was checked.
        shard: String,
        /// The epoch the caller believed in.
        epoch: i64,
    },
    /// The object log no longer reaches back to the asked resourceVersion.
    #[error("changes up to resourceVersion {pruned_through} are no longer held")]
    Gone {
        /// The newest resourceVersion that was pruned; ask from here or later.
        pruned_through: i64,
    },
    /// Postgres cannot hold the value, whatever the state of the store (a NUL character in a string, a number out of
    /// range, a document that is too deep). The caller's input is at fault.
    #[error("the database cannot store the value ({code})")]
    Rejected {
        /// SQLSTATE.
        code: String,
        #[source]
        /// The database's own error.
        source: sqlx::Error,
    },
    /// The database cannot be reached or cannot work now. A write may or may not have happened: read before repeating.
    #[error("the database is unavailable ({class})")]
    Unavailable {
        /// What kind of unavailability.
        class: Unavailable,
        #[source]
        /// The driver's error.
        source: sqlx::Error,
    },
    /// A named constraint refused the write, and no variant above covers it: a bug in the caller or in the store.
    #[error("constraint {constraint} refused the write")]
    Violates {
        /// The constraint's name.
        constraint: String,
        #[source]
        /// The database's own error.
        source: sqlx::Error,
    },
    /// A migration failed or disagrees with what was applied.
    #[error("the schema cannot be migrated")]
    Migrate(#[source] Box<sqlx::migrate::MigrateError>),
    /// A stored document no longer has the shape this program reads.
    #[error("a stored {what} cannot be read")]
    Corrupt {
        /// Which document.
        what: &'static str,
        #[source]
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Anything else: a bug, reported with its source.
    #[error("the database call failed")]
    Other(#[source] sqlx::Error),
}

/// Classes of unavailability, fit for a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
pub enum Unavailable {
    /// No connection could be made, or it broke.
    Connection,
    /// The pool had no free connection in time.
    PoolTimeout,
    /// The server is starting, stopping, or in recovery.
    ServerState,
    /// The server refuses more connections, or is out of disk or memory.
    Resources,
    /// The server answers, but only to readers (a failover is under way).
    ReadOnly,
    /// A statement, a lock or the whole call took longer than allowed.
    Timeout,
    /// Serialisation failures or deadlocks persisted through all retries.
    Contention,
    /// Credentials or the database name are refused.
    Refused,
}

impl Error {
    /// Whether the database was unreachable or unable to work, so that the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether a transaction that failed so may simply be run again (it was rolled back as a whole).
    pub(crate) fn is_contention(&self) -> bool {
        matches!(self, Self::Unavailable { class: Unavailable::Contention, .. })
    }

    pub(crate) fn not_found(kind: &'static str, name: impl ToString) -> Self {
        Self::NotFound { kind, name: name.to_string() }
    }

    pub(crate) fn timed_out() -> Self {
        let source = sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the call took longer than allowed"));
        Self::Unavailable { class: Unavailable::Timeout, source }
    }
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        let class = match &source {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) => Unavailable::Connection,
            sqlx::Error::PoolTimedOut => Unavailable::PoolTimeout,
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Unavailable::Connection,
            sqlx::Error::Database(database) => return Self::from_database(database_code(database.as_ref()), source),
            // The server went away in the middle of a message: the driver reports what it could not parse.
            sqlx::Error::Protocol(_) => Unavailable::Connection,
            _ => return Self::Other(source),
        };
        Self::Unavailable { class, source }
    }
}

impl From<sqlx::migrate::MigrateError> for Error {
    fn from(source: sqlx::migrate::MigrateError) -> Self {
        match source {
            sqlx::migrate::MigrateError::Execute(source) => Self::from(source),
            source => Self::Migrate(Box::new(source)),
        }
    }
}

struct Code {
    sqlstate: String,
    constraint: Option<String>,
}

fn database_code(database: &dyn DatabaseError) -> Code {
    Code {
        sqlstate: database.code().map(Cow::into_owned).unwrap_or_default(),
        constraint: database.constraint().map(str::to_owned),
    }
}

impl Error {
    /// PostgreSQL documentation, appendix A, "PostgreSQL Error Codes".
    fn from_database(code: Code, source: sqlx::Error) -> Self {
        let class = match code.sqlstate.as_str() {
            // serialization_failure, deadlock_detected
            "40001" | "40P01" => Unavailable::Contention,
            // query_canceled (statement_timeout), lock_not_available (lock_timeout), idle in transaction too long
            "57014" | "55P03" | "25P03" => Unavailable::Timeout,
            // read_only_sql_transaction: a demoted primary
            "25006" => Unavailable::ReadOnly,
            // operator intervention: shutting down, crashed, starting up
            other if other.starts_with("57P") => Unavailable::ServerState,
            // connection exceptions
            other if other.starts_with("08") => Unavailable::Connection,
            // insufficient resources: too many connections, disk full, out of memory
            other if other.starts_with("53") => Unavailable::Resources,
            // invalid authorization, invalid catalog name
            "28000" | "28P01" | "3D000" => Unavailable::Refused,
            // integrity constraint violation
            other if other.starts_with("23") => {
                let constraint = code.constraint.unwrap_or_default();
                return Self::Violates { constraint, source };
            }
            // data exceptions (NUL in a string, number out of range); program limit exceeded (row or index too big)
            other if other.starts_with("22") || other.starts_with("54") => {
                return Self::Rejected { code: code.sqlstate, source };
            }
            _ => return Self::Other(source),
        };
        Self::Unavailable { class, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sqlstate: &str) -> Error {
        let code = Code { sqlstate: sqlstate.to_owned(), constraint: Some("some_key".to_owned()) };
        Error::from_database(code, sqlx::Error::RowNotFound)
    }

    #[test]
    fn sqlstates_are_classed_as_the_postgres_manual_groups_them() {
        let cases = [
            ("40001", Unavailable::Contention),
            ("40P01", Unavailable::Contention),
            ("57014", Unavailable::Timeout),
            ("55P03", Unavailable::Timeout),
            ("25P03", Unavailable::Timeout),
            ("25006", Unavailable::ReadOnly),
            ("57P01", Unavailable::ServerState),
            ("57P03", Unavailable::ServerState),
            ("08006", Unavailable::Connection),
            ("53300", Unavailable::Resources),
            ("53100", Unavailable::Resources),
            ("28P01", Unavailable::Refused),
            ("3D000", Unavailable::Refused),
        ];
        for (sqlstate, expected) in cases {
            let error = of(sqlstate);
            assert!(matches!(error, Error::Unavailable { class, .. } if class == expected), "{sqlstate}: {error:?}");
            assert_eq!(error.is_contention(), expected == Unavailable::Contention);
        }
        for input in ["22P05", "22021", "22003", "54000", "54001"] {
            assert!(matches!(of(input), Error::Rejected { code, .. } if code == input));
        }
        assert!(matches!(of("23505"), Error::Violates { constraint, .. } if constraint == "some_key"));
        for bug in ["42601", "42P01", "XX000", ""] {
            assert!(matches!(of(bug), Error::Other(_)), "{bug}");
        }
    }

    #[test]
    fn no_message_repeats_its_source() {
        let error = of("08006");
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap();
        assert!(!error.to_string().contains(&source), "{error}");
    }
}
