//! Reading environments.

use serde_json::Value;
use sqlx::Row;
use sqlx::types::Json;
use uuid::Uuid;

use super::rows::{EnvironmentRow, KIND};
use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::pool::Store;
use crate::rows::FromStoreRow;
use crate::types::{LabelRequirement, Page, PageRequest};

/// Which environments to list. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvironmentFilter {
    /// All of these must hold.
    pub labels: Vec<LabelRequirement>,
    /// Only those of these accounts (shards); none given: all.
    pub accounts: Vec<String>,
    /// Only this one (a field selector on the name).
    pub name: Option<String>,
}

impl Store {
    /// One environment by name.
    pub async fn get_environment(&self, name: &str) -> Result<EnvironmentRow> {
        self.timed(Operation::GetEnvironment, async {
            let row = sqlx::query("SELECT * FROM environments WHERE name = $1")
                .bind(name)
                .fetch_optional(self.pool())
                .await?;
            row.as_ref().map(EnvironmentRow::from_row).transpose()?.ok_or_else(|| Error::not_found(KIND, name))
        })
        .await
    }

    /// One environment by uid.
    pub async fn get_environment_by_uid(&self, uid: Uuid) -> Result<EnvironmentRow> {
        self.timed(Operation::GetEnvironment, async {
            let row =
                sqlx::query("SELECT * FROM environments WHERE uid = $1").bind(uid).fetch_optional(self.pool()).await?;
            row.as_ref().map(EnvironmentRow::from_row).transpose()?.ok_or_else(|| Error::not_found(KIND, uid))
        })
        .await
    }

    /// How many environments there are.
    pub async fn count_environments(&self) -> Result<u64> {
        self.timed(Operation::ListEnvironments, async {
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM environments").fetch_one(self.pool()).await?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    /// A page of environments, ordered by name.
    pub async fn list_environments(
        &self,
        filter: &EnvironmentFilter,
        page: &PageRequest,
    ) -> Result<Page<EnvironmentRow>> {
        self.timed(Operation::ListEnvironments, async {
            let rows = sqlx::query(
                "SELECT c.resource_version AS store_version, e.*
                 FROM counter c LEFT JOIN LATERAL (
                     SELECT * FROM environments
                     WHERE name > $1
                       AND ($2::text IS NULL OR name = $2)
                       AND (cardinality($3::text[]) = 0 OR account = ANY ($3))
                       AND NOT EXISTS (
                           SELECT 1 FROM jsonb_to_recordset($4) AS wanted (op text, key text, values jsonb)
                           WHERE NOT CASE wanted.op
                               WHEN 'In' THEN coalesce(wanted.values ? (labels ->> wanted.key), false)
                               WHEN 'NotIn' THEN NOT coalesce(wanted.values ? (labels ->> wanted.key), false)
                               WHEN 'Exists' THEN labels ? wanted.key
                               ELSE NOT labels ? wanted.key
                           END)
                     ORDER BY name LIMIT $5
                 ) e ON true
                 ORDER BY e.name",
            )
            .bind(page.after.as_deref().unwrap_or_default())
            .bind(&filter.name)
            .bind(&filter.accounts)
            .bind(Json(&filter.labels))
            .bind(page.sql_limit())
            .fetch_all(self.pool())
            .await?;
            page.fill(&rows, |row: &EnvironmentRow| row.name.clone())
        })
        .await
    }

    /// The plain specs of all environments of an account, for a start-up scan: (uid, name, generation, spec).
    pub async fn specs_of_account(&self, account: &str) -> Result<Vec<(Uuid, String, i64, Value)>> {
        self.timed(Operation::ListEnvironments, async {
            let rows =
                sqlx::query("SELECT uid, name, generation, spec FROM environments WHERE account = $1 ORDER BY name")
                    .bind(account)
                    .fetch_all(self.pool())
                    .await?;
            rows.iter()
                .map(|row| {
                    let Json(spec) = row.try_get::<Json<Value>, _>("spec")?;
                    Ok((row.try_get("uid")?, row.try_get("name")?, row.try_get("generation")?, spec))
                })
                .collect()
        })
        .await
    }
}
