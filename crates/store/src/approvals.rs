//! Approvals: who let the gated steps of which plan through, until when. Whether one suffices is not decided here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use uuid::Uuid;

use crate::audit::Act;
use crate::error::{Error, Result};
use crate::object_log::Pen;
use crate::operation::Operation;
use crate::pool::{Store, transact};
use crate::rows::{FromStoreRow, at, document, optional_timestamp, timestamp};

/// An approval to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApproval {
    /// The environment.
    pub environment_uid: Uuid,
    /// Hash of the plan that is approved.
    pub plan_hash: String,
    /// Fingerprints of the steps that it lets through: the gated steps of the plan as it was shown.
    pub steps: Vec<String>,
    /// When they may run, as the guard names it; `None`: at once.
    pub apply: Option<String>,
    /// Who.
    pub approver: String,
    /// When.
    pub now: Timestamp,
    /// Until when it counts.
    pub expires_at: Timestamp,
}

impl NewApproval {
    /// What is told of it.
    pub(crate) fn told(&self) -> Value {
        json!({ "plan": self.plan_hash, "steps": self.steps, "approver": self.approver, "expiresAt": self.expires_at })
    }
}

/// A recorded approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Identity.
    pub id: i64,
    /// The environment.
    pub environment_uid: Uuid,
    /// Hash of the plan that is approved.
    pub plan_hash: String,
    /// Fingerprints of the steps that it lets through.
    pub steps: Vec<String>,
    /// When they may run; `None`: at once.
    #[serde(default)]
    pub apply: Option<String>,
    /// Who.
    pub approver: String,
    /// When.
    pub approved_at: Timestamp,
    /// Until when it counts.
    pub expires_at: Timestamp,
    /// When it was used up.
    pub consumed_at: Option<Timestamp>,
}

impl FromStoreRow for Approval {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            environment_uid: row.try_get("environment_uid")?,
            plan_hash: row.try_get("plan_hash")?,
            steps: document(row, "steps")?,
            apply: row.try_get("apply")?,
            approver: row.try_get("approver")?,
            approved_at: timestamp(row, "approved_at")?,
            expires_at: timestamp(row, "expires_at")?,
            consumed_at: optional_timestamp(row, "consumed_at")?,
        })
    }
}

/// Records an approval.
pub(crate) async fn approve_in(tx: &mut PgConnection, new: &NewApproval) -> Result<Approval> {
    let row = sqlx::query(
        "INSERT INTO approvals (environment_uid, plan_hash, approver, approved_at, expires_at, steps, apply)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (environment_uid, plan_hash, approver) WHERE consumed_at IS NULL
         DO UPDATE SET approved_at = excluded.approved_at, expires_at = excluded.expires_at,
                       steps = excluded.steps, apply = excluded.apply
         RETURNING *",
    )
    .bind(new.environment_uid)
    .bind(&new.plan_hash)
    .bind(&new.approver)
    .bind(at(new.now))
    .bind(at(new.expires_at))
    .bind(Json(&new.steps))
    .bind(&new.apply)
    .fetch_one(tx)
    .await?;
    Approval::from_row(&row)
}

/// Voids the approvals of a plan that were not used up.
pub(crate) async fn void_in(
    tx: &mut PgConnection,
    environment_uid: Uuid,
    plan_hash: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "UPDATE approvals SET consumed_at = $3
         WHERE environment_uid = $1 AND plan_hash = $2 AND consumed_at IS NULL",
    )
    .bind(environment_uid)
    .bind(plan_hash)
    .bind(at(now))
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Records an approval and wakes the environment's owner. The same approver approving the same plan again renews
    /// it.
    ///
    /// # Errors
    /// `NotFound` for an environment that is gone.
    pub async fn approve(&self, new: &NewApproval) -> Result<Approval> {
        transact!(self, Operation::Approve, |tx| async {
            let mut pen = Pen::take(tx).await?;
            let environment = sqlx::query("SELECT name, account, generation FROM environments WHERE uid = $1")
                .bind(new.environment_uid)
                .fetch_optional(&mut *tx)
                .await?
                .ok_or_else(|| Error::not_found("Environment", new.environment_uid))?;
            let approval = approve_in(tx, new).await?;
            let name: &str = environment.try_get("name")?;
            pen.wake(name, environment.try_get("account")?);
            let act = Act {
                verb: "approve",
                kind: "Environment",
                name,
                uid: Some(new.environment_uid),
                environment: name,
                environment_uid: Some(new.environment_uid),
                generation: Some(environment.try_get("generation")?),
                author: Some(&new.approver),
                details: new.told(),
                ..Act::default()
            };
            pen.audit(self.origin(), act);
            pen.put_down(tx).await?;
            Ok(approval)
        })
    }

    /// The approvals of an environment that are neither used up nor run out at `now`, oldest first, each with the steps
    /// that it still lets through: one that was carried out since, with the effect seen, is used up at that moment,
    /// whatever became of the pass that did it.
    pub async fn valid_approvals(&self, environment_uid: Uuid, now: Timestamp) -> Result<Vec<Approval>> {
        self.timed(Operation::ReadApprovals, async {
            let rows = sqlx::query(
                "SELECT a.id, a.environment_uid, a.plan_hash, a.apply, a.approver, a.approved_at, a.expires_at,
                        a.consumed_at, coalesce(open.steps, '[]') AS steps
                 FROM approvals a, LATERAL (
                     SELECT jsonb_agg(approved.print) AS steps
                     FROM jsonb_array_elements_text(a.steps) AS approved(print)
                     WHERE NOT EXISTS (
                         SELECT 1 FROM journal j
                         WHERE j.environment_uid = a.environment_uid AND j.begun_at >= a.approved_at
                           AND j.outcome = 'Applied' AND j.effective AND j.body ->> 'approvable' = approved.print
                     )
                 ) open
                 WHERE a.environment_uid = $1 AND a.consumed_at IS NULL AND a.expires_at > $2
                   AND (open.steps IS NOT NULL OR a.steps = '[]')
                 ORDER BY a.id",
            )
            .bind(environment_uid)
            .bind(at(now))
            .fetch_all(self.pool())
            .await?;
            Approval::from_rows(&rows)
        })
        .await
    }

    /// Uses up every valid approval of this plan. Answers how many there were: 0 means that it was not approved (or was
    /// used up before).
    pub async fn consume_approvals(&self, environment_uid: Uuid, plan_hash: &str, now: Timestamp) -> Result<u64> {
        self.timed(Operation::ConsumeApproval, async {
            let done = sqlx::query(
                "UPDATE approvals SET consumed_at = $3
                 WHERE environment_uid = $1 AND plan_hash = $2 AND consumed_at IS NULL AND expires_at > $3",
            )
            .bind(environment_uid)
            .bind(plan_hash)
            .bind(at(now))
            .execute(self.pool())
            .await?;
            Ok(done.rows_affected())
        })
        .await
    }

    /// Forgets approvals that were used up or ran out before a time: the audit trail goes on telling of them.
    pub async fn prune_approvals(&self, before: Timestamp) -> Result<u64> {
        self.timed(Operation::PruneApprovals, async {
            let done = sqlx::query("DELETE FROM approvals WHERE expires_at < $1 OR consumed_at < $1")
                .bind(at(before))
                .execute(self.pool())
                .await?;
            Ok(done.rows_affected())
        })
        .await
    }
}
