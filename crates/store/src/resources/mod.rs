//! Managed resources: what each AWS object should be, was last seen to be, and how they differ. Only rows that differ
//! are written. The `memory` is a kind's private note: it is no part of the public object and changes no
//! resourceVersion.

mod write;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::pool::Store;
use crate::rows::{FromStoreRow, document, optional_timestamp, resource_key, timestamp};
use crate::types::{Page, PageRequest, ResourceKey};

pub(crate) use write::{delete_in, differences, log_deleted, upsert_in};

/// How the API names the kind, also in the object log.
const KIND: &str = "ManagedResource";

/// One managed resource as stored; without memory and freshness, also what the object log holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagedResourceRow {
    /// Identity of the row.
    pub uid: Uuid,
    /// Unique name, given by the caller when it was first written.
    pub name: String,
    /// The environment.
    pub environment_uid: Uuid,
    /// Its name.
    pub environment: String,
    /// The AWS object.
    pub key: ResourceKey,
    /// Changes with every change of the public part.
    pub resource_version: i64,
    /// What it should be.
    pub desired: Value,
    /// What it was last seen to be.
    pub observed: Value,
    /// How they differ, field by field.
    pub diff: Value,
    /// Its conditions.
    pub conditions: Value,
    /// The last plan's report: what it waits for, what blocks it, risk.
    pub report: Value,
    /// The kind's private note.
    #[serde(skip)]
    pub memory: Value,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When its public part last changed.
    pub changed_at: Timestamp,
    /// When its (account, region, kind) was last swept; joined, absent from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Timestamp>,
}

/// A managed resource to write.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceUpsert {
    /// Unique name; used when the row is new, ignored afterwards.
    pub name: String,
    /// The AWS object.
    pub key: ResourceKey,
    /// What it should be.
    pub desired: Value,
    /// What it was seen to be.
    pub observed: Value,
    /// How they differ.
    pub diff: Value,
    /// Its conditions.
    pub conditions: Value,
    /// The plan's report.
    pub report: Value,
    /// The kind's private note; `None` keeps what is stored.
    pub memory: Option<Value>,
}

/// What an upsert wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourcesWritten {
    /// The rows whose public part changed, with their new resourceVersion.
    pub changed: BTreeMap<ResourceKey, i64>,
    /// How many rows changed in memory alone.
    pub memory_only: usize,
}

/// Which managed resources to list. Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceFilter {
    /// Of this environment.
    pub environment: Option<String>,
    /// Of this environment, by uid.
    pub environment_uid: Option<Uuid>,
    /// Of this account.
    pub account: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this identity.
    pub identity: Option<String>,
    /// Of this name.
    pub name: Option<String>,
}

impl FromStoreRow for ManagedResourceRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self {
            uid: row.try_get("uid")?,
            name: row.try_get("name")?,
            environment_uid: row.try_get("environment_uid")?,
            environment: row.try_get("environment")?,
            key: resource_key(row)?,
            resource_version: row.try_get("resource_version")?,
            desired: document(row, "desired")?,
            observed: document(row, "observed")?,
            diff: document(row, "diff")?,
            conditions: document(row, "conditions")?,
            report: document(row, "report")?,
            memory: document(row, "memory")?,
            created_at: timestamp(row, "created_at")?,
            changed_at: timestamp(row, "changed_at")?,
            observed_at: optional_timestamp(row, "observed_at")?,
        })
    }
}

impl Store {
    /// A page of managed resources, ordered by name, with their sweep's freshness.
    pub async fn list_resources(
        &self,
        filter: &ResourceFilter,
        page: &PageRequest,
    ) -> Result<Page<ManagedResourceRow>> {
        self.timed(Operation::ListResources, async {
            let rows = sqlx::query(
                "SELECT c.resource_version AS store_version, r.*
                 FROM counter c LEFT JOIN LATERAL (
                     SELECT m.*, s.observed_at
                     FROM managed_resources m LEFT JOIN sweeps s USING (account, region, kind)
                     WHERE m.name > $1
                       AND ($2::text IS NULL OR m.environment = $2) AND ($3::uuid IS NULL OR m.environment_uid = $3)
                       AND ($4::text IS NULL OR m.account = $4) AND ($5::text IS NULL OR m.kind = $5)
                       AND ($6::text IS NULL OR m.identity = $6) AND ($7::text IS NULL OR m.name = $7)
                     ORDER BY m.name LIMIT $8
                 ) r ON true
                 ORDER BY r.name",
            )
            .bind(page.after.as_deref().unwrap_or_default())
            .bind(&filter.environment)
            .bind(filter.environment_uid)
            .bind(&filter.account)
            .bind(&filter.kind)
            .bind(&filter.identity)
            .bind(&filter.name)
            .bind(page.sql_limit())
            .fetch_all(self.pool())
            .await?;
            page.fill(&rows, |row: &ManagedResourceRow| row.name.clone())
        })
        .await
    }

    /// One managed resource by name.
    pub async fn get_resource(&self, name: &str) -> Result<ManagedResourceRow> {
        let filter = ResourceFilter { name: Some(name.to_owned()), ..ResourceFilter::default() };
        let page = self.list_resources(&filter, &PageRequest::default()).await?;
        page.items.into_iter().next().ok_or_else(|| Error::not_found(KIND, name))
    }

    /// The managed resources of one environment by key: what a pass begins with.
    pub async fn resources_of(&self, environment_uid: Uuid) -> Result<BTreeMap<ResourceKey, ManagedResourceRow>> {
        let filter = ResourceFilter { environment_uid: Some(environment_uid), ..ResourceFilter::default() };
        let page = self.list_resources(&filter, &PageRequest::default()).await?;
        Ok(page.items.into_iter().map(|row| (row.key.clone(), row)).collect())
    }
}
