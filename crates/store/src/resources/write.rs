//! Writing managed resources: finding out what differs, writing just that, and deleting.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::{KIND, ManagedResourceRow, ResourceUpsert, ResourcesWritten};
use crate::environments::release_undeclared_in;
use crate::error::{Error, Result};
use crate::leases::{check_fence, fence_holds};
use crate::object_log::{LoggedEvent, Pen};
use crate::operation::Operation;
use crate::pool::{Store, transact};
use crate::rows::{FromStoreRow, KeyColumns, at};
use crate::types::{Fence, ResourceKey};

/// A batch as parallel arrays; the last of several entries for one key counts.
struct Columns<'a> {
    keys: KeyColumns,
    names: Vec<&'a str>,
    desired: Vec<Json<&'a Value>>,
    observed: Vec<Json<&'a Value>>,
    diffs: Vec<Json<&'a Value>>,
    conditions: Vec<Json<&'a Value>>,
    reports: Vec<Json<&'a Value>>,
    memories: Vec<Option<Json<&'a Value>>>,
}

impl<'a> Columns<'a> {
    fn of(batch: &[&'a ResourceUpsert]) -> Self {
        Self {
            keys: batch.iter().map(|one| &one.key).collect(),
            names: batch.iter().map(|one| one.name.as_str()).collect(),
            desired: batch.iter().map(|one| Json(&one.desired)).collect(),
            observed: batch.iter().map(|one| Json(&one.observed)).collect(),
            diffs: batch.iter().map(|one| Json(&one.diff)).collect(),
            conditions: batch.iter().map(|one| Json(&one.conditions)).collect(),
            reports: batch.iter().map(|one| Json(&one.report)).collect(),
            memories: batch.iter().map(|one| one.memory.as_ref().map(Json)).collect(),
        }
    }
}

/// One entry of the batch that differs from what is stored.
pub(crate) struct Difference<'a> {
    upsert: &'a ResourceUpsert,
    missing: bool,
    public: bool,
}

/// Which entries differ from what is stored. Compared by Postgres, which knows that 1e3 and 1000 are one number once
/// stored.
pub(crate) async fn differences<'a>(
    connection: &mut PgConnection,
    uid: Uuid,
    batch: &'a [ResourceUpsert],
) -> Result<Vec<Difference<'a>>> {
    let latest: BTreeMap<&ResourceKey, &ResourceUpsert> = batch.iter().map(|one| (&one.key, one)).collect();
    let batch: Vec<&ResourceUpsert> = latest.into_values().collect();
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(&batch);
    let rows = sqlx::query(
        "SELECT place, missing, public FROM (
             SELECT w.place, m.uid IS NULL AS missing,
                    (m.desired, m.observed, m.diff, m.conditions, m.report)
                        IS DISTINCT FROM (w.desired, w.observed, w.diff, w.conditions, w.report) AS public,
                    coalesce(m.memory <> w.memory, false) AS private
             FROM unnest($2::text[], $3::text[], $4::text[], $5::text[],
                         $6::jsonb[], $7::jsonb[], $8::jsonb[], $9::jsonb[], $10::jsonb[], $11::jsonb[])
                  WITH ORDINALITY AS w (account, region, kind, identity,
                                        desired, observed, diff, conditions, report, memory, place)
             LEFT JOIN managed_resources m ON m.environment_uid = $1
                  AND (m.account, m.region, m.kind, m.identity) = (w.account, w.region, w.kind, w.identity)
         ) compared
         WHERE missing OR public OR private ORDER BY place",
    )
    .bind(uid)
    .bind(columns.keys.accounts)
    .bind(columns.keys.regions)
    .bind(columns.keys.kinds)
    .bind(columns.keys.identities)
    .bind(columns.desired)
    .bind(columns.observed)
    .bind(columns.diffs)
    .bind(columns.conditions)
    .bind(columns.reports)
    .bind(columns.memories)
    .fetch_all(connection)
    .await?;
    let mut differing = Vec::with_capacity(rows.len());
    for row in rows {
        let place = usize::try_from(row.try_get::<i64, _>("place")? - 1).unwrap_or(usize::MAX);
        if let Some(upsert) = batch.get(place) {
            differing.push(Difference { upsert, missing: row.try_get("missing")?, public: row.try_get("public")? });
        }
    }
    Ok(differing)
}

/// Writes what differs. The caller holds the pen and has checked the fence.
pub(crate) async fn upsert_in(
    tx: &mut PgConnection,
    pen: &mut Pen,
    uid: Uuid,
    batch: &[ResourceUpsert],
    now: Timestamp,
) -> Result<ResourcesWritten> {
    let differing = differences(tx, uid, batch).await?;
    if differing.is_empty() {
        return Ok(ResourcesWritten::default());
    }
    let upserts: Vec<&ResourceUpsert> = differing.iter().map(|one| one.upsert).collect();
    // A change of memory alone keeps the version that the row has.
    let versions: Vec<Option<i64>> = differing.iter().map(|one| one.public.then(|| pen.next())).collect();
    let columns = Columns::of(&upserts);
    let rows = sqlx::query(
        "INSERT INTO managed_resources AS m (name, environment_uid, environment, account, region, kind, identity,
                resource_version, desired, observed, diff, conditions, report, memory, created_at, changed_at)
         SELECT w.name, e.uid, e.name, w.account, w.region, w.kind, w.identity,
                coalesce(w.version, old.resource_version), w.desired, w.observed, w.diff, w.conditions, w.report,
                coalesce(w.memory, old.memory, 'null'), $14,
                CASE WHEN w.version IS NULL THEN old.changed_at ELSE $14 END
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                     $8::jsonb[], $9::jsonb[], $10::jsonb[], $11::jsonb[], $12::jsonb[], $13::jsonb[])
              AS w (name, account, region, kind, identity, version,
                    desired, observed, diff, conditions, report, memory)
         JOIN environments e ON e.uid = $1
         LEFT JOIN managed_resources old ON old.environment_uid = $1
              AND (old.account, old.region, old.kind, old.identity) = (w.account, w.region, w.kind, w.identity)
         ON CONFLICT ON CONSTRAINT managed_resources_identity_key DO UPDATE SET
             resource_version = excluded.resource_version, desired = excluded.desired, observed = excluded.observed,
             diff = excluded.diff, conditions = excluded.conditions, report = excluded.report,
             memory = excluded.memory, changed_at = excluded.changed_at
         RETURNING m.*, NULL::timestamptz AS observed_at",
    )
    .bind(uid)
    .bind(columns.names)
    .bind(columns.keys.accounts)
    .bind(columns.keys.regions)
    .bind(columns.keys.kinds)
    .bind(columns.keys.identities)
    .bind(versions)
    .bind(columns.desired)
    .bind(columns.observed)
    .bind(columns.diffs)
    .bind(columns.conditions)
    .bind(columns.reports)
    .bind(columns.memories)
    .bind(at(now))
    .fetch_all(tx)
    .await?;
    if rows.is_empty() {
        return Err(Error::not_found("Environment", uid));
    }
    let mut rows: BTreeMap<ResourceKey, ManagedResourceRow> =
        ManagedResourceRow::from_rows(&rows)?.into_iter().map(|row| (row.key.clone(), row)).collect();
    let mut written = ResourcesWritten::default();
    for one in &differing {
        if !one.public {
            written.memory_only += 1;
            continue;
        }
        if let Some(row) = rows.remove(&one.upsert.key) {
            let event = if one.missing { LoggedEvent::Added } else { LoggedEvent::Modified };
            pen.log((KIND, &row.name), row.resource_version, event, &row)?;
            written.changed.insert(row.key, row.resource_version);
        }
    }
    Ok(written)
}

/// Deletes rows and frees claims that nothing holds any more. The caller holds the pen and has checked the fence.
pub(crate) async fn delete_in(tx: &mut PgConnection, pen: &mut Pen, uid: Uuid, gone: &[ResourceKey]) -> Result<usize> {
    if gone.is_empty() {
        return Ok(0);
    }
    let keys: KeyColumns = gone.iter().collect();
    let rows = sqlx::query(
        "DELETE FROM managed_resources m
         USING unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS w (account, region, kind, identity)
         WHERE m.environment_uid = $1
           AND (m.account, m.region, m.kind, m.identity) = (w.account, w.region, w.kind, w.identity)
         RETURNING m.*, NULL::timestamptz AS observed_at",
    )
    .bind(uid)
    .bind(keys.accounts)
    .bind(keys.regions)
    .bind(keys.kinds)
    .bind(keys.identities)
    .fetch_all(&mut *tx)
    .await?;
    let mut rows = ManagedResourceRow::from_rows(&rows)?;
    rows.sort_by(|left, right| left.name.cmp(&right.name));
    let deleted = rows.len();
    log_deleted(pen, rows)?;
    if deleted > 0 {
        release_undeclared_in(tx, uid).await?;
    }
    Ok(deleted)
}

/// Logs rows that were deleted in this transaction.
pub(crate) fn log_deleted(pen: &mut Pen, rows: Vec<ManagedResourceRow>) -> Result<()> {
    for mut row in rows {
        row.resource_version = pen.next();
        pen.log((KIND, &row.name), row.resource_version, LoggedEvent::Deleted, &row)?;
    }
    Ok(())
}

impl Store {
    /// Writes the entries that differ from what is stored, each with a resourceVersion of its own; nothing at all if
    /// none does.
    ///
    /// # Errors
    /// `StaleEpoch`; `NotFound` for an environment that is gone.
    pub async fn upsert_resources(
        &self,
        environment_uid: Uuid,
        batch: &[ResourceUpsert],
        fence: &Fence,
        now: Timestamp,
    ) -> Result<ResourcesWritten> {
        let something = self
            .timed(Operation::UpsertResources, async {
                let mut connection = self.pool().acquire().await?;
                if !fence_holds(&mut connection, fence).await? {
                    return Err(Error::StaleEpoch { shard: fence.shard.clone(), epoch: fence.epoch });
                }
                Ok(!differences(&mut connection, environment_uid, batch).await?.is_empty())
            })
            .await?;
        if !something {
            return Ok(ResourcesWritten::default());
        }
        transact!(self, Operation::UpsertResources, |tx| async {
            let mut pen = Pen::take(tx).await?;
            check_fence(tx, fence).await?;
            let written = upsert_in(tx, &mut pen, environment_uid, batch, now).await?;
            pen.put_down(tx).await?;
            Ok(written)
        })
    }

    /// Deletes managed resources and frees claims that nothing holds any more. Answers how many there were.
    ///
    /// # Errors
    /// `StaleEpoch`.
    pub async fn delete_resources(&self, environment_uid: Uuid, gone: &[ResourceKey], fence: &Fence) -> Result<usize> {
        transact!(self, Operation::DeleteResources, |tx| async {
            let mut pen = Pen::take(tx).await?;
            check_fence(tx, fence).await?;
            let deleted = delete_in(tx, &mut pen, environment_uid, gone).await?;
            pen.put_down(tx).await?;
            Ok(deleted)
        })
    }
}
