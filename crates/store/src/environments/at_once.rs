//! The usual creations and changes of a spec, each in one statement: it takes the pen, writes the environment with its
//! revision, claims, change record, log and audit entry, and commits. Everybody else who writes waits only while Postgres
//! works on it, and for no round trip of ours.
//!
//! Such a statement sees the store as it was when it began to wait for the pen. So it decides nothing by what it sees:
//! each row that it writes is guarded by a constraint, or by the version that the caller has read, which Postgres looks at
//! again once the row is locked. Where a guard refuses, nothing is written, and the same is done by `write` in a
//! transaction that looks again under the pen, and says precisely what is wrong. See
//! `docs/adr/2026-11-25-writes-in-one-statement.md`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::{Postgres, Row, query::Query};
use uuid::Uuid;

use super::rows::{EnvironmentRow, KIND};
use super::write::{ChangeLink, EnvironmentUpdate, NewEnvironment, SpecWrite, StatusPatch, Written, told};
use crate::audit::{Act, Origin, metadata_fields, nested};
use crate::changes::ChangeRow;
use crate::error::{Error, Result};
use crate::listen::{CHANNEL_ENVIRONMENT, CHANNEL_OBJECTS};
use crate::revisions::RevisionRow;
use crate::rows::{KeyColumns, micros};
use crate::types::Claim;

/// What both statements end with. `written` has one row with the first version, or none; `$8` is the number of versions.
macro_rules! statement {
    ($written:literal) => {
        concat!(
            $written,
            ", revised AS (
                 INSERT INTO revisions (environment, revision, environment_uid, generation, resource_version, author,
                                        message, change, spec, diff, created_at)
                 SELECT $2 ->> 'environment', ($2 ->> 'revision')::bigint, ($2 ->> 'environment_uid')::uuid,
                        ($2 ->> 'generation')::bigint, version + $8 - 1, $2 ->> 'author', $2 ->> 'message',
                        $2 ->> 'change', $1 -> 'spec', $2 -> 'diff', ($2 ->> 'created_at')::timestamptz
                 FROM written
             ), logged AS (
                 INSERT INTO object_log (resource_version, kind, name, event, object)
                 SELECT version, 'Environment', $1 ->> 'name', $11, $1 || jsonb_build_object('resource_version', version)
                 FROM written
                 UNION ALL
                 SELECT version + $8 - 1, 'Revision', ($2 ->> 'environment') || '-' || ($2 ->> 'revision'), 'ADDED',
                        $2 || jsonb_build_object('resource_version', version + $8 - 1, 'spec', $1 -> 'spec')
                 FROM written
             ), audited AS (
                 INSERT INTO audit_pending (entry) SELECT $9 || version || $10 FROM written
             )
             SELECT version, pg_notify($12, $13),
                    pg_notify($14, json_build_object('resourceVersion', version + $8 - 1)::text)
             FROM written"
        )
    };
}

/// Every constraint that this can run into stands for something that `write` says better.
const CREATE: &str = statement!(
    "WITH pen AS (
         UPDATE counter SET resource_version = resource_version + $8 RETURNING resource_version - $8 + 1 AS version
     ), written AS (
         INSERT INTO environments (uid, name, account, labels, annotations, finalizers, generation, revision,
                                   resource_version, spec, status, created_at, managed_fields)
         SELECT $7, $1 ->> 'name', $1 ->> 'account', $1 -> 'labels', $1 -> 'annotations', $1 -> 'finalizers', 1, 1,
                version, $1 -> 'spec', $1 -> 'status', ($1 ->> 'created_at')::timestamptz,
                nullif($1 -> 'managed_fields', 'null')
         FROM pen
         RETURNING resource_version AS version
     ), claimed AS (
         INSERT INTO claims (account, region, kind, identity, environment_uid, declared)
         SELECT w.*, $7, true FROM written, unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS w
     )"
);

/// The first condition spares a version where it is plain that nothing will be written. Claims that change are left to
/// `write`, and so is what Postgres takes for no change.
const UPDATE: &str = statement!(
    "WITH pen AS (
         UPDATE counter SET resource_version = resource_version + $8
         WHERE EXISTS (SELECT 1 FROM environments
                       WHERE uid = $7 AND resource_version = $15 AND spec <> $1 -> 'spec')
           AND (SELECT count(*) FROM claims WHERE environment_uid = $7) = cardinality($3::text[])
           AND (SELECT count(*) FROM claims c
                JOIN unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS w (account, region, kind, identity)
                USING (account, region, kind, identity)
                WHERE c.environment_uid = $7 AND c.declared) = cardinality($3::text[])
         RETURNING resource_version - $8 + 1 AS version
     ), written AS (
         UPDATE environments
         SET resource_version = version, spec = $1 -> 'spec', status = $1 -> 'status', labels = $1 -> 'labels',
             annotations = $1 -> 'annotations', finalizers = $1 -> 'finalizers',
             managed_fields = nullif($1 -> 'managed_fields', 'null'),
             generation = ($1 ->> 'generation')::bigint, revision = ($1 ->> 'revision')::bigint
         FROM pen
         WHERE uid = $7 AND resource_version = $15
         RETURNING version
     ), recorded AS (
         INSERT INTO changes (uid, name, environment, environment_uid, resource_version, phase, author, message, patch,
                              plan, plan_hash, approvals, outcome, revision, created_at, expires_at, finished_at,
                              origin, apply, requires, base_revision, generation, field_manager, applied_at)
         SELECT ($16 ->> 'uid')::uuid, $16 ->> 'name', $16 ->> 'environment', $7, version + 1, $16 ->> 'phase',
                $16 ->> 'author', $16 ->> 'message', $16 -> 'patch', $16 -> 'plan', $16 ->> 'plan_hash',
                $16 -> 'approvals', $16 -> 'outcome', ($16 ->> 'revision')::bigint,
                ($16 ->> 'created_at')::timestamptz, ($16 ->> 'expires_at')::timestamptz,
                ($16 ->> 'finished_at')::timestamptz, $16 ->> 'origin', $16 ->> 'apply', $16 -> 'requires',
                ($16 ->> 'base_revision')::bigint, ($16 ->> 'generation')::bigint, $16 ->> 'field_manager',
                ($16 ->> 'applied_at')::timestamptz
         FROM written WHERE $16::jsonb IS NOT NULL
     ), told_of_it AS (
         INSERT INTO object_log (resource_version, kind, name, event, object)
         SELECT version + 1, 'Change', $16 ->> 'name', 'ADDED',
                $16 || jsonb_build_object('resource_version', version + 1)
         FROM written WHERE $16::jsonb IS NOT NULL
     )"
);

/// What goes into either statement.
struct Parts<'a> {
    environment: &'a EnvironmentRow,
    revision: RevisionRow,
    claims: &'a [Claim],
    /// Versions that are handed out.
    versions: i64,
    event: &'static str,
    /// Text of the audit entry before the version and after it.
    audited: (String, String),
}

impl Parts<'_> {
    fn bind(self, query: Query<'_, Postgres, PgArguments>) -> Result<Query<'_, Postgres, PgArguments>> {
        let keys: KeyColumns = self.claims.iter().collect::<BTreeSet<_>>().into_iter().collect();
        let document = |what, value: serde_json::Result<Value>| value.map_err(|source| Error::Corrupt { what, source });
        let wake = json!({ "name": self.environment.name, "account": self.environment.account });
        Ok(query
            .bind(document(KIND, serde_json::to_value(self.environment))?)
            .bind(document("Revision", serde_json::to_value(&self.revision))?)
            .bind(keys.accounts)
            .bind(keys.regions)
            .bind(keys.kinds)
            .bind(keys.identities)
            .bind(self.environment.uid)
            .bind(self.versions)
            .bind(self.audited.0)
            .bind(self.audited.1)
            .bind(self.event)
            .bind(CHANNEL_ENVIRONMENT)
            .bind(wake.to_string())
            .bind(CHANNEL_OBJECTS))
    }
}

/// Creates an environment; `None` where a guard refused.
pub(super) async fn create(pool: &PgPool, new: &NewEnvironment, origin: Option<&Origin>) -> Result<Option<Written>> {
    if new.change.is_some() {
        return Ok(None);
    }
    let mark = mark();
    let mut environment = EnvironmentRow {
        uid: new.uid,
        name: new.name.clone(),
        account: new.account.clone(),
        labels: new.labels.clone(),
        annotations: new.annotations.clone(),
        finalizers: new.finalizers.clone(),
        managed_fields: new.managed_fields.clone(),
        generation: 1,
        revision: 1,
        resource_version: mark,
        spec: new.spec.clone(),
        status: new.status.clone(),
        pause: None,
        created_at: micros(new.now),
        deletion_requested_at: None,
    };
    let none = BTreeMap::new();
    let mut diff = metadata_fields("labels", &none, &environment.labels);
    diff.extend(metadata_fields("annotations", &none, &environment.annotations));
    diff.extend(nested("spec", &new.diff));
    let said = Some((new.author.as_str(), new.message.as_str()));
    let act = Act { verb: "create", diff, ..told(&environment, None, said) };
    let Some(audited) = split(act.entry(origin), mark) else { return Ok(None) };
    let revision = RevisionRow {
        diff: new.diff.clone(),
        author: new.author.clone(),
        message: new.message.clone(),
        ..RevisionRow::without_spec(&environment, new.now)
    };
    let parts =
        Parts { environment: &environment, revision, claims: &new.claims, versions: 2, event: "ADDED", audited };
    let Some(row) = guarded(parts.bind(sqlx::query(CREATE))?.fetch_optional(pool).await)? else { return Ok(None) };
    environment.resource_version = row.try_get("version")?;
    Ok(Some(Written { environment, changed: true, spec_changed: true, change: None }))
}

/// Changes a spec that the caller has read; `None` where a guard refused, or where more is to be written with it.
pub(super) async fn update(
    pool: &PgPool,
    update: &EnvironmentUpdate<'_>,
    origin: Option<&Origin>,
) -> Result<Option<Written>> {
    let Some((from, write)) = update.made_from.zip(update.spec.as_ref()) else { return Ok(None) };
    let more = update.fence.is_some()
        || update.while_change.is_some()
        || !(update.moves.is_empty() && update.approvals.is_empty() && update.events.is_empty());
    let known = from.name == update.name && from.check(update.precondition).is_ok();
    if more || !known {
        return Ok(None);
    }
    let mark = mark();
    let mut environment = changed(from, update, write, mark);
    let mut change = match &update.change {
        None => None,
        Some(ChangeLink::Create(new)) => Some(ChangeRow::new(new, &environment, update.now)),
        Some(ChangeLink::Update { .. }) => return Ok(None),
    };
    let mut diff = metadata_fields("labels", &from.labels, &environment.labels);
    diff.extend(metadata_fields("annotations", &from.annotations, &environment.annotations));
    diff.extend(nested("spec", &write.diff));
    let said = Some((write.author.as_str(), write.message.as_str()));
    let act = Act { verb: "update", diff, ..told(&environment, change.as_ref(), said) };
    let Some(audited) = split(act.entry(origin), mark) else { return Ok(None) };
    let revision = RevisionRow {
        diff: write.diff.clone(),
        author: write.author.clone(),
        message: write.message.clone(),
        change: change.as_ref().map(|change| change.name.clone()),
        ..RevisionRow::without_spec(&environment, update.now)
    };
    let versions = 2 + i64::from(change.is_some());
    let parts =
        Parts { environment: &environment, revision, claims: &write.claims, versions, event: "MODIFIED", audited };
    let recorded = change.as_ref().map(serde_json::to_value).transpose();
    let recorded = recorded.map_err(|source| Error::Corrupt { what: "Change", source })?;
    let query = parts.bind(sqlx::query(UPDATE))?.bind(from.resource_version).bind(recorded);
    let Some(row) = guarded(query.fetch_optional(pool).await)? else { return Ok(None) };
    environment.resource_version = row.try_get("version")?;
    if let Some(change) = &mut change {
        change.resource_version = environment.resource_version + 1;
    }
    Ok(Some(Written { environment, changed: true, spec_changed: true, change }))
}

/// The environment after an update.
fn changed(
    from: &EnvironmentRow,
    update: &EnvironmentUpdate<'_>,
    write: &SpecWrite<'_>,
    resource_version: i64,
) -> EnvironmentRow {
    EnvironmentRow {
        uid: from.uid,
        name: from.name.clone(),
        account: from.account.clone(),
        labels: update.labels.clone().unwrap_or_else(|| from.labels.clone()),
        annotations: update.annotations.clone().unwrap_or_else(|| from.annotations.clone()),
        finalizers: update.finalizers.clone().unwrap_or_else(|| from.finalizers.clone()),
        managed_fields: update.managed_fields.clone().unwrap_or_else(|| from.managed_fields.clone()),
        generation: from.generation + 1,
        revision: from.revision + 1,
        resource_version,
        spec: write.spec.clone(),
        status: match write.status {
            StatusPatch::Keep => from.status.clone(),
            StatusPatch::Replace(status) => status.clone(),
            StatusPatch::Apply(function) => function(&from.status),
        },
        pause: from.pause.clone(),
        created_at: from.created_at,
        deletion_requested_at: from.deletion_requested_at,
    }
}

/// A number that stands for the version in the audit entry until the version is known. Nobody can have written it anywhere
/// else in there: it is made up anew each time.
fn mark() -> i64 {
    (Uuid::new_v4().as_u64_pair().0 >> 2).cast_signed() | (1 << 61)
}

fn split(entry: Value, mark: i64) -> Option<(String, String)> {
    let text = entry.to_string();
    let (before, after) = text.split_once(&mark.to_string())?;
    Some((before.to_owned(), after.to_owned()))
}

/// A constraint that refuses, and contention, are for `write` to deal with: the statement was rolled back as a whole.
fn guarded(done: sqlx::Result<Option<PgRow>>) -> Result<Option<PgRow>> {
    match done.map_err(Error::from) {
        Err(Error::Violates { .. }) => Ok(None),
        Err(error) if error.is_contention() => Ok(None),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_entry_is_parted_where_its_version_stands() {
        let mark = mark();
        let (before, after) =
            split(json!({ "object": { "resourceVersion": mark.to_string() }, "z": 1 }), mark).unwrap();
        let whole: Value = serde_json::from_str(&format!("{before}{}{after}", 42)).unwrap();
        assert_eq!(whole, json!({ "object": { "resourceVersion": "42" }, "z": 1 }));
    }
}
