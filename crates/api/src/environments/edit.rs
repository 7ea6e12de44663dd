//! Changing an environment: read it, make the new document, check all of it, and write it with its revision, its claims
//! and its change record in one transaction. One path for PUT, PATCH, changes and rollbacks.

use std::sync::Arc;

use http::HeaderMap;
use http::header::IF_MATCH;
use jiff::Timestamp;
use model::env::KIND;
use model::problem::{Problems, Reason};
use serde_json::{Value, json};
use store::{
    ChangeLink, ChangeRow, EnvironmentRow, EnvironmentUpdate, NewChange, Precondition, SpecWrite, StatusPatch,
};
use uuid::Uuid;

use super::finalizers;
use super::manager::Manager;
use super::status::spec_written;
use crate::apply::Managed;
use crate::document::{self, CHANGE_MESSAGE, Checked};
use crate::error::{ApiError, ApiResult};
use crate::extract::{FieldValidation, Params};
use crate::happened::{About, happened};
use crate::state::ApiState;
use crate::{diff, merge, wire};

/// A change made from the newest version is made again when somebody else's came in between, so often.
const ATTEMPTS: u32 = 10;

/// Longest message of a change.
const LONGEST_MESSAGE: usize = 4096;

/// How a change is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    /// Who.
    pub(crate) author: String,
    /// Why; when empty, the annotation may say.
    pub(crate) message: String,
    /// The version that it is made from, when the client says so outside of the document.
    pub(crate) version: Option<i64>,
    pub(crate) validation: FieldValidation,
    pub(crate) dry_run: bool,
    pub(crate) record: Record,
    /// Who sets the fields, and how.
    pub(crate) manager: Manager,
}

/// The change record that goes with it.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// A direct write: recorded when the spec changes.
    Direct,
    /// A change that was posted as such: recorded in any case, with its plan when there is one.
    Posted {
        /// Its name.
        name: String,
        /// What was asked for.
        patch: Value,
        /// Whether to ask the owner for the plan.
        plan: bool,
    },
}

/// What a change came to.
#[derive(Debug)]
pub(crate) struct Edited {
    /// The environment as it is now, or as it would be.
    pub(crate) row: EnvironmentRow,
    /// The change record, if one was made.
    pub(crate) change: Option<ChangeRow>,
    /// What was dropped and is told.
    pub(crate) warnings: Vec<String>,
}

impl Edit {
    /// From the parameters and headers that every write has.
    pub(crate) fn from(params: &Params, headers: &HeaderMap, author: String) -> ApiResult<Self> {
        Ok(Self {
            author,
            message: message(params.text("message").unwrap_or_default())?,
            version: if_match(headers)?,
            validation: params.field_validation()?,
            dry_run: params.dry_run()?,
            record: Record::Direct,
            manager: Manager::from(params, headers)?,
        })
    }
}

/// A message within bounds.
pub(crate) fn message(text: &str) -> ApiResult<String> {
    if text.len() > LONGEST_MESSAGE || text.contains('\0') {
        let rule = format!("must be text of at most {LONGEST_MESSAGE} bytes");
        return Err(ApiError::field("message", Reason::FieldValueInvalid, rule));
    }
    Ok(text.trim().to_owned())
}

/// The resourceVersion in `If-Match`.
pub(crate) fn if_match(headers: &HeaderMap) -> ApiResult<Option<i64>> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let refuse = || ApiError::field("If-Match", Reason::FieldValueInvalid, "must be a resourceVersion, or *");
    text.trim_matches('"').parse().map(Some).map_err(|_| refuse())
}

/// The stored environment as the document that patches apply to.
pub(crate) fn document_of(row: &EnvironmentRow) -> Value {
    let mut metadata = json!({ "name": row.name });
    if !row.labels.is_empty() {
        metadata["labels"] = json!(row.labels);
    }
    if !row.annotations.is_empty() {
        metadata["annotations"] = json!(row.annotations);
    }
    if !row.finalizers.is_empty() {
        metadata["finalizers"] = json!(row.finalizers);
    }
    json!({ "apiVersion": wire::API_VERSION, "kind": KIND, "metadata": metadata, "spec": row.spec })
}

/// A checked document, in the same form.
pub(crate) fn document_with(checked: &Checked) -> Value {
    let metadata = &checked.environment.metadata;
    let mut document = json!({ "metadata": {}, "spec": checked.spec });
    for (field, texts) in [("labels", &metadata.labels), ("annotations", &metadata.annotations)] {
        if !texts.is_empty() {
            document["metadata"][field] = json!(texts);
        }
    }
    document
}

/// Makes the change. `make` is given the newest version, and run again when another one came in between.
pub(crate) async fn edit(
    state: &Arc<ApiState>,
    name: &str,
    edit: &Edit,
    make: impl Fn(&EnvironmentRow) -> ApiResult<Value> + Send,
) -> ApiResult<Edited> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let row = state.store.get_environment(name).await?;
        let document = make(&row)?;
        // Clients send back what they read; what they changed there is meant.
        let given = document.pointer("/metadata/managedFields").filter(|given| !given.is_null());
        let managed = Managed::read(given.unwrap_or(&row.managed_fields)).ok_or_else(|| {
            let rule = "is not what this server gave out";
            ApiError::field("metadata.managedFields", Reason::FieldValueInvalid, rule)
        })?;
        let mut problems = Problems::default();
        let finalizers = finalizers::wanted(&document, Some(&row), &mut problems);
        let mut read = document::read(document, edit.validation, Some(name)).await?;
        read.problems.extend(problems);
        let version = read.resource_version.or(edit.version);
        let stale = [read.resource_version, edit.version].into_iter().flatten().any(|it| it != row.resource_version);
        if stale {
            // Kubernetes' words: kubectl tries again by them.
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(ApiError::conflict(KIND, name, why));
        }
        if read.uid.is_some_and(|uid| uid != row.uid) {
            return Err(ApiError::conflict(KIND, name, format!("its uid is {}: it is another object", row.uid)));
        }
        let checked = document::check(state, read, Some(&row)).await?;
        let mut new = document_with(&checked);
        if !finalizers.is_empty() {
            new["metadata"]["finalizers"] = json!(finalizers);
        }
        let managed = edit.manager.after(managed, (&document_of(&row), &new), state.now(), name)?;
        let metadata = (managed, finalizers);
        match Writing::new(state, edit, row, (checked, metadata), version).carry_out(state).await {
            Err(error) if error.is_conflict() && version.is_none() && attempt < ATTEMPTS => {}
            Ok(edited) => {
                if !edit.dry_run {
                    let_go(state, &edited.row, &edit.author).await?;
                }
                return Ok(edited);
            }
            refused => return refused,
        }
    }
}

/// Removes an environment that is being deleted and that nothing holds any more.
async fn let_go(state: &ApiState, row: &EnvironmentRow, author: &str) -> ApiResult<()> {
    if row.deletion_requested_at.is_none() || !row.finalizers.is_empty() {
        return Ok(());
    }
    let message = format!("{author} took away the last finalizer: the environment is gone, and AWS stays as it is");
    happened(state, About::Environment(row), "FinalizersRemoved", message).await;
    state.store.remove_environment(row.uid, None).await?;
    Ok(())
}

/// One attempt.
struct Writing<'a> {
    edit: &'a Edit,
    row: EnvironmentRow,
    checked: Checked,
    managed: Value,
    finalizers: Vec<String>,
    version: Option<i64>,
    spec_changed: bool,
    message: String,
    now: Timestamp,
}

impl<'a> Writing<'a> {
    fn new(
        state: &ApiState,
        edit: &'a Edit,
        row: EnvironmentRow,
        (checked, (managed, finalizers)): (Checked, (Value, Vec<String>)),
        version: Option<i64>,
    ) -> Self {
        // Compared as documents, not as text: what another release wrote otherwise is no change.
        let spec_changed = document::stored(&row).is_none_or(|old| old.spec != checked.environment.spec);
        let annotation = |of: &std::collections::BTreeMap<String, String>| of.get(CHANGE_MESSAGE).cloned();
        let said = annotation(&checked.environment.metadata.annotations);
        let fresh = said.filter(|said| annotation(&row.annotations).as_ref() != Some(said));
        let message = if edit.message.is_empty() { fresh.unwrap_or_default() } else { edit.message.clone() };
        Self { edit, row, checked, managed, finalizers, version, spec_changed, message, now: state.now() }
    }

    async fn carry_out(self, state: &ApiState) -> ApiResult<Edited> {
        let plan = self.plan(state).await;
        let change = self.change(plan);
        if self.edit.dry_run {
            return Ok(self.tried_out(change));
        }
        let metadata = &self.checked.environment.metadata;
        let generation = self.row.generation + 1;
        let now = self.now;
        let status = move |old: &Value| spec_written(old, generation, now);
        let update = EnvironmentUpdate {
            precondition: Precondition {
                uid: Some(self.row.uid),
                resource_version: self.version,
                generation: Some(self.row.generation),
            },
            made_from: Some(&self.row),
            labels: (metadata.labels != self.row.labels).then(|| metadata.labels.clone()),
            annotations: (metadata.annotations != self.row.annotations).then(|| metadata.annotations.clone()),
            finalizers: (self.finalizers != self.row.finalizers).then(|| self.finalizers.clone()),
            managed_fields: (self.managed != self.row.managed_fields).then(|| self.managed.clone()),
            spec: self.spec_changed.then(|| SpecWrite {
                spec: self.checked.spec.clone(),
                claims: self.checked.claims.clone(),
                diff: diff::fields(&self.row.spec, &self.checked.spec),
                author: self.edit.author.clone(),
                message: self.message.clone(),
                status: StatusPatch::Apply(&status),
            }),
            change: change.map(ChangeLink::Create),
            ..EnvironmentUpdate::new(&self.row.name, now)
        };
        let written = state.store.update_environment(&update).await.map_err(|error| self.checked.refused(error))?;
        Ok(Edited { row: written.environment, change: written.change, warnings: self.checked.warnings })
    }

    /// The plan of the new spec, or why there is none; only asked for where it is shown.
    async fn plan(&self, state: &ApiState) -> Option<Result<Value, String>> {
        match &self.edit.record {
            Record::Posted { plan: true, .. } => {
                let place = (self.row.account.as_str(), self.row.name.as_str());
                let spec = self.spec_changed.then_some(&self.checked.spec);
                let plan = crate::owner::plan(state, place, spec, state.config.change_plan_patience).await;
                Some(plan.map_err(|error| error.message().to_owned()))
            }
            Record::Posted { .. } | Record::Direct => None,
        }
    }

    fn change(&self, plan: Option<Result<Value, String>>) -> Option<NewChange> {
        let (name, patch) = match &self.edit.record {
            Record::Direct if !self.spec_changed => return None,
            Record::Direct => {
                let patch = merge::between(&self.row.spec, &self.checked.spec).unwrap_or_else(|| json!({}));
                (change_name(&self.row.name, self.now), json!({ "spec": patch }))
            }
            Record::Posted { name, patch, .. } => (name.clone(), patch.clone()),
        };
        let mut outcome = match (&self.edit.record, self.spec_changed) {
            (Record::Posted { .. }, false) => json!({ "reason": "NothingToChange" }),
            _ => json!({ "reason": "Applied" }),
        };
        let plan = match plan {
            Some(Ok(plan)) => plan,
            Some(Err(why)) => {
                outcome["planMissing"] = json!(why);
                Value::Null
            }
            None => Value::Null,
        };
        Some(NewChange {
            name,
            environment: self.row.name.clone(),
            environment_uid: Some(self.row.uid),
            phase: "Applied".to_owned(),
            author: self.edit.author.clone(),
            message: self.message.clone(),
            patch,
            plan_hash: crate::owner::plan_hash(&plan).map(str::to_owned),
            plan,
            outcome,
            revision: None,
            expires_at: None,
            finished_at: Some(self.now),
        })
    }

    /// What a dry run shows: the object as it would be, with the version it has.
    fn tried_out(self, change: Option<NewChange>) -> Edited {
        let mut row = self.row;
        let metadata = self.checked.environment.metadata;
        row.labels = metadata.labels;
        row.annotations = metadata.annotations;
        row.finalizers = self.finalizers;
        row.managed_fields = self.managed;
        if self.spec_changed {
            row.generation += 1;
            row.revision += 1;
            row.status = spec_written(&row.status, row.generation, self.now);
            row.spec = self.checked.spec;
        }
        let revision = self.spec_changed.then_some(row.revision);
        let change = change.map(|new| ChangeRow {
            uid: Uuid::nil(),
            name: new.name,
            environment: new.environment,
            environment_uid: new.environment_uid,
            resource_version: 0,
            phase: new.phase,
            author: new.author,
            message: new.message,
            patch: new.patch,
            plan: new.plan,
            plan_hash: new.plan_hash,
            approvals: json!([]),
            outcome: new.outcome,
            revision,
            created_at: self.now,
            expires_at: None,
            finished_at: new.finished_at,
        });
        Edited { row, change, warnings: self.checked.warnings }
    }
}

/// A name for a change that sorts by time.
pub(crate) fn change_name(environment: &str, now: Timestamp) -> String {
    let random = Uuid::new_v4().simple().to_string();
    format!("{environment}-{:011x}-{}", now.as_millisecond().max(0), &random[..5])
}
