//! Changing an environment: read it, make the new document, check all of it, and write it with its revision, its claims
//! and its change record in one transaction. One path for PUT, PATCH, changes and rollbacks.

use std::sync::Arc;
use std::time::Duration;

use engine::changes::Apply;
use http::HeaderMap;
use http::header::IF_MATCH;
use jiff::Timestamp;
use model::env::KIND;
use model::problem::{Problems, Reason};
use serde_json::{Value, json};
use store::{ChangeRow, EnvironmentRow};
use uuid::Uuid;

use super::finalizers;
use super::manager::Manager;
use super::writing::Writing;
use crate::access::scope;
use crate::apply::Managed;
use crate::document::{self, Ask, Checked};
use crate::error::{ApiError, ApiResult};
use crate::extract::{FieldValidation, Params};
use crate::freshness::Freshness;
use crate::happened::{About, happened};
use crate::state::ApiState;
use crate::wire;

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
    /// A change that was posted as such: recorded in any case. Written at once only where its plan is known and nothing in
    /// it needs an approval.
    Posted {
        /// Its name.
        name: String,
        /// What was asked for.
        patch: Value,
        /// When approved steps run, if its author says so.
        apply: Option<Apply>,
    },
    /// A posted change with all its approvals: written if its plan is still the one that was approved.
    Approved(Box<Approved>),
}

/// A change with all its approvals.
#[derive(Debug, Clone)]
pub(crate) struct Approved {
    /// As it was read.
    pub(crate) change: ChangeRow,
    /// All of them.
    pub(crate) approvals: Value,
    /// Who gave the last one.
    pub(crate) approver: String,
    /// How long it counts, if he said so.
    pub(crate) expires_in: Option<Duration>,
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
    /// What was known of its account when it was read.
    pub(crate) freshness: Freshness,
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

    /// What is to be asked before: what is held or only tried out is written by no transaction that would ask.
    pub(super) fn ask(&self) -> Ask {
        let held = self.dry_run || matches!(self.record, Record::Posted { .. });
        if held { Ask::Claims } else { Ask::NoMoreThanTheWrite }
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
        let (row, freshness) = Freshness::with_environment(state, name).await?;
        // Before anything is made of it, or told.
        scope::check_labels(&row.labels)?;
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
        let checked = document::check(state, read, Some(&row), edit.ask()).await?;
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
                return Ok(Edited { freshness, ..edited });
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

/// A name for a change that sorts by time.
pub(crate) fn change_name(environment: &str, now: Timestamp) -> String {
    let random = Uuid::new_v4().simple().to_string();
    format!("{environment}-{:011x}-{}", now.as_millisecond().max(0), &random[..5])
}
