//! Sweep freshness: when each (account, region, kind) was last observed. One statement per sweep, no resourceVersion,
//! nobody is woken; joined when managed resources are read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::pool::Store;
use crate::rows::{FromStoreRow, at, timestamp};
use crate::types::Fence;

/// One sweep's freshness, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// AWS account id.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// Resource kind.
    pub kind: String,
    /// When the sweep read AWS.
    pub observed_at: Timestamp,
}

/// One sweep's freshness, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRow {
    /// AWS account id.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// Resource kind.
    pub kind: String,
    /// When it was last observed.
    pub observed_at: Timestamp,
}

impl FromStoreRow for SweepRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self {
            account: row.try_get("account")?,
            region: row.try_get("region")?,
            kind: row.try_get("kind")?,
            observed_at: timestamp(row, "observed_at")?,
        })
    }
}

impl Store {
    /// Writes the freshness of one or several sweeps of a shard in one statement.
    ///
    /// # Errors
    /// `StaleEpoch`.
    pub async fn write_freshness(&self, fence: &Fence, sweeps: &[Freshness]) -> Result<()> {
        if sweeps.is_empty() {
            return Ok(());
        }
        // The last of several for one key counts: ON CONFLICT may not touch a row twice.
        let latest: std::collections::BTreeMap<_, _> =
            sweeps.iter().map(|one| ((&one.account, &one.region, &one.kind), one.observed_at)).collect();
        self.timed(Operation::WriteFreshness, async {
            let done = sqlx::query(
                "WITH fence AS (
                     SELECT 1 FROM leases WHERE shard = $5 AND epoch = $6 AND expires_at > clock_timestamp() FOR SHARE
                 )
                 INSERT INTO sweeps (account, region, kind, observed_at)
                 SELECT swept.* FROM fence, unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS swept
                 ON CONFLICT ON CONSTRAINT sweeps_pkey DO UPDATE SET observed_at = excluded.observed_at",
            )
            .bind(latest.keys().map(|key| key.0.clone()).collect::<Vec<_>>())
            .bind(latest.keys().map(|key| key.1.clone()).collect::<Vec<_>>())
            .bind(latest.keys().map(|key| key.2.clone()).collect::<Vec<_>>())
            .bind(latest.values().map(|time| at(*time)).collect::<Vec<_>>())
            .bind(&fence.shard)
            .bind(fence.epoch)
            .execute(self.pool())
            .await?;
            if done.rows_affected() == 0 {
                return Err(Error::StaleEpoch { shard: fence.shard.clone(), epoch: fence.epoch });
            }
            Ok(())
        })
        .await
    }

    /// The freshness of all sweeps of some accounts (none given: all).
    pub async fn sweeps(&self, accounts: &[String]) -> Result<Vec<SweepRow>> {
        self.timed(Operation::ReadFreshness, async {
            let rows = sqlx::query(
                "SELECT * FROM sweeps WHERE cardinality($1::text[]) = 0 OR account = ANY ($1)
                 ORDER BY account, region, kind",
            )
            .bind(accounts)
            .fetch_all(self.pool())
            .await?;
            SweepRow::from_rows(&rows)
        })
        .await
    }
}
