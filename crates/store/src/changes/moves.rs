//! Moves of changes by those who work on their environments, and what those look for: the open ones, and the last about
//! the same plan.

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::{ChangeRow, ChangeUpdate, KIND, NewChange, insert_change_in, update_change_in, wake};
use crate::approvals::void_in;
use crate::audit::{Act, Origin};
use crate::error::{Error, Result};
use crate::events::{NewEvent, write_events_in};
use crate::leases::check_fence;
use crate::object_log::{LoggedEvent, Pen};
use crate::operation::Operation;
use crate::pool::{Store, in_batches, transact};
use crate::rows::{FromStoreRow, at};
use crate::types::{Fence, Precondition};

/// So many rows are pruned in one transaction that others wait for it for milliseconds only.
const PRUNE_BATCH: i64 = 200;

/// The phase of a change whose environment went while it was open.
const GONE_WITH_IT: &str = "Superseded";

/// A move of a change, with what is told of it. A move from a version that is no longer the stored one is not made and not
/// told: somebody else moved it meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeMove {
    /// What is written.
    pub write: ChangeWrite,
    /// What is told, if it is written.
    pub events: Vec<NewEvent>,
}

/// What is written of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeWrite {
    /// A new one.
    Open(Box<NewChange>),
    /// An update of one that has this version.
    Update {
        /// Its name.
        name: String,
        /// What it must still be.
        version: i64,
        /// What becomes of it.
        update: Box<ChangeUpdate>,
    },
}

/// Refuses what was decided about another version of a change. The caller holds the pen, so that nobody writes it meanwhile.
pub(crate) async fn check_change_in(tx: &mut PgConnection, name: &str, version: i64) -> Result<()> {
    let current: Option<i64> =
        sqlx::query_scalar("SELECT resource_version FROM changes WHERE name = $1 AND withdrawn_at IS NULL")
            .bind(name)
            .fetch_optional(tx)
            .await?;
    match current {
        None => Err(Error::not_found(KIND, name)),
        Some(current) if current != version => Err(Error::Conflict { current }),
        Some(_) => Ok(()),
    }
}

/// Ends what is still open about an environment that goes, however it goes. The caller holds the pen.
pub(crate) async fn end_changes_in(tx: &mut PgConnection, pen: &mut Pen, environment_uid: Uuid) -> Result<()> {
    let open: Vec<Uuid> =
        sqlx::query_scalar("SELECT uid FROM changes WHERE environment_uid = $1 AND finished_at IS NULL ORDER BY name")
            .bind(environment_uid)
            .fetch_all(&mut *tx)
            .await?;
    for uid in open {
        let row = sqlx::query(
            "UPDATE changes SET resource_version = $2, phase = $3, outcome = $4, waiting = 'null',
                    finished_at = clock_timestamp()
             WHERE uid = $1 RETURNING *",
        )
        .bind(uid)
        .bind(pen.next())
        .bind(GONE_WITH_IT)
        .bind(json!({ "reason": "EnvironmentDeleted", "message": "the environment is deleted" }))
        .fetch_one(&mut *tx)
        .await?;
        let change = ChangeRow::from_row(&row)?;
        pen.log((KIND, &change.name), change.resource_version, LoggedEvent::Modified, &change)?;
    }
    Ok(())
}

/// Makes moves; the caller holds the pen. Wakes nobody: whoever moves a change this way works on its environment.
pub(crate) async fn move_changes_in(
    tx: &mut PgConnection,
    pen: &mut Pen,
    (moves, origin): (&[ChangeMove], Option<&Origin>),
    now: Timestamp,
) -> Result<()> {
    for one in moves {
        let made = match &one.write {
            ChangeWrite::Open(new) => {
                let opened = insert_change_in(tx, pen, new, now).await;
                opened.inspect(|change| pen.audit(origin, change.told("create"))).map(|_| true)
            }
            ChangeWrite::Update { name, version, update } => {
                let precondition = Precondition { resource_version: Some(*version), ..Precondition::default() };
                let updated = update_change_in(tx, pen, name, precondition, update).await;
                if let Ok((change, true)) = &updated {
                    let act = change.moved(update);
                    // What it waits for is the daemon's report, not a move.
                    if !act.diff.is_empty() {
                        pen.audit(origin, act);
                    }
                }
                updated.map(|(_, written)| written)
            }
        };
        match made {
            Ok(true) => drop(write_events_in(tx, pen, &one.events).await?),
            Ok(false) | Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Store {
    /// Makes moves of changes, under the owner's lease.
    ///
    /// # Errors
    /// `StaleEpoch`.
    pub async fn move_changes(&self, moves: &[ChangeMove], fence: &Fence, now: Timestamp) -> Result<()> {
        if moves.is_empty() {
            return Ok(());
        }
        transact!(self, Operation::UpdateChange, |tx| async {
            let mut pen = Pen::take(tx).await?;
            check_fence(tx, fence).await?;
            move_changes_in(tx, &mut pen, (moves, self.origin()), now).await?;
            pen.put_down(tx).await
        })
    }

    /// Withdraws an open change: it is shown no more, its approvals are void, and it is remembered under `phase`. Wakes the
    /// environment's owner.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`.
    pub async fn withdraw_change(
        &self,
        name: &str,
        precondition: Precondition,
        phase: &str,
        outcome: &Value,
        now: Timestamp,
    ) -> Result<ChangeRow> {
        transact!(self, Operation::UpdateChange, |tx| async {
            let mut pen = Pen::take(tx).await?;
            let update = ChangeUpdate {
                phase: Some(phase.to_owned()),
                outcome: Some(outcome.clone()),
                finished_at: Some(now),
                ..ChangeUpdate::default()
            };
            let (mut change, _) = update_change_in(tx, &mut pen, name, precondition, &update).await?;
            change.resource_version = pen.next();
            sqlx::query("UPDATE changes SET withdrawn_at = $2, resource_version = $3 WHERE uid = $1")
                .bind(change.uid)
                .bind(at(now))
                .bind(change.resource_version)
                .execute(&mut *tx)
                .await?;
            if let (Some(uid), Some(hash)) = (change.environment_uid, &change.plan_hash) {
                void_in(tx, uid, hash, now).await?;
            }
            pen.log((KIND, name), change.resource_version, LoggedEvent::Deleted, &change)?;
            wake(tx, &mut pen, &change).await?;
            pen.audit(self.origin(), Act { verb: "delete", ..change.moved(&update) });
            pen.put_down(tx).await?;
            Ok(change)
        })
    }

    /// The open changes of an environment, oldest first.
    pub async fn open_changes(&self, environment_uid: Uuid) -> Result<Vec<ChangeRow>> {
        self.timed(Operation::ReadChanges, async {
            let rows = sqlx::query(
                "SELECT * FROM changes WHERE environment_uid = $1 AND finished_at IS NULL ORDER BY created_at, name",
            )
            .bind(environment_uid)
            .fetch_all(self.pool())
            .await?;
            ChangeRow::from_rows(&rows)
        })
        .await
    }

    /// The change of an environment about this plan that ended last, withdrawn ones too.
    pub async fn last_closed_change(&self, environment_uid: Uuid, plan_hash: &str) -> Result<Option<ChangeRow>> {
        self.timed(Operation::ReadChanges, async {
            let row = sqlx::query(
                "SELECT * FROM changes WHERE environment = (SELECT name FROM environments WHERE uid = $1)
                    AND environment_uid = $1 AND plan_hash = $2 AND finished_at IS NOT NULL
                 ORDER BY finished_at DESC LIMIT 1",
            )
            .bind(environment_uid)
            .bind(plan_hash)
            .fetch_optional(self.pool())
            .await?;
            row.as_ref().map(ChangeRow::from_row).transpose()
        })
        .await
    }

    /// Forgets changes that ended before a time, in small transactions; watchers see them deleted. The audit trail goes on
    /// telling of them.
    pub async fn prune_changes(&self, before: Timestamp) -> Result<u64> {
        in_batches(PRUNE_BATCH, || async {
            transact!(self, Operation::PruneChanges, |tx| async {
                let mut pen = Pen::take(tx).await?;
                let rows = sqlx::query(
                    "DELETE FROM changes WHERE uid IN (
                         SELECT uid FROM changes WHERE finished_at < $1 ORDER BY finished_at LIMIT $2
                     ) RETURNING *, withdrawn_at IS NOT NULL AS withdrawn",
                )
                .bind(at(before))
                .bind(PRUNE_BATCH)
                .fetch_all(&mut *tx)
                .await?;
                for row in &rows {
                    if row.try_get("withdrawn")? {
                        // It was told as deleted when it was withdrawn.
                        continue;
                    }
                    let mut change = ChangeRow::from_row(row)?;
                    change.resource_version = pen.next();
                    pen.log((KIND, &change.name), change.resource_version, LoggedEvent::Deleted, &change)?;
                }
                pen.put_down(tx).await?;
                Ok(rows.len() as u64)
            })
        })
        .await
    }
}
