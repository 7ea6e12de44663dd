//! Sweep freshness: when each (account, region, kind) was last observed. One statement per sweep, no resourceVersion,
//! nobody is woken; joined when managed resources are read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::environments::EnvironmentRow;
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

/// What is known of an account when one of its environments is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountFreshness {
    /// Whether a replica holds its lease now.
    pub attended: bool,
    /// Its sweeps, in no order.
    pub sweeps: Vec<SweepRow>,
}

/// The columns of `AccountFreshness` for the account that `of` (a table with the column `account`) names.
macro_rules! with_freshness {
    ($columns:literal, $of:literal) => {
        concat!(
            "SELECT ",
            $columns,
            ", EXISTS (SELECT 1 FROM leases l WHERE l.shard = of.account AND l.expires_at > clock_timestamp()) AS attended,
                    swept.*
             FROM ",
            $of,
            " LEFT JOIN LATERAL (
                 SELECT array_agg(s.region) AS regions, array_agg(s.kind) AS kinds, array_agg(s.observed_at) AS times
                 FROM sweeps s WHERE s.account = of.account
             ) swept ON true"
        )
    };
}

impl AccountFreshness {
    fn from_row(row: &PgRow, account: &str) -> Result<Self> {
        // Null where the account has none.
        let regions: Option<Vec<String>> = row.try_get("regions")?;
        let kinds: Option<Vec<String>> = row.try_get("kinds")?;
        let times: Option<Vec<jiff_sqlx::Timestamp>> = row.try_get("times")?;
        let places = regions.unwrap_or_default().into_iter().zip(kinds.unwrap_or_default());
        let sweeps = places.zip(times.unwrap_or_default()).map(|((region, kind), time)| SweepRow {
            account: account.to_owned(),
            region,
            kind,
            observed_at: time.to_jiff(),
        });
        Ok(Self { attended: row.try_get("attended")?, sweeps: sweeps.collect() })
    }
}

impl Store {
    /// One environment by name, with what is known of its account: one statement, since this is asked most.
    pub async fn get_environment_fresh(&self, name: &str) -> Result<(EnvironmentRow, AccountFreshness)> {
        self.timed(Operation::GetEnvironment, async {
            let row = sqlx::query(with_freshness!("of.*", "(SELECT * FROM environments WHERE name = $1) of"))
                .bind(name)
                .fetch_optional(self.pool())
                .await?
                .ok_or_else(|| Error::not_found("Environment", name))?;
            let environment = EnvironmentRow::from_row(&row)?;
            let freshness = AccountFreshness::from_row(&row, &environment.account)?;
            Ok((environment, freshness))
        })
        .await
    }

    /// What is known of an account.
    pub async fn account_freshness(&self, account: &str) -> Result<AccountFreshness> {
        self.timed(Operation::ReadFreshness, async {
            let row = sqlx::query(with_freshness!("of.account", "(SELECT $1::text AS account) of"))
                .bind(account)
                .fetch_one(self.pool())
                .await?;
            AccountFreshness::from_row(&row, account)
        })
        .await
    }

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

    /// Forgets sweeps that were last done before a time: nothing declared needs them any more.
    pub async fn prune_sweeps(&self, before: Timestamp) -> Result<u64> {
        self.timed(Operation::PruneSweeps, async {
            let done =
                sqlx::query("DELETE FROM sweeps WHERE observed_at < $1").bind(at(before)).execute(self.pool()).await?;
            Ok(done.rows_affected())
        })
        .await
    }
}
