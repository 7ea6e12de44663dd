//! Creating environments and changing what users say about them: one transaction with revision, claims, status, change
//! record, log and notification.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::at_once;
use super::claims::replace_in;
use super::rows::{EnvironmentRow, KIND};
use crate::approvals::{NewApproval, approve_in};
use crate::audit::{Act, Origin, metadata_fields, nested};
use crate::changes::{
    ChangeMove, ChangeRow, ChangeUpdate, NewChange, check_change_in, insert_change_in, move_changes_in,
    update_change_in,
};
use crate::error::{Error, Result};
use crate::events::{NewEvent, write_events_in};
use crate::leases::check_fence;
use crate::object_log::{LoggedEvent, Pen};
use crate::operation::Operation;
use crate::pool::{Store, attempt};
use crate::revisions::{RevisionRow, insert_revision};
use crate::rows::{FromStoreRow, at};
use crate::types::{Claim, Fence, Precondition};

/// A new environment. Its generation and revision begin at 1 (the revision goes on from earlier ones of the same name).
#[derive(Debug, Clone)]
pub struct NewEnvironment {
    /// Made by the caller.
    pub uid: Uuid,
    /// Must not be in use.
    pub name: String,
    /// AWS account id: the shard. It never changes; refuse a spec that moves elsewhere.
    pub account: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Finalizers.
    pub finalizers: Vec<String>,
    /// Who wrote which field; null: not tracked.
    pub managed_fields: Value,
    /// Desired state.
    pub spec: Value,
    /// First status, with `Ready` and `Synced` Unknown.
    pub status: Value,
    /// The AWS objects that the spec manages.
    pub claims: Vec<Claim>,
    /// Who.
    pub author: String,
    /// Why.
    pub message: String,
    /// Diff to nothing, as shown in the first revision.
    pub diff: Value,
    /// The change record to write or finish with it.
    pub change: Option<ChangeLink>,
    /// The caller's clock.
    pub now: Timestamp,
}

/// A change to what users say about an environment. What is `None` stays.
#[derive(Debug, Clone)]
pub struct EnvironmentUpdate<'a> {
    /// Which environment.
    pub name: &'a str,
    /// What must still hold. Give at least the `generation` that the spec and diff were computed from.
    pub precondition: Precondition,
    /// The environment that the new metadata was made from: what users say of it there must still be so. (Its status may
    /// have changed.)
    pub made_from: Option<&'a EnvironmentRow>,
    /// New labels, all of them.
    pub labels: Option<BTreeMap<String, String>>,
    /// New annotations, all of them.
    pub annotations: Option<BTreeMap<String, String>>,
    /// New finalizers, all of them.
    pub finalizers: Option<Vec<String>>,
    /// Who wrote which field, anew.
    pub managed_fields: Option<Value>,
    /// New spec.
    pub spec: Option<SpecWrite<'a>>,
    /// The change record to write or finish with it; written even if the spec turns out to be unchanged.
    pub change: Option<ChangeLink>,
    /// A change that must still have this version.
    pub while_change: Option<(&'a str, i64)>,
    /// Moves of other changes that go with it.
    pub moves: Vec<ChangeMove>,
    /// Approvals of steps that are planned for the new spec.
    pub approvals: Vec<NewApproval>,
    /// Events about it.
    pub events: Vec<NewEvent>,
    /// Set when the daemon itself writes: the lease under which it does.
    pub fence: Option<&'a Fence>,
    /// The caller's clock.
    pub now: Timestamp,
}

impl<'a> EnvironmentUpdate<'a> {
    /// An update of nothing, to be filled in.
    pub fn new(name: &'a str, now: Timestamp) -> Self {
        Self {
            name,
            precondition: Precondition::default(),
            made_from: None,
            labels: None,
            annotations: None,
            finalizers: None,
            managed_fields: None,
            spec: None,
            change: None,
            while_change: None,
            moves: Vec::new(),
            approvals: Vec::new(),
            events: Vec::new(),
            fence: None,
            now,
        }
    }
}

/// A new spec and all that is written with it, if it differs from the stored one.
#[derive(Debug, Clone)]
pub struct SpecWrite<'a> {
    /// Desired state.
    pub spec: Value,
    /// The AWS objects that it manages.
    pub claims: Vec<Claim>,
    /// Diff to the spec before.
    pub diff: Value,
    /// Who.
    pub author: String,
    /// Why.
    pub message: String,
    /// How the status changes: `Ready` and `Synced` must become Unknown.
    pub status: StatusPatch<'a>,
}

/// A pure function from the stored status to the new one.
pub type StatusFunction<'a> = &'a (dyn Fn(&Value) -> Value + Send + Sync);

/// What happens to the status when the spec changes.
#[derive(Clone, Copy)]
pub enum StatusPatch<'a> {
    /// It stays.
    Keep,
    /// It becomes this, whatever it was.
    Replace(&'a Value),
    /// It becomes what the function makes of the stored one, read in the same transaction: nothing that the daemon
    /// wrote in the meantime is lost.
    Apply(StatusFunction<'a>),
}

impl fmt::Debug for StatusPatch<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Keep => "Keep",
            Self::Replace(_) => "Replace",
            Self::Apply(_) => "Apply",
        })
    }
}

/// The change record that goes with a write of an environment. The new revision's number is put into it.
#[derive(Debug, Clone)]
pub enum ChangeLink {
    /// Record a new one. Its environment's uid is filled in.
    Create(NewChange),
    /// Finish one that was waiting.
    Update {
        /// Its name.
        name: String,
        /// What it must still be.
        precondition: Precondition,
        /// What becomes of it.
        update: ChangeUpdate,
    },
}

/// What a write did.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The environment as it is now.
    pub environment: EnvironmentRow,
    /// Whether the environment was written at all (spec or metadata).
    pub changed: bool,
    /// Whether the spec changed: generation and revision grew.
    pub spec_changed: bool,
    /// The change record, if one was given.
    pub change: Option<ChangeRow>,
}

impl Store {
    /// Creates an environment with its first revision and its claims.
    ///
    /// # Errors
    /// `AlreadyExists`, `ClaimedBy` (all conflicts at once).
    pub async fn create_environment(&self, new: &NewEnvironment) -> Result<Written> {
        self.timed(Operation::CreateEnvironment, async {
            match at_once::create(self.pool(), new, self.origin()).await? {
                Some(written) => Ok(written),
                None => attempt!(self, |tx| create_in(tx, new, self.origin())),
            }
        })
        .await
    }

    /// Changes labels, annotations, finalizers and spec. What is equal to the stored value is not written; if nothing
    /// differs, no resourceVersion is used up and nobody is woken.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `ClaimedBy` (all conflicts at once).
    pub async fn update_environment(&self, update: &EnvironmentUpdate<'_>) -> Result<Written> {
        self.timed(Operation::UpdateEnvironment, async {
            match at_once::update(self.pool(), update, self.origin()).await? {
                Some(written) => Ok(written),
                None => attempt!(self, |tx| update_in(tx, update, self.origin())),
            }
        })
        .await
    }
}

async fn create_in(tx: &mut PgConnection, new: &NewEnvironment, origin: Option<&Origin>) -> Result<Written> {
    let mut pen = Pen::take(tx).await?;
    let version = pen.next();
    let row = sqlx::query(
        "INSERT INTO environments (uid, name, account, labels, annotations, finalizers, generation, revision,
                                   resource_version, spec, status, created_at, managed_fields)
         SELECT $1, $2, $3, $4, $5, $6, 1, coalesce(max(revision), 0) + 1, $7, $8, $9, $10, $11
         FROM revisions WHERE environment = $2
         HAVING NOT EXISTS (SELECT 1 FROM environments WHERE name = $2)
         RETURNING *",
    )
    .bind(new.uid)
    .bind(&new.name)
    .bind(&new.account)
    .bind(Json(&new.labels))
    .bind(Json(&new.annotations))
    .bind(Json(&new.finalizers))
    .bind(version)
    .bind(&new.spec)
    .bind(&new.status)
    .bind(at(new.now))
    .bind(Some(&new.managed_fields).filter(|managed| !managed.is_null()))
    .fetch_optional(&mut *tx)
    .await?
    .ok_or_else(|| Error::AlreadyExists { kind: KIND, name: new.name.clone() })?;
    let environment = EnvironmentRow::from_row(&row)?;
    pen.log((KIND, &new.name), version, LoggedEvent::Added, &environment)?;
    replace_in(tx, new.uid, &new.claims).await?;
    let change = link_change(tx, &mut pen, &environment, new.change.as_ref(), true, new.now).await?;
    let revision = RevisionRow {
        diff: new.diff.clone(),
        author: new.author.clone(),
        message: new.message.clone(),
        change: change.as_ref().map(|change| change.name.clone()),
        resource_version: pen.next(),
        ..RevisionRow::of(&environment, new.now)
    };
    insert_revision(&mut pen, &revision)?;
    pen.wake(&environment.name, &environment.account);
    let none = BTreeMap::new();
    let mut diff = metadata_fields("labels", &none, &environment.labels);
    diff.extend(metadata_fields("annotations", &none, &environment.annotations));
    diff.extend(nested("spec", &new.diff));
    pen.audit(
        origin,
        Act { verb: "create", diff, ..told(&environment, change.as_ref(), Some((&new.author, &new.message))) },
    );
    pen.put_down(tx).await?;
    Ok(Written { environment, changed: true, spec_changed: true, change })
}

async fn update_in(tx: &mut PgConnection, update: &EnvironmentUpdate<'_>, origin: Option<&Origin>) -> Result<Written> {
    let mut pen = Pen::take(tx).await?;
    if let Some(fence) = update.fence {
        check_fence(tx, fence).await?;
    }
    let (current, differs) = lock_and_compare(tx, update).await?;
    current.check(update.precondition)?;
    if let Some((name, version)) = update.while_change {
        check_change_in(tx, name, version).await?;
    }
    let said = |row: &EnvironmentRow| {
        (row.labels.clone(), row.annotations.clone(), row.finalizers.clone(), row.managed_fields.clone())
    };
    if update.made_from.is_some_and(|from| said(from) != said(&current)) {
        return Err(Error::Conflict { current: current.resource_version });
    }

    let spec = update.spec.as_ref().filter(|_| differs.spec);
    let changed = differs.spec || differs.metadata;

    let mut environment = current;
    let before = (environment.labels.clone(), environment.annotations.clone());
    if changed {
        let status = spec.and_then(|write| match write.status {
            StatusPatch::Keep => None,
            StatusPatch::Replace(status) => Some(status.clone()),
            StatusPatch::Apply(function) => Some(function(&environment.status)),
        });
        let version = pen.next();
        let row = sqlx::query(
            "UPDATE environments
             SET resource_version = $2, spec = coalesce($3, spec), status = coalesce($4, status),
                 labels = coalesce($5, labels), annotations = coalesce($6, annotations),
                 finalizers = coalesce($7, finalizers), managed_fields = coalesce($9, managed_fields),
                 generation = generation + $8,
                 revision = CASE WHEN $8 = 0 THEN revision ELSE
                     (SELECT max(revision) + 1 FROM revisions WHERE environment = name) END
             WHERE uid = $1 RETURNING *",
        )
        .bind(environment.uid)
        .bind(version)
        .bind(spec.map(|write| &write.spec))
        .bind(status)
        .bind(update.labels.as_ref().map(Json))
        .bind(update.annotations.as_ref().map(Json))
        .bind(update.finalizers.as_ref().map(Json))
        .bind(i64::from(spec.is_some()))
        .bind(&update.managed_fields)
        .fetch_one(&mut *tx)
        .await?;
        environment = EnvironmentRow::from_row(&row)?;
        pen.log((KIND, &environment.name), version, LoggedEvent::Modified, &environment)?;
        pen.wake(&environment.name, &environment.account);
    }
    let change = link_change(tx, &mut pen, &environment, update.change.as_ref(), spec.is_some(), update.now).await?;
    if let Some(write) = spec {
        replace_in(tx, environment.uid, &write.claims).await?;
        let revision = RevisionRow {
            diff: write.diff.clone(),
            author: write.author.clone(),
            message: write.message.clone(),
            change: change.as_ref().map(|change| change.name.clone()),
            resource_version: pen.next(),
            ..RevisionRow::of(&environment, update.now)
        };
        insert_revision(&mut pen, &revision)?;
    }
    if !changed && !update.approvals.is_empty() {
        pen.wake(&environment.name, &environment.account);
    }
    for approval in &update.approvals {
        approve_in(tx, approval).await?;
    }
    move_changes_in(tx, &mut pen, (&update.moves, origin), update.now).await?;
    write_events_in(tx, &mut pen, &update.events).await?;
    if changed {
        let mut diff = metadata_fields("labels", &before.0, &environment.labels);
        diff.extend(metadata_fields("annotations", &before.1, &environment.annotations));
        diff.extend(spec.map(|write| nested("spec", &write.diff)).unwrap_or_default());
        let said = spec.map(|write| (write.author.as_str(), write.message.as_str()));
        let details = approved(&update.approvals);
        pen.audit(origin, Act { verb: "update", diff, details, ..told(&environment, change.as_ref(), said) });
    } else if let Some(change) = &change {
        // The record alone.
        match &update.change {
            Some(ChangeLink::Update { update, .. }) => pen.audit(origin, change.moved(update)),
            _ => pen.audit(origin, change.told("create")),
        }
    } else if let Some(first) = update.approvals.first() {
        let (author, generation) = (Some(&*first.approver), Some(environment.generation));
        let details = approved(&update.approvals);
        pen.audit(origin, Act { verb: "approve", generation, author, details, ..environment.told() });
    }
    pen.put_down(tx).await?;
    Ok(Written { environment, changed, spec_changed: spec.is_some(), change })
}

/// What is told of approvals that go with a write.
fn approved(approvals: &[NewApproval]) -> Value {
    let all: Vec<Value> = approvals.iter().map(NewApproval::told).collect();
    if all.is_empty() { Value::Null } else { json!({ "approvals": all }) }
}

/// What a write of an environment tells; with a new spec, who and why.
pub(super) fn told<'a>(
    environment: &'a EnvironmentRow,
    change: Option<&'a ChangeRow>,
    spec: Option<(&'a str, &'a str)>,
) -> Act<'a> {
    Act {
        generation: spec.is_some().then_some(environment.generation),
        raised: spec.is_some(),
        revision: spec.is_some().then_some(environment.revision),
        change: change.map(|change| change.name.as_str()),
        author: spec.map(|(author, _)| author).or(change.map(|change| change.author.as_str())),
        message: spec.map(|(_, message)| message).unwrap_or_default(),
        ..environment.told()
    }
}

/// Which parts of an environment an update changes.
struct Differs {
    spec: bool,
    metadata: bool,
}

/// Reads and locks an environment, and compares it with an update. Postgres does that: it knows that 1e3 and 1000 are one
/// number once stored.
async fn lock_and_compare(tx: &mut PgConnection, update: &EnvironmentUpdate<'_>) -> Result<(EnvironmentRow, Differs)> {
    let row = sqlx::query(
        "SELECT *, coalesce(spec <> $2, false) AS spec_differs,
                coalesce(labels <> $3, false) OR coalesce(annotations <> $4, false)
                    OR coalesce(finalizers <> $5, false)
                    OR ($6::jsonb IS NOT NULL AND managed_fields IS DISTINCT FROM $6) AS metadata_differs
         FROM environments WHERE name = $1 FOR UPDATE",
    )
    .bind(update.name)
    .bind(update.spec.as_ref().map(|write| &write.spec))
    .bind(update.labels.as_ref().map(Json))
    .bind(update.annotations.as_ref().map(Json))
    .bind(update.finalizers.as_ref().map(Json))
    .bind(&update.managed_fields)
    .fetch_optional(tx)
    .await?
    .ok_or_else(|| Error::not_found(KIND, update.name))?;
    let differs = Differs { spec: row.try_get("spec_differs")?, metadata: row.try_get("metadata_differs")? };
    Ok((EnvironmentRow::from_row(&row)?, differs))
}

async fn link_change(
    tx: &mut PgConnection,
    pen: &mut Pen,
    environment: &EnvironmentRow,
    link: Option<&ChangeLink>,
    spec_changed: bool,
    now: Timestamp,
) -> Result<Option<ChangeRow>> {
    let revision = spec_changed.then_some(environment.revision);
    let generation = spec_changed.then_some(environment.generation);
    match link {
        None => Ok(None),
        Some(ChangeLink::Create(new)) => {
            let new = NewChange {
                environment_uid: Some(environment.uid),
                revision: revision.or(new.revision),
                generation: generation.or(new.generation),
                ..new.clone()
            };
            insert_change_in(tx, pen, &new, now).await.map(Some)
        }
        Some(ChangeLink::Update { name, precondition, update }) => {
            let update = ChangeUpdate {
                revision: revision.or(update.revision),
                generation: generation.or(update.generation),
                ..update.clone()
            };
            update_change_in(tx, pen, name, *precondition, &update).await.map(|(change, _)| Some(change))
        }
    }
}
