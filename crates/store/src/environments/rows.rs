//! The environment row and how it is decoded and locked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use uuid::Uuid;

use crate::audit::Act;
use crate::error::{Error, Result};
use crate::rows::{FromStoreRow, document, optional_timestamp, timestamp};
use crate::types::Precondition;

/// How the API names the kind, also in the object log.
pub(crate) const KIND: &str = "Environment";

/// One environment as stored. Also what the object log holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentRow {
    /// Identity of this object, never used again.
    pub uid: Uuid,
    /// Unique among the environments that exist.
    pub name: String,
    /// The AWS account it lives in: its shard.
    pub account: String,
    /// Labels, for selectors.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// What must happen before it may be removed.
    pub finalizers: Vec<String>,
    /// Who wrote which field (`metadata.managedFields`); null: never tracked.
    #[serde(default)]
    pub managed_fields: Value,
    /// Grows by one with every change of the spec.
    pub generation: i64,
    /// The number of the revision that holds the present spec.
    pub revision: i64,
    /// Changes with every change of the object.
    pub resource_version: i64,
    /// Desired state.
    pub spec: Value,
    /// What the daemon last reported.
    pub status: Value,
    /// Set while an operator has paused it.
    pub pause: Option<Pause>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its deletion was asked for.
    pub deletion_requested_at: Option<Timestamp>,
}

/// A pause of one environment: still observed and reported, nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub owner: String,
    /// When it ends by itself; never, if unset. Whether it has ended is for the reader to judge.
    pub until: Option<Timestamp>,
    /// Since when.
    pub since: Timestamp,
}

impl FromStoreRow for EnvironmentRow {
    fn from_row(row: &PgRow) -> Result<Self> {
        Ok(Self {
            uid: row.try_get("uid")?,
            name: row.try_get("name")?,
            account: row.try_get("account")?,
            labels: document(row, "labels")?,
            annotations: document(row, "annotations")?,
            finalizers: document(row, "finalizers")?,
            managed_fields: row.try_get::<Option<Value>, _>("managed_fields")?.unwrap_or_default(),
            generation: row.try_get("generation")?,
            revision: row.try_get("revision")?,
            resource_version: row.try_get("resource_version")?,
            spec: document(row, "spec")?,
            status: document(row, "status")?,
            pause: match row.try_get::<Option<Json<Value>>, _>("pause")? {
                None => None,
                Some(Json(value)) => {
                    Some(serde_json::from_value(value).map_err(|source| Error::Corrupt { what: "pause", source })?)
                }
            },
            created_at: timestamp(row, "created_at")?,
            deletion_requested_at: optional_timestamp(row, "deletion_requested_at")?,
        })
    }
}

/// Which environment a statement is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    Name(&'a str),
    Uid(Uuid),
}

impl Which<'_> {
    fn not_found(self) -> Error {
        match self {
            Self::Name(name) => Error::not_found(KIND, name),
            Self::Uid(uid) => Error::not_found(KIND, uid),
        }
    }
}

/// Reads and locks one environment for the rest of the transaction. The caller holds the pen.
pub(crate) async fn lock(tx: &mut PgConnection, which: Which<'_>) -> Result<EnvironmentRow> {
    let (name, uid) = match which {
        Which::Name(name) => (Some(name), None),
        Which::Uid(uid) => (None, Some(uid)),
    };
    let row = sqlx::query("SELECT * FROM environments WHERE name = $1 OR uid = $2 FOR UPDATE")
        .bind(name)
        .bind(uid)
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(EnvironmentRow::from_row).transpose()?.ok_or_else(|| which.not_found())
}

impl EnvironmentRow {
    /// What a write of it tells.
    pub(crate) fn told(&self) -> Act<'_> {
        Act {
            kind: KIND,
            name: &self.name,
            uid: Some(self.uid),
            resource_version: Some(self.resource_version),
            environment: &self.name,
            environment_uid: Some(self.uid),
            ..Act::default()
        }
    }

    /// `NotFound` for another uid (the caller means an object that is gone), `Conflict` for another version.
    pub(crate) fn check(&self, precondition: Precondition) -> Result<()> {
        if precondition.uid.is_some_and(|uid| uid != self.uid) {
            return Err(Error::not_found(KIND, &self.name));
        }
        let stale = precondition.resource_version.is_some_and(|version| version != self.resource_version)
            || precondition.generation.is_some_and(|generation| generation != self.generation);
        if stale { Err(Error::Conflict { current: self.resource_version }) } else { Ok(()) }
    }
}
