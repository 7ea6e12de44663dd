//! Changes: governed changes of desired state, from the patch to what became of it. Phases are words to the store.

mod moves;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use crate::audit::{Act, change_fields, masked_patch};
use crate::environments::EnvironmentRow;
use crate::error::{Error, Result};
use crate::object_log::{LoggedEvent, Pen};
use crate::operation::Operation;
use crate::pool::{Store, transact};
use crate::rows::{FromStoreRow, at, at_optional, document, micros, optional_timestamp, timestamp};
use crate::types::{Page, PageRequest, Precondition};

pub use moves::{ChangeMove, ChangeWrite};
pub(crate) use moves::{check_change_in, end_changes_in, move_changes_in};

/// How the API names the kind, also in the object log.
const KIND: &str = "Change";

/// One change as stored. Also what the object log holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeRow {
    /// Identity.
    pub uid: Uuid,
    /// Unique name.
    pub name: String,
    /// Name of the environment it is for.
    pub environment: String,
    /// The environment itself, once known.
    pub environment_uid: Option<Uuid>,
    /// Changes with every change of the object.
    pub resource_version: i64,
    /// `Pending`, `PendingApproval`, `Applying`, `Converged`, …
    pub phase: String,
    /// How it came about.
    #[serde(default)]
    pub origin: Option<String>,
    /// When approved steps run.
    #[serde(default)]
    pub apply: Option<String>,
    /// Who.
    pub author: String,
    /// Why.
    pub message: String,
    /// What was asked for.
    pub patch: Value,
    /// What it would do; JSON null while unknown.
    pub plan: Value,
    /// Hash of that plan.
    pub plan_hash: Option<String>,
    /// Who approved, when; an array.
    pub approvals: Value,
    /// Who must approve; JSON null: nobody.
    #[serde(default)]
    pub requires: Value,
    /// What holds it now; JSON null: nothing.
    #[serde(default)]
    pub waiting: Value,
    /// What became of it: reasons, problems; JSON null while open.
    pub outcome: Value,
    /// The revision it became.
    pub revision: Option<i64>,
    /// The revision before it.
    #[serde(default)]
    pub base_revision: Option<i64>,
    /// The generation that its spec became, or whose steps it is about.
    #[serde(default)]
    pub generation: Option<i64>,
    /// Who sets the fields once it is applied.
    #[serde(default)]
    pub field_manager: Option<String>,
    /// When its spec was written, or its steps were approved.
    #[serde(default)]
    pub applied_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses if nobody acts.
    pub expires_at: Option<Timestamp>,
    /// When it was finished; open until then.
    pub finished_at: Option<Timestamp>,
}

/// A change to record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewChange {
    /// Unique name, made by the caller.
    pub name: String,
    /// Name of the environment it is for.
    pub environment: String,
    /// The environment itself; filled in when the change is written together with it.
    pub environment_uid: Option<Uuid>,
    /// First phase.
    pub phase: String,
    /// How it came about.
    pub origin: Option<String>,
    /// When approved steps run.
    pub apply: Option<String>,
    /// Who.
    pub author: String,
    /// Why.
    pub message: String,
    /// What is asked for.
    pub patch: Value,
    /// What it would do, or JSON null.
    pub plan: Value,
    /// Hash of that plan.
    pub plan_hash: Option<String>,
    /// Who must approve, or JSON null.
    pub requires: Value,
    /// What became of it already, or JSON null.
    pub outcome: Value,
    /// The revision it became; filled in when the change is written together with a new spec.
    pub revision: Option<i64>,
    /// The revision before it.
    pub base_revision: Option<i64>,
    /// The generation that its spec became; filled in likewise.
    pub generation: Option<i64>,
    /// Who sets the fields once it is applied.
    pub field_manager: Option<String>,
    /// When its spec was written.
    pub applied_at: Option<Timestamp>,
    /// When it lapses if nobody acts.
    pub expires_at: Option<Timestamp>,
    /// Set when it is finished as soon as it is recorded.
    pub finished_at: Option<Timestamp>,
}

/// What becomes of a change. What is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChangeUpdate {
    /// New phase.
    pub phase: Option<String>,
    /// New plan.
    pub plan: Option<Value>,
    /// Its hash.
    pub plan_hash: Option<String>,
    /// All approvals.
    pub approvals: Option<Value>,
    /// Who must approve.
    pub requires: Option<Value>,
    /// What holds it now; JSON null: nothing.
    pub waiting: Option<Value>,
    /// What became of it.
    pub outcome: Option<Value>,
    /// The revision it became.
    pub revision: Option<i64>,
    /// The revision before it.
    pub base_revision: Option<i64>,
    /// The generation that its spec became.
    pub generation: Option<i64>,
    /// When its spec was written, or its steps were approved.
    pub applied_at: Option<Timestamp>,
    /// New lapse time.
    pub expires_at: Option<Timestamp>,
    /// Set when it is finished.
    pub finished_at: Option<Timestamp>,
}

/// Which changes to list. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Only those for this environment.
    pub environment: Option<String>,
    /// Only those in one of these phases; none given: all.
    pub phases: Vec<String>,
    /// Only those that are not finished.
    pub open_only: bool,
}

impl ChangeRow {
    /// A record that is written with a new spec, still without a version.
    pub(crate) fn new(new: &NewChange, environment: &EnvironmentRow, now: Timestamp) -> Self {
        let new = new.clone();
        Self {
            uid: Uuid::new_v4(),
            name: new.name,
            environment: new.environment,
            environment_uid: Some(environment.uid),
            resource_version: 0,
            phase: new.phase,
            origin: new.origin,
            apply: new.apply,
            author: new.author,
            message: new.message,
            patch: new.patch,
            plan: new.plan,
            plan_hash: new.plan_hash,
            approvals: json!([]),
            requires: new.requires,
            waiting: Value::Null,
            outcome: new.outcome,
            revision: Some(environment.revision),
            base_revision: new.base_revision,
            generation: Some(environment.generation),
            field_manager: new.field_manager,
            applied_at: new.applied_at.map(micros),
            created_at: micros(now),
            expires_at: new.expires_at.map(micros),
            finished_at: new.finished_at.map(micros),
        }
    }

    /// What an update of the record tells: not its author's doing, but of whoever says so now.
    pub(crate) fn moved(&self, update: &ChangeUpdate) -> Act<'_> {
        Act { author: None, diff: change_fields(update), details: Value::Null, ..self.told("update") }
    }

    /// What a write of the record tells.
    pub(crate) fn told(&self, verb: &'static str) -> Act<'_> {
        Act {
            verb,
            kind: KIND,
            name: &self.name,
            uid: Some(self.uid),
            resource_version: Some(self.resource_version),
            environment: &self.environment,
            environment_uid: self.environment_uid,
            change: Some(&self.name),
            author: Some(&self.author),
            message: &self.message,
            details: json!({ "phase": self.phase, "patch": masked_patch(&self.patch) }),
            ..Act::default()
        }
    }
}

impl FromStoreRow for ChangeRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self {
            uid: row.try_get("uid")?,
            name: row.try_get("name")?,
            environment: row.try_get("environment")?,
            environment_uid: row.try_get("environment_uid")?,
            resource_version: row.try_get("resource_version")?,
            phase: row.try_get("phase")?,
            origin: row.try_get("origin")?,
            apply: row.try_get("apply")?,
            author: row.try_get("author")?,
            message: row.try_get("message")?,
            patch: document(row, "patch")?,
            plan: document(row, "plan")?,
            plan_hash: row.try_get("plan_hash")?,
            approvals: document(row, "approvals")?,
            requires: row.try_get::<Option<Value>, _>("requires")?.unwrap_or_default(),
            waiting: row.try_get::<Option<Value>, _>("waiting")?.unwrap_or_default(),
            outcome: document(row, "outcome")?,
            revision: row.try_get("revision")?,
            base_revision: row.try_get("base_revision")?,
            generation: row.try_get("generation")?,
            field_manager: row.try_get("field_manager")?,
            applied_at: optional_timestamp(row, "applied_at")?,
            created_at: timestamp(row, "created_at")?,
            expires_at: optional_timestamp(row, "expires_at")?,
            finished_at: optional_timestamp(row, "finished_at")?,
        })
    }
}

pub(crate) async fn insert_change_in(
    tx: &mut PgConnection,
    pen: &mut Pen,
    new: &NewChange,
    now: Timestamp,
) -> Result<ChangeRow> {
    let row = sqlx::query(
        "INSERT INTO changes (uid, name, environment, environment_uid, resource_version, phase, author, message, patch,
                              plan, plan_hash, approvals, outcome, revision, created_at, expires_at, finished_at,
                              origin, apply, requires, base_revision, generation, field_manager, applied_at)
         VALUES (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '[]', $11, $12, $13, $14, $15,
                 $16, $17, $18, $19, $20, $21, $22)
         ON CONFLICT ON CONSTRAINT changes_name_key DO NOTHING
         RETURNING *",
    )
    .bind(&new.name)
    .bind(&new.environment)
    .bind(new.environment_uid)
    .bind(pen.next())
    .bind(&new.phase)
    .bind(&new.author)
    .bind(&new.message)
    .bind(&new.patch)
    .bind(&new.plan)
    .bind(&new.plan_hash)
    .bind(&new.outcome)
    .bind(new.revision)
    .bind(at(now))
    .bind(at_optional(new.expires_at))
    .bind(at_optional(new.finished_at))
    .bind(&new.origin)
    .bind(&new.apply)
    .bind(&new.requires)
    .bind(new.base_revision)
    .bind(new.generation)
    .bind(&new.field_manager)
    .bind(at_optional(new.applied_at))
    .fetch_optional(tx)
    .await?
    .ok_or_else(|| Error::AlreadyExists { kind: KIND, name: new.name.clone() })?;
    let change = ChangeRow::from_row(&row)?;
    pen.log((KIND, &change.name), change.resource_version, LoggedEvent::Added, &change)?;
    Ok(change)
}

/// Answers the change as it is now, and whether it was written.
pub(crate) async fn update_change_in(
    tx: &mut PgConnection,
    pen: &mut Pen,
    name: &str,
    precondition: Precondition,
    update: &ChangeUpdate,
) -> Result<(ChangeRow, bool)> {
    let row = sqlx::query("SELECT * FROM changes WHERE name = $1 AND withdrawn_at IS NULL FOR UPDATE")
        .bind(name)
        .fetch_optional(&mut *tx)
        .await?;
    let current = row.as_ref().map(ChangeRow::from_row).transpose()?.ok_or_else(|| Error::not_found(KIND, name))?;
    if precondition.uid.is_some_and(|uid| uid != current.uid) {
        return Err(Error::not_found(KIND, name));
    }
    if precondition.resource_version.is_some_and(|version| version != current.resource_version) {
        return Err(Error::Conflict { current: current.resource_version });
    }
    let row = sqlx::query(
        "UPDATE changes SET resource_version = $2, phase = coalesce($3, phase), plan = coalesce($4, plan),
                plan_hash = coalesce($5, plan_hash), approvals = coalesce($6, approvals),
                outcome = coalesce($7, outcome), revision = coalesce($8, revision),
                expires_at = coalesce($9, expires_at), finished_at = coalesce($10, finished_at),
                requires = coalesce($11, requires), waiting = coalesce($12, waiting),
                base_revision = coalesce($13, base_revision), generation = coalesce($14, generation),
                applied_at = coalesce($15, applied_at)
         WHERE uid = $1
           AND (phase, plan, plan_hash, approvals, outcome, revision, expires_at, finished_at, requires, waiting,
                base_revision, generation, applied_at) IS DISTINCT FROM
               (coalesce($3, phase), coalesce($4, plan), coalesce($5, plan_hash), coalesce($6, approvals),
                coalesce($7, outcome), coalesce($8, revision), coalesce($9, expires_at), coalesce($10, finished_at),
                coalesce($11, requires), coalesce($12, waiting), coalesce($13, base_revision),
                coalesce($14, generation), coalesce($15, applied_at))
         RETURNING *",
    )
    .bind(current.uid)
    .bind(pen.peek())
    .bind(&update.phase)
    .bind(&update.plan)
    .bind(&update.plan_hash)
    .bind(&update.approvals)
    .bind(&update.outcome)
    .bind(update.revision)
    .bind(at_optional(update.expires_at))
    .bind(at_optional(update.finished_at))
    .bind(&update.requires)
    .bind(&update.waiting)
    .bind(update.base_revision)
    .bind(update.generation)
    .bind(at_optional(update.applied_at))
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok((current, false)) };
    let change = ChangeRow::from_row(&row)?;
    let version = pen.next();
    pen.log((KIND, &change.name), version, LoggedEvent::Modified, &change)?;
    Ok((change, true))
}

impl Store {
    /// Records a change on its own (one that waits). Wakes the environment's owner.
    ///
    /// # Errors
    /// `AlreadyExists`.
    pub async fn create_change(&self, new: &NewChange, now: Timestamp) -> Result<ChangeRow> {
        transact!(self, Operation::CreateChange, |tx| async {
            let mut pen = Pen::take(tx).await?;
            let change = insert_change_in(tx, &mut pen, new, now).await?;
            wake(tx, &mut pen, &change).await?;
            pen.audit(self.origin(), change.told("create"));
            pen.put_down(tx).await?;
            Ok(change)
        })
    }

    /// Updates a change. Equal to what is stored: nothing is written. Wakes the environment's owner.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`.
    pub async fn update_change(
        &self,
        name: &str,
        precondition: Precondition,
        update: &ChangeUpdate,
    ) -> Result<ChangeRow> {
        transact!(self, Operation::UpdateChange, |tx| async {
            let mut pen = Pen::take(tx).await?;
            let (change, written) = update_change_in(tx, &mut pen, name, precondition, update).await?;
            if written {
                wake(tx, &mut pen, &change).await?;
                pen.audit(self.origin(), change.moved(update));
            }
            pen.put_down(tx).await?;
            Ok(change)
        })
    }

    /// Deletes a change (the API's `delete`).
    ///
    /// # Errors
    /// `NotFound`, `Conflict`.
    pub async fn delete_change(&self, name: &str, precondition: Precondition) -> Result<ChangeRow> {
        transact!(self, Operation::UpdateChange, |tx| async {
            let mut pen = Pen::take(tx).await?;
            let row = sqlx::query("DELETE FROM changes WHERE name = $1 AND withdrawn_at IS NULL RETURNING *")
                .bind(name)
                .fetch_optional(&mut *tx)
                .await?
                .ok_or_else(|| Error::not_found(KIND, name))?;
            let mut change = ChangeRow::from_row(&row)?;
            if precondition.uid.is_some_and(|uid| uid != change.uid) {
                return Err(Error::not_found(KIND, name));
            }
            if precondition.resource_version.is_some_and(|version| version != change.resource_version) {
                return Err(Error::Conflict { current: change.resource_version });
            }
            change.resource_version = pen.next();
            pen.log((KIND, name), change.resource_version, LoggedEvent::Deleted, &change)?;
            pen.audit(self.origin(), Act { author: None, ..change.told("delete") });
            pen.put_down(tx).await?;
            Ok(change)
        })
    }

    /// One change.
    pub async fn get_change(&self, name: &str) -> Result<ChangeRow> {
        self.timed(Operation::ReadChanges, async {
            let row = sqlx::query("SELECT * FROM changes WHERE name = $1 AND withdrawn_at IS NULL")
                .bind(name)
                .fetch_optional(self.pool())
                .await?;
            row.as_ref().map(ChangeRow::from_row).transpose()?.ok_or_else(|| Error::not_found(KIND, name))
        })
        .await
    }

    /// A page of changes, ordered by name.
    pub async fn list_changes(&self, filter: &ChangeFilter, page: &PageRequest) -> Result<Page<ChangeRow>> {
        self.timed(Operation::ReadChanges, async {
            let rows = sqlx::query(
                "SELECT c.resource_version AS store_version, h.*
                 FROM counter c LEFT JOIN LATERAL (
                     SELECT * FROM changes
                     WHERE withdrawn_at IS NULL AND name > $1 AND ($2::text IS NULL OR environment = $2)
                       AND (cardinality($3::text[]) = 0 OR phase = ANY ($3))
                       AND (NOT $4 OR finished_at IS NULL)
                     ORDER BY name LIMIT $5
                 ) h ON true
                 ORDER BY h.name",
            )
            .bind(page.after.as_deref().unwrap_or_default())
            .bind(&filter.environment)
            .bind(&filter.phases)
            .bind(filter.open_only)
            .bind(page.sql_limit())
            .fetch_all(self.pool())
            .await?;
            page.fill(&rows, |row: &ChangeRow| row.name.clone())
        })
        .await
    }
}

async fn wake(tx: &mut PgConnection, pen: &mut Pen, change: &ChangeRow) -> Result<()> {
    let account: Option<String> = sqlx::query_scalar("SELECT account FROM environments WHERE name = $1")
        .bind(&change.environment)
        .fetch_optional(tx)
        .await?;
    if let Some(account) = account {
        pen.wake(&change.environment, &account);
    }
    Ok(())
}
