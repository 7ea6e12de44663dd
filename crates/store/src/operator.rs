//! The Operator singleton: the installation's mode (the red button) and blast-radius cap. What they mean is decided
//! elsewhere.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::audit::{Act, raised};
use crate::error::{Error, Result};
use crate::listen::CHANNEL_OPERATOR;
use crate::object_log::{LoggedEvent, Pen};
use crate::operation::Operation;
use crate::pool::{Store, transact};
use crate::rows::{FromStoreRow, document, timestamp};
use crate::types::Precondition;

const KIND: &str = "Operator";

/// What the whole installation may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString, strum::IntoStaticStr,
)]
pub enum OperatorMode {
    /// Converge.
    Enforce,
    /// Look and report; write nothing to AWS.
    Observe,
}

/// Blast-radius cap: how many environments may be changed within an hour. `None`: the daemon's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Caps {
    /// A number of environments.
    pub count: Option<i64>,
    /// A share of all environments, 0 to 1.
    pub share: Option<f64>,
}

/// The singleton as stored. Also what the object log holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorRow {
    /// Identity.
    pub uid: Uuid,
    /// Grows with every change of mode or caps.
    pub generation: i64,
    /// Changes with every change.
    pub resource_version: i64,
    /// The red button.
    pub mode: OperatorMode,
    /// Blast-radius cap.
    pub caps: Caps,
    /// What the daemon reports.
    pub status: Value,
    /// When the installation was made.
    pub created_at: Timestamp,
}

/// A change of the singleton. What is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OperatorUpdate {
    /// New mode.
    pub mode: Option<OperatorMode>,
    /// New caps, both.
    pub caps: Option<Caps>,
    /// New status; changes no generation.
    pub status: Option<Value>,
}

impl FromStoreRow for OperatorRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        let mode: String = row.try_get("mode")?;
        Ok(Self {
            uid: row.try_get("uid")?,
            generation: row.try_get("generation")?,
            resource_version: row.try_get("resource_version")?,
            mode: mode.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            caps: Caps { count: row.try_get("blast_radius_count")?, share: row.try_get("blast_radius_share")? },
            status: document(row, "status")?,
            created_at: timestamp(row, "created_at")?,
        })
    }
}

impl Store {
    /// The installation's settings.
    pub async fn get_operator(&self) -> Result<OperatorRow> {
        self.timed(Operation::GetOperator, async {
            let row = sqlx::query("SELECT * FROM operators").fetch_one(self.pool()).await?;
            OperatorRow::from_row(&row)
        })
        .await
    }

    /// Changes the installation's settings and tells every replica. Equal to what is stored: nothing is written.
    ///
    /// # Errors
    /// `Conflict`.
    pub async fn update_operator(&self, precondition: Precondition, update: &OperatorUpdate) -> Result<OperatorRow> {
        transact!(self, Operation::UpdateOperator, |tx| async {
            let mut pen = Pen::take(tx).await?;
            let row = sqlx::query("SELECT * FROM operators").fetch_one(&mut *tx).await?;
            let current = OperatorRow::from_row(&row)?;
            let stale = precondition.resource_version.is_some_and(|version| version != current.resource_version)
                || precondition.generation.is_some_and(|generation| generation != current.generation);
            if stale {
                return Err(Error::Conflict { current: current.resource_version });
            }
            let mode = update.mode.unwrap_or(current.mode);
            let caps = update.caps.unwrap_or(current.caps);
            let settings_differ = mode != current.mode || caps != current.caps;
            let row = sqlx::query(
                "UPDATE operators SET resource_version = $1, generation = generation + $2, mode = $3,
                        blast_radius_count = $4, blast_radius_share = $5, status = coalesce($6, status)
                 WHERE $2 = 1 OR coalesce(status <> $6, false)
                 RETURNING *",
            )
            .bind(pen.peek())
            .bind(i64::from(settings_differ))
            .bind(<&str>::from(mode))
            .bind(caps.count)
            .bind(caps.share)
            .bind(&update.status)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(row) = row else { return Ok(current) };
            let operator = OperatorRow::from_row(&row)?;
            let version = pen.next();
            pen.log((KIND, "default"), version, LoggedEvent::Modified, &operator)?;
            if settings_differ {
                pen.notify(CHANNEL_OPERATOR, &Value::Null);
                let mut diff = Vec::new();
                if mode != current.mode {
                    diff.push(raised("spec.mode", json!(current.mode), json!(mode)));
                }
                if caps != current.caps {
                    diff.push(raised("spec.blastRadius", json!(current.caps), json!(caps)));
                }
                let act = Act {
                    verb: "update",
                    kind: KIND,
                    name: "default",
                    uid: Some(operator.uid),
                    resource_version: Some(version),
                    diff,
                    ..Act::default()
                };
                pen.audit(self.origin(), act);
            }
            pen.put_down(tx).await?;
            Ok(operator)
        })
    }
}
