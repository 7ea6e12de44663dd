//! Shard leases: who works on an AWS account, under which epoch, for how much longer.
//!
//! All times are the database's own clock (`clock_timestamp()`), and what is answered is a remaining duration, so that
//! no two machines' clocks are ever compared. An epoch names one uninterrupted tenure: it grows when the holder changes
//! and when a lease that has run out or was released is taken again.

use std::time::Duration;

use serde_json::json;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::listen::CHANNEL_LEASE;
use crate::operation::Operation;
use crate::pool::Store;
use crate::rows::{FromStoreRow, milliseconds, seconds};
use crate::types::Fence;

/// A lease that the caller holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: String,
    /// Its epoch.
    pub epoch: i64,
    /// How long it holds, counted from `since`.
    pub remaining: Duration,
    /// When the call that got it was *sent*, by this process's monotonic clock: counting from here is safe however long
    /// the answer took.
    pub since: Instant,
}

impl Lease {
    /// What goes with every write under this lease.
    pub fn fence(&self) -> Fence {
        Fence { shard: self.shard.clone(), epoch: self.epoch }
    }

    /// When it runs out, by this process's monotonic clock, never later than the database thinks.
    pub fn deadline(&self) -> Instant {
        self.since + self.remaining
    }
}

/// The answer to an attempt to acquire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// The caller holds it.
    Held(Lease),
    /// Somebody else does.
    HeldBy {
        /// Who.
        holder: String,
        /// For how much longer, if it is not renewed.
        remaining: Duration,
    },
}

/// A lease as anybody may look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// The shard.
    pub shard: String,
    /// Who holds it, or held it last.
    pub holder: String,
    /// Its epoch.
    pub epoch: i64,
    /// How much longer it holds; zero when it has run out.
    pub remaining: Duration,
    /// How long the holder has had it.
    pub held_for: Duration,
}

impl FromStoreRow for LeaseRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self {
            shard: row.try_get("shard")?,
            holder: row.try_get("holder")?,
            epoch: row.try_get("epoch")?,
            remaining: milliseconds(row, "remaining_ms")?,
            held_for: milliseconds(row, "held_ms")?,
        })
    }
}

/// Whether the lease is held under this epoch now. A plain read: enough to spare a useless write, not to allow one.
pub(crate) async fn fence_holds(connection: &mut PgConnection, fence: &Fence) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM leases WHERE shard = $1 AND epoch = $2 AND expires_at > clock_timestamp())",
    )
    .bind(&fence.shard)
    .bind(fence.epoch)
    .fetch_one(connection)
    .await?)
}

/// Checks the epoch and locks the lease row until the transaction ends: nobody else can take the shard before what is
/// written here has been committed.
pub(crate) async fn check_fence(tx: &mut PgConnection, fence: &Fence) -> Result<()> {
    let held = sqlx::query(
        "SELECT 1 FROM leases WHERE shard = $1 AND epoch = $2 AND expires_at > clock_timestamp() FOR SHARE",
    )
    .bind(&fence.shard)
    .bind(fence.epoch)
    .fetch_optional(tx)
    .await?;
    if held.is_none() {
        return Err(Error::StaleEpoch { shard: fence.shard.clone(), epoch: fence.epoch });
    }
    Ok(())
}

impl Store {
    /// Takes a shard that is free or has run out, or prolongs it if `holder` holds it already. `holder` must be unique
    /// to the process.
    pub async fn acquire_lease(&self, shard: &str, holder: &str, ttl: Duration) -> Result<Acquired> {
        let since = Instant::now();
        self.timed(Operation::AcquireLease, async {
            let row = sqlx::query(
                "WITH before AS (SELECT epoch FROM leases WHERE shard = $1),
                 taken AS (
                     INSERT INTO leases AS l (shard, holder, epoch, acquired_at, renewed_at, expires_at)
                     SELECT $1, $2, 1, t, t, t + make_interval(secs => $3) FROM clock_timestamp() AS t
                     ON CONFLICT ON CONSTRAINT leases_pkey DO UPDATE SET
                         holder = excluded.holder,
                         epoch = CASE WHEN l.holder = excluded.holder AND l.expires_at > clock_timestamp()
                                      THEN l.epoch ELSE l.epoch + 1 END,
                         acquired_at = CASE WHEN l.holder = excluded.holder AND l.expires_at > clock_timestamp()
                                            THEN l.acquired_at ELSE excluded.acquired_at END,
                         renewed_at = excluded.renewed_at,
                         expires_at = clock_timestamp() + make_interval(secs => $3)
                     WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
                     RETURNING l.epoch
                 )
                 SELECT taken.epoch, CASE WHEN taken.epoch IS DISTINCT FROM before.epoch THEN pg_notify($4, $5) END
                 FROM taken LEFT JOIN before ON true",
            )
            .bind(shard)
            .bind(holder)
            .bind(seconds(ttl))
            .bind(CHANNEL_LEASE)
            .bind(lease_payload(shard))
            .fetch_optional(self.pool())
            .await?;
            if let Some(row) = row {
                let lease = Lease { shard: shard.to_owned(), epoch: row.try_get("epoch")?, remaining: ttl, since };
                return Ok(Acquired::Held(lease));
            }
            // Lost to somebody else. Between the two statements it may have been freed again: then say so by zero.
            let other = sqlx::query(SELECT_LEASES_OF).bind(vec![shard]).fetch_one(self.pool()).await?;
            let other = LeaseRow::from_row(&other)?;
            Ok(Acquired::HeldBy { holder: other.holder, remaining: other.remaining })
        })
        .await
    }

    /// Prolongs a lease that is still held under this epoch.
    ///
    /// # Errors
    /// `StaleEpoch` when it has run out or somebody else took it: stop acting at once.
    pub async fn renew_lease(&self, fence: &Fence, holder: &str, ttl: Duration) -> Result<Lease> {
        let since = Instant::now();
        self.timed(Operation::RenewLease, async {
            let done = sqlx::query(
                "UPDATE leases SET renewed_at = clock_timestamp(),
                        expires_at = clock_timestamp() + make_interval(secs => $4)
                 WHERE shard = $1 AND epoch = $2 AND holder = $3 AND expires_at > clock_timestamp()",
            )
            .bind(&fence.shard)
            .bind(fence.epoch)
            .bind(holder)
            .bind(seconds(ttl))
            .execute(self.pool())
            .await?;
            if done.rows_affected() == 0 {
                return Err(Error::StaleEpoch { shard: fence.shard.clone(), epoch: fence.epoch });
            }
            Ok(Lease { shard: fence.shard.clone(), epoch: fence.epoch, remaining: ttl, since })
        })
        .await
    }

    /// Gives a lease back at once, so that a standby need not wait for it to run out. Answers whether it was still
    /// held. The row stays: epochs only grow.
    pub async fn release_lease(&self, fence: &Fence, holder: &str) -> Result<bool> {
        self.timed(Operation::ReleaseLease, async {
            let released = sqlx::query(
                "WITH released AS (
                     UPDATE leases SET expires_at = clock_timestamp()
                     WHERE shard = $1 AND epoch = $2 AND holder = $3 AND expires_at > clock_timestamp()
                     RETURNING shard
                 )
                 SELECT pg_notify($4, $5) FROM released",
            )
            .bind(&fence.shard)
            .bind(fence.epoch)
            .bind(holder)
            .bind(CHANNEL_LEASE)
            .bind(lease_payload(&fence.shard))
            .fetch_optional(self.pool())
            .await?;
            Ok(released.is_some())
        })
        .await
    }

    /// All leases ever taken, ordered by shard.
    pub async fn leases(&self) -> Result<Vec<LeaseRow>> {
        self.timed(Operation::ListLeases, async {
            let rows = sqlx::query(SELECT_LEASES).fetch_all(self.pool()).await?;
            LeaseRow::from_rows(&rows)
        })
        .await
    }

    /// The lease of one shard, held or run out; `None` if nobody ever had it.
    pub async fn lease_of(&self, shard: &str) -> Result<Option<LeaseRow>> {
        self.timed(Operation::ListLeases, async {
            let row = sqlx::query(SELECT_LEASES_OF).bind(vec![shard]).fetch_optional(self.pool()).await?;
            row.as_ref().map(LeaseRow::from_row).transpose()
        })
        .await
    }
}

fn lease_payload(shard: &str) -> String {
    json!({ "shard": shard }).to_string()
}

const SELECT_LEASES: &str = "SELECT shard, holder, epoch,
    greatest(0, floor(extract(epoch FROM expires_at - clock_timestamp()) * 1000))::bigint AS remaining_ms,
    greatest(0, floor(extract(epoch FROM clock_timestamp() - acquired_at) * 1000))::bigint AS held_ms
    FROM leases ORDER BY shard";

const SELECT_LEASES_OF: &str = "SELECT shard, holder, epoch,
    greatest(0, floor(extract(epoch FROM expires_at - clock_timestamp()) * 1000))::bigint AS remaining_ms,
    greatest(0, floor(extract(epoch FROM clock_timestamp() - acquired_at) * 1000))::bigint AS held_ms
    FROM leases WHERE shard = ANY ($1)";
