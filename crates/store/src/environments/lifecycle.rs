//! Pausing, asking for deletion, and removing an environment.

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::rows::{EnvironmentRow, KIND, Pause, Which, lock};
use crate::audit::{Act, raised};
use crate::changes::end_changes_in;
use crate::error::{Error, Result};
use crate::leases::check_fence;
use crate::object_log::{LoggedEvent, Pen};
use crate::operation::Operation;
use crate::pool::{Store, transact};
use crate::resources::{ManagedResourceRow, log_deleted};
use crate::rows::{FromStoreRow, at};
use crate::types::{Fence, Precondition};

/// What must happen before an environment may go: the daemon lets go of, or deletes, its AWS objects.
pub const FINALIZER: &str = "eventchain.io/converge";

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, with its claims, approvals and managed resources. Revisions, changes, events and journal remain.
    Removed,
    /// Others hold it: nothing but [`FINALIZER`] is taken away.
    Held,
    /// It was gone before.
    AlreadyGone,
}

impl Store {
    /// Sets `deletionTimestamp`, and the status if one is given. Asking again changes nothing.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`.
    pub async fn request_delete(
        &self,
        name: &str,
        precondition: Precondition,
        status: Option<&Value>,
        now: Timestamp,
    ) -> Result<EnvironmentRow> {
        transact!(self, Operation::RequestDelete, |tx| async {
            let mut pen = Pen::take(tx).await?;
            let current = lock(tx, Which::Name(name)).await?;
            current.check(precondition)?;
            if current.deletion_requested_at.is_some() {
                return Ok(current);
            }
            let version = pen.next();
            let row = sqlx::query(
                "UPDATE environments
                 SET deletion_requested_at = $2, status = coalesce($3, status), resource_version = $4
                 WHERE uid = $1 RETURNING *",
            )
            .bind(current.uid)
            .bind(at(now))
            .bind(status)
            .bind(version)
            .fetch_one(&mut *tx)
            .await?;
            let environment = EnvironmentRow::from_row(&row)?;
            let diff = vec![raised("metadata.deletionTimestamp", Value::Null, json!(now))];
            pen.audit(self.origin(), Act { verb: "delete", diff, ..environment.told() });
            finish(tx, pen, environment).await
        })
    }

    /// Pauses (or, with `None`, resumes) an environment. The same pause again changes nothing.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`.
    pub async fn set_pause(
        &self,
        name: &str,
        precondition: Precondition,
        pause: Option<&Pause>,
    ) -> Result<EnvironmentRow> {
        transact!(self, Operation::SetPause, |tx| async {
            let mut pen = Pen::take(tx).await?;
            let current = lock(tx, Which::Name(name)).await?;
            current.check(precondition)?;
            if current.pause.as_ref() == pause {
                return Ok(current);
            }
            let version = pen.next();
            let row =
                sqlx::query("UPDATE environments SET pause = $2, resource_version = $3 WHERE uid = $1 RETURNING *")
                    .bind(current.uid)
                    .bind(pause.map(Json))
                    .bind(version)
                    .fetch_one(&mut *tx)
                    .await?;
            let environment = EnvironmentRow::from_row(&row)?;
            let verb = if pause.is_some() { "pause" } else { "resume" };
            let message = pause.map(|pause| pause.reason.as_str()).unwrap_or_default();
            let diff = vec![raised("pause", json!(current.pause), json!(pause))];
            let author = pause.map(|pause| pause.owner.as_str());
            let generation = pause.is_none().then_some(environment.generation);
            pen.audit(self.origin(), Act { verb, generation, author, message, diff, ..environment.told() });
            finish(tx, pen, environment).await
        })
    }

    /// Removes an environment whose deletion was asked for, once nothing is left to finalise. While other finalizers than
    /// ours are there it stays, and only ours is taken away.
    ///
    /// # Errors
    /// `Conflict` if its deletion was not asked for; `StaleEpoch`.
    pub async fn remove_environment(&self, uid: Uuid, fence: Option<&Fence>) -> Result<Removal> {
        transact!(self, Operation::RemoveEnvironment, |tx| async {
            let mut pen = Pen::take(tx).await?;
            if let Some(fence) = fence {
                check_fence(tx, fence).await?;
            }
            let mut environment = match lock(tx, Which::Uid(uid)).await {
                Err(Error::NotFound { .. }) => return Ok(Removal::AlreadyGone),
                other => other?,
            };
            if environment.deletion_requested_at.is_none() {
                return Err(Error::Conflict { current: environment.resource_version });
            }
            let others: Vec<&String> = environment.finalizers.iter().filter(|name| *name != FINALIZER).collect();
            if !others.is_empty() {
                if others.len() == environment.finalizers.len() {
                    return Ok(Removal::Held);
                }
                let version = pen.next();
                let row = sqlx::query(
                    "UPDATE environments SET finalizers = $2, resource_version = $3 WHERE uid = $1 RETURNING *",
                )
                .bind(uid)
                .bind(Json(&others))
                .bind(version)
                .fetch_one(&mut *tx)
                .await?;
                finish(tx, pen, EnvironmentRow::from_row(&row)?).await?;
                return Ok(Removal::Held);
            }
            let rows = sqlx::query(
                "WITH gone AS (DELETE FROM managed_resources WHERE environment_uid = $1 RETURNING *)
                 SELECT gone.*, NULL::timestamptz AS observed_at FROM gone ORDER BY name",
            )
            .bind(uid)
            .fetch_all(&mut *tx)
            .await?;
            log_deleted(&mut pen, ManagedResourceRow::from_rows(&rows)?)?;
            end_changes_in(tx, &mut pen, uid).await?;
            sqlx::query("DELETE FROM environments WHERE uid = $1").bind(uid).execute(&mut *tx).await?;
            environment.resource_version = pen.next();
            pen.log((KIND, &environment.name), environment.resource_version, LoggedEvent::Deleted, &environment)?;
            pen.wake(&environment.name, &environment.account);
            pen.audit(self.origin(), Act { verb: "finalize", ..environment.told() });
            pen.put_down(tx).await?;
            Ok(Removal::Removed)
        })
    }

    /// Whether any environment still lives in this account.
    pub async fn account_in_use(&self, account: &str) -> Result<bool> {
        self.timed(Operation::ListEnvironments, async {
            let row = sqlx::query("SELECT EXISTS (SELECT 1 FROM environments WHERE account = $1)")
                .bind(account)
                .fetch_one(self.pool())
                .await?;
            Ok(row.try_get(0)?)
        })
        .await
    }
}

async fn finish(tx: &mut PgConnection, mut pen: Pen, environment: EnvironmentRow) -> Result<EnvironmentRow> {
    pen.log((KIND, &environment.name), environment.resource_version, LoggedEvent::Modified, &environment)?;
    pen.wake(&environment.name, &environment.account);
    pen.put_down(tx).await?;
    Ok(environment)
}
