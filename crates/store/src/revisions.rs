//! Revisions: every spec that was ever accepted, numbered per environment name. They are written with the spec and never
//! change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::environments::EnvironmentRow;
use crate::error::{Error, Result};
use crate::object_log::{LoggedEvent, Pen};
use crate::operation::Operation;
use crate::pool::Store;
use crate::rows::{FromStoreRow, document, micros, timestamp};
use crate::types::{Page, PageRequest};

/// How the API names the kind, also in the object log.
pub(crate) const KIND: &str = "Revision";

/// One accepted spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevisionRow {
    /// Name of its environment.
    pub environment: String,
    /// Which environment of that name.
    pub environment_uid: Uuid,
    /// Number within the name; never repeated, also if the name is used again.
    pub revision: i64,
    /// The generation it became.
    pub generation: i64,
    /// When in the store's order.
    pub resource_version: i64,
    /// Who.
    pub author: String,
    /// Why.
    pub message: String,
    /// Name of the change that brought it, if one did.
    pub change: Option<String>,
    /// The spec.
    pub spec: Value,
    /// Diff to the spec before.
    pub diff: Value,
    /// When.
    pub created_at: Timestamp,
}

impl RevisionRow {
    /// The name under which the API shows it: `<environment>-<number>`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.environment, self.revision)
    }

    /// The present spec of an environment as a revision, still without author, message, diff and version.
    pub(crate) fn of(environment: &EnvironmentRow, now: Timestamp) -> Self {
        Self { spec: environment.spec.clone(), ..Self::without_spec(environment, now) }
    }

    /// The same without the spec.
    pub(crate) fn without_spec(environment: &EnvironmentRow, now: Timestamp) -> Self {
        Self {
            environment: environment.name.clone(),
            environment_uid: environment.uid,
            revision: environment.revision,
            generation: environment.generation,
            resource_version: 0,
            author: String::new(),
            message: String::new(),
            change: None,
            spec: Value::Null,
            diff: Value::Null,
            created_at: micros(now),
        }
    }
}

impl FromStoreRow for RevisionRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self {
            environment: row.try_get("environment")?,
            environment_uid: row.try_get("environment_uid")?,
            revision: row.try_get("revision")?,
            generation: row.try_get("generation")?,
            resource_version: row.try_get("resource_version")?,
            author: row.try_get("author")?,
            message: row.try_get("message")?,
            change: row.try_get("change")?,
            spec: document(row, "spec")?,
            diff: document(row, "diff")?,
            created_at: timestamp(row, "created_at")?,
        })
    }
}

/// Inserts a revision and logs it, when the pen is put down.
pub(crate) fn insert_revision(pen: &mut Pen, revision: &RevisionRow) -> Result<()> {
    pen.log((KIND, &revision.name()), revision.resource_version, LoggedEvent::Added, revision)
}

impl Store {
    /// One revision of an environment, also of one that is gone.
    pub async fn get_revision(&self, environment: &str, revision: i64) -> Result<RevisionRow> {
        self.timed(Operation::ListRevisions, async {
            let row = sqlx::query("SELECT * FROM revisions WHERE environment = $1 AND revision = $2")
                .bind(environment)
                .bind(revision)
                .fetch_optional(self.pool())
                .await?;
            row.as_ref()
                .map(RevisionRow::from_row)
                .transpose()?
                .ok_or_else(|| Error::not_found(KIND, format!("{environment}-{revision}")))
        })
        .await
    }

    /// Revisions ordered by environment and number, of one environment or of all. `after` is the `next` of the page
    /// before, opaque to the caller.
    pub async fn list_revisions(&self, environment: Option<&str>, page: &PageRequest) -> Result<Page<RevisionRow>> {
        // Numbers do not sort as text, so the place in the list is the pair, joined by a character no name has.
        let after = page.after.as_deref().and_then(|after| after.rsplit_once('/'));
        let (after_name, after_number) = after.unwrap_or(("", "0"));
        self.timed(Operation::ListRevisions, async {
            let rows = sqlx::query(
                "SELECT c.resource_version AS store_version, r.*, r.environment AS name
                 FROM counter c LEFT JOIN LATERAL (
                     SELECT * FROM revisions
                     WHERE ($1::text IS NULL OR environment = $1) AND (environment, revision) > ($2, $3)
                     ORDER BY environment, revision LIMIT $4
                 ) r ON true
                 ORDER BY r.environment, r.revision",
            )
            .bind(environment)
            .bind(after_name)
            .bind(after_number.parse::<i64>().unwrap_or(0))
            .bind(page.sql_limit())
            .fetch_all(self.pool())
            .await?;
            page.fill(&rows, |row: &RevisionRow| format!("{}/{}", row.environment, row.revision))
        })
        .await
    }
}
