//! Claims: one AWS object belongs to at most one environment.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::rows::{Which, lock};
use crate::error::{Error, Result};
use crate::object_log::Pen;
use crate::operation::Operation;
use crate::pool::{Store, transact};
use crate::rows::{FromStoreRow, KeyColumns, resource_key};
use crate::types::Claim;

/// A claim that another environment holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClaimConflict {
    /// The AWS object.
    pub claim: Claim,
    /// Name of the environment that holds it.
    pub holder: String,
}

impl FromStoreRow for ClaimConflict {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self { claim: resource_key(row)?, holder: row.try_get("holder")? })
    }
}

async fn conflicts_on(
    connection: &mut PgConnection,
    uid: Option<Uuid>,
    wanted: &BTreeSet<&Claim>,
) -> Result<Vec<ClaimConflict>> {
    let keys: KeyColumns = wanted.iter().copied().collect();
    let rows = sqlx::query(
        "SELECT c.account, c.region, c.kind, c.identity, e.name AS holder
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS wanted (account, region, kind, identity)
         JOIN claims c USING (account, region, kind, identity)
         JOIN environments e ON e.uid = c.environment_uid
         WHERE c.environment_uid IS DISTINCT FROM $5
         ORDER BY c.account, c.region, c.kind, c.identity",
    )
    .bind(keys.accounts)
    .bind(keys.regions)
    .bind(keys.kinds)
    .bind(keys.identities)
    .bind(uid)
    .fetch_all(connection)
    .await?;
    ClaimConflict::from_rows(&rows)
}

/// Makes `claims` the declared claims of an environment. What it held before and no longer declares stays held while a
/// managed resource says that the object is still there, and is freed otherwise. The caller holds the pen, so that no
/// other claim can come in between.
pub(super) async fn replace_in(tx: &mut PgConnection, uid: Uuid, claims: &[Claim]) -> Result<()> {
    let wanted: BTreeSet<&Claim> = claims.iter().collect();
    let keys: KeyColumns = wanted.iter().copied().collect();
    // One statement, since everybody else waits meanwhile. What it writes besides finding conflicts is rolled back with
    // them. No row is written twice: those that leave and those that are wanted are different ones.
    let rows = sqlx::query(
        "WITH wanted AS (
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS w (account, region, kind, identity)
         ), leaving AS (
             SELECT c.*, EXISTS (
                 SELECT 1 FROM managed_resources held
                 WHERE (held.environment_uid, held.account, held.region, held.kind, held.identity)
                     = (c.environment_uid, c.account, c.region, c.kind, c.identity)) AS held
             FROM claims c
             WHERE c.environment_uid = $5 AND NOT EXISTS (
                 SELECT 1 FROM wanted w
                 WHERE (w.account, w.region, w.kind, w.identity) = (c.account, c.region, c.kind, c.identity))
         ), released AS (
             DELETE FROM claims c USING leaving l
             WHERE NOT l.held
               AND (l.account, l.region, l.kind, l.identity) = (c.account, c.region, c.kind, c.identity)
         ), undeclared AS (
             UPDATE claims c SET declared = false FROM leaving l
             WHERE l.held AND c.declared
               AND (l.account, l.region, l.kind, l.identity) = (c.account, c.region, c.kind, c.identity)
         ), declared AS (
             INSERT INTO claims (account, region, kind, identity, environment_uid, declared)
             SELECT account, region, kind, identity, $5, true FROM wanted
             ON CONFLICT ON CONSTRAINT claims_pkey DO UPDATE SET declared = true WHERE NOT claims.declared
         )
         SELECT c.account, c.region, c.kind, c.identity, e.name AS holder
         FROM wanted JOIN claims c USING (account, region, kind, identity)
         JOIN environments e ON e.uid = c.environment_uid
         WHERE c.environment_uid <> $5
         ORDER BY c.account, c.region, c.kind, c.identity",
    )
    .bind(keys.accounts)
    .bind(keys.regions)
    .bind(keys.kinds)
    .bind(keys.identities)
    .bind(uid)
    .fetch_all(tx)
    .await?;
    let conflicts = ClaimConflict::from_rows(&rows)?;
    if conflicts.is_empty() { Ok(()) } else { Err(Error::ClaimedBy(conflicts)) }
}

/// Frees what is neither declared nor held by a managed resource.
pub(crate) async fn release_undeclared_in(tx: &mut PgConnection, uid: Uuid) -> Result<()> {
    sqlx::query(
        "DELETE FROM claims WHERE environment_uid = $1 AND NOT declared
         AND NOT EXISTS (SELECT 1 FROM managed_resources held
                         WHERE (held.environment_uid, held.account, held.region, held.kind, held.identity)
                             = (claims.environment_uid, claims.account, claims.region, claims.kind, claims.identity))",
    )
    .bind(uid)
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Which of these claims other environments hold. `uid` is the environment that would make them, if it exists.
    /// Writes nothing: for dry runs and previews.
    pub async fn claim_conflicts(&self, uid: Option<Uuid>, claims: &[Claim]) -> Result<Vec<ClaimConflict>> {
        self.timed(Operation::FindClaims, async {
            let mut connection = self.pool().acquire().await?;
            conflicts_on(&mut connection, uid, &claims.iter().collect()).await
        })
        .await
    }

    /// The claims an environment holds, declared or still held.
    pub async fn claims_of(&self, uid: Uuid) -> Result<Vec<Claim>> {
        self.timed(Operation::FindClaims, async {
            let rows = sqlx::query(
                "SELECT account, region, kind, identity FROM claims WHERE environment_uid = $1
                 ORDER BY account, region, kind, identity",
            )
            .bind(uid)
            .fetch_all(self.pool())
            .await?;
            rows.iter().map(resource_key).collect()
        })
        .await
    }

    /// Replaces the declared claims without a change of the spec: for a release that expands the same spec to more
    /// objects. Changes no resourceVersion.
    ///
    /// # Errors
    /// `ClaimedBy` with all conflicts.
    pub async fn replace_claims(&self, uid: Uuid, claims: &[Claim]) -> Result<()> {
        transact!(self, Operation::ReplaceClaims, |tx| async {
            let pen = Pen::take(tx).await?;
            lock(tx, Which::Uid(uid)).await?;
            replace_in(tx, uid, claims).await?;
            pen.put_down(tx).await
        })
    }
}
