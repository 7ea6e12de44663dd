//! Helpers to decode rows and to bind columns of arrays. No statements here.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use crate::error::{Error, Result};
use crate::types::ResourceKey;

/// Decodes a row of one query into a store type.
pub(crate) trait FromStoreRow: Sized {
    fn from_row(row: &PgRow) -> Result<Self>;

    fn from_rows(rows: &[PgRow]) -> Result<Vec<Self>> {
        rows.iter().map(Self::from_row).collect()
    }
}

pub(crate) fn timestamp(row: &PgRow, column: &str) -> Result<Timestamp> {
    Ok(row.try_get::<jiff_sqlx::Timestamp, _>(column)?.to_jiff())
}

pub(crate) fn optional_timestamp(row: &PgRow, column: &str) -> Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<jiff_sqlx::Timestamp>, _>(column)?.map(jiff_sqlx::Timestamp::to_jiff))
}

/// A jsonb column as a document of known shape.
pub(crate) fn document<T: DeserializeOwned>(row: &PgRow, column: &'static str) -> Result<T> {
    // Decoded at once: a document read first as JSON and then as what it is costs as much again.
    match row.try_get::<Json<T>, _>(column) {
        Ok(Json(document)) => Ok(document),
        Err(sqlx::Error::ColumnDecode { index, source }) => Err(match source.downcast() {
            Ok(source) => Error::Corrupt { what: column, source: *source },
            Err(source) => sqlx::Error::ColumnDecode { index, source }.into(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Whole milliseconds, never negative, from a column computed as such.
pub(crate) fn milliseconds(row: &PgRow, column: &str) -> Result<Duration> {
    let millis: i64 = row.try_get(column)?;
    Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// As Postgres stores it: whole microseconds, towards zero. Compare with stored times only after this.
pub(crate) fn at(time: Timestamp) -> jiff_sqlx::Timestamp {
    micros(time).to_sqlx()
}

/// The time that Postgres would give back.
pub(crate) fn micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

pub(crate) fn at_optional(time: Option<Timestamp>) -> Option<jiff_sqlx::Timestamp> {
    time.map(at)
}

/// A duration for `make_interval(secs => ..)`.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Keys as four parallel arrays, for `unnest`.
#[derive(Default)]
pub(crate) struct KeyColumns {
    pub(crate) accounts: Vec<String>,
    pub(crate) regions: Vec<String>,
    pub(crate) kinds: Vec<String>,
    pub(crate) identities: Vec<String>,
}

impl<'a> FromIterator<&'a ResourceKey> for KeyColumns {
    fn from_iter<I: IntoIterator<Item = &'a ResourceKey>>(keys: I) -> Self {
        let mut columns = Self::default();
        for key in keys {
            columns.accounts.push(key.account.clone());
            columns.regions.push(key.region.clone());
            columns.kinds.push(key.kind.clone());
            columns.identities.push(key.identity.clone());
        }
        columns
    }
}

/// A key from the columns `account`, `region`, `kind`, `identity`.
pub(crate) fn resource_key(row: &PgRow) -> Result<ResourceKey> {
    Ok(ResourceKey {
        account: row.try_get("account")?,
        region: row.try_get("region")?,
        kind: row.try_get("kind")?,
        identity: row.try_get("identity")?,
    })
}
