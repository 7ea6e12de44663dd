//! Small types shared by several store methods. Plain data; no rule of the domain lives here.

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::Result;
use crate::rows::FromStoreRow;

/// Identity of one AWS object across the whole store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceKey {
    /// AWS account id.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// Resource kind, as the registry names it.
    pub kind: String,
    /// Identity within (account, region, kind).
    pub identity: String,
}

/// An environment's claim on one AWS object; the same shape as the object's key.
pub type Claim = ResourceKey;

/// Proof of ownership that goes with every write of a shard's owner: checked against the lease row in the same
/// transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The shard (an AWS account id).
    pub shard: String,
    /// The epoch under which the caller holds its lease.
    pub epoch: i64,
}

/// What must still be true of an object for an update to happen. Empty: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The object must be this one, not a later one of the same name.
    pub uid: Option<Uuid>,
    /// It must not have changed at all since it was read.
    pub resource_version: Option<i64>,
    /// Its spec must not have changed since it was read.
    pub generation: Option<i64>,
}

/// Which part of a list is wanted. Lists are ordered by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many items; none means all.
    pub limit: Option<u32>,
    /// Only names that sort after this one (the `next` of the page before).
    pub after: Option<String>,
}

/// One page of a list, read in one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, ordered by name.
    pub items: Vec<T>,
    /// The store's resourceVersion in the snapshot that was read: every change up to it is in the page, none after it.
    pub resource_version: i64,
    /// Where the next page starts, if there is one.
    pub next: Option<String>,
}

/// One requirement of a label selector; a list means all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "PascalCase")]
pub enum LabelRequirement {
    /// The label has one of these values.
    In {
        /// Label key.
        key: String,
        /// Accepted values.
        values: Vec<String>,
    },
    /// The label is unset or has none of these values.
    NotIn {
        /// Label key.
        key: String,
        /// Refused values.
        values: Vec<String>,
    },
    /// The label is set.
    Exists {
        /// Label key.
        key: String,
    },
    /// The label is not set.
    DoesNotExist {
        /// Label key.
        key: String,
    },
}

impl LabelRequirement {
    /// The label must have exactly this value.
    pub fn equals(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::In { key: key.into(), values: vec![value.into()] }
    }
}

impl PageRequest {
    /// One row more than asked for tells whether another page follows. LIMIT NULL is no limit.
    pub(crate) fn sql_limit(&self) -> Option<i64> {
        self.limit.map(|limit| i64::from(limit) + 1)
    }

    /// A page from the rows of `SELECT c.resource_version AS store_version, x.* FROM counter c LEFT JOIN …`, in which an
    /// empty list is one row of nulls.
    pub(crate) fn fill<T: FromStoreRow>(&self, rows: &[PgRow], name: impl Fn(&T) -> String) -> Result<Page<T>> {
        let mut items = Vec::with_capacity(rows.len());
        let mut resource_version = 0;
        for row in rows {
            resource_version = row.try_get("store_version")?;
            if row.try_get::<Option<&str>, _>("name")?.is_some() {
                items.push(T::from_row(row)?);
            }
        }
        let wanted = self.limit.map_or(usize::MAX, |limit| limit as usize);
        let more = items.len() > wanted;
        items.truncate(wanted);
        let next = if more { items.last().map(name) } else { None };
        Ok(Page { items, resource_version, next })
    }
}
