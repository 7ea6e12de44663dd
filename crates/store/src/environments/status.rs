//! Writing the status: only when it differs, only by the shard's owner, and never over a newer generation.

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::rows::{EnvironmentRow, KIND};
use crate::error::{Error, Result};
use crate::leases::{check_fence, fence_holds};
use crate::object_log::{LoggedEvent, Pen};
use crate::operation::Operation;
use crate::pool::{Store, transact};
use crate::rows::FromStoreRow;
use crate::types::Fence;

/// A status to write.
#[derive(Debug, Clone, Copy)]
pub struct StatusWrite<'a> {
    /// Which environment.
    pub uid: Uuid,
    /// The generation that the pass worked on. If the spec has changed since, the status is not written: it would hide
    /// that `Ready` and `Synced` have become Unknown.
    pub generation: i64,
    /// The whole status.
    pub status: &'a Value,
}

/// What became of a status write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusOutcome {
    /// Written, under this resourceVersion.
    Written(i64),
    /// Equal to the stored one; nothing was written.
    Unchanged,
    /// The spec has changed since the pass began; nothing was written. Plan again.
    Superseded {
        /// The generation it has now.
        generation: i64,
    },
}

impl Store {
    /// Writes the status if it differs.
    ///
    /// # Errors
    /// `NotFound`, `StaleEpoch`.
    pub async fn write_status(&self, write: StatusWrite<'_>, fence: &Fence) -> Result<StatusOutcome> {
        // Most passes change nothing: find that out without a transaction and without the pen.
        let outcome = self
            .timed(Operation::WriteStatus, async {
                let mut connection = self.pool().acquire().await?;
                if !fence_holds(&mut connection, fence).await? {
                    return Err(Error::StaleEpoch { shard: fence.shard.clone(), epoch: fence.epoch });
                }
                status_differs(&mut connection, write).await
            })
            .await?;
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
        transact!(self, Operation::WriteStatus, |tx| async {
            let mut pen = Pen::take(tx).await?;
            check_fence(tx, fence).await?;
            let outcome = write_status_in(tx, &mut pen, write).await?;
            pen.put_down(tx).await?;
            Ok(outcome)
        })
    }
}

/// `None` when there is something to write.
pub(crate) async fn status_differs(
    connection: &mut PgConnection,
    write: StatusWrite<'_>,
) -> Result<Option<StatusOutcome>> {
    let row = sqlx::query("SELECT generation, status <> $2 AS differs FROM environments WHERE uid = $1")
        .bind(write.uid)
        .bind(write.status)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| Error::not_found(KIND, write.uid))?;
    let generation: i64 = row.try_get("generation")?;
    if generation != write.generation {
        return Ok(Some(StatusOutcome::Superseded { generation }));
    }
    Ok(if row.try_get("differs")? { None } else { Some(StatusOutcome::Unchanged) })
}

/// The caller holds the pen and has checked the fence.
pub(crate) async fn write_status_in(
    tx: &mut PgConnection,
    pen: &mut Pen,
    write: StatusWrite<'_>,
) -> Result<StatusOutcome> {
    if let Some(outcome) = status_differs(tx, write).await? {
        return Ok(outcome);
    }
    let version = pen.next();
    let row = sqlx::query("UPDATE environments SET status = $2, resource_version = $3 WHERE uid = $1 RETURNING *")
        .bind(write.uid)
        .bind(write.status)
        .bind(version)
        .fetch_one(tx)
        .await?;
    let environment = EnvironmentRow::from_row(&row)?;
    pen.log((KIND, &environment.name), version, LoggedEvent::Modified, &environment)?;
    Ok(StatusOutcome::Written(version))
}
