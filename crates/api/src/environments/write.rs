//! Creating, replacing and patching environments.

use std::sync::Arc;

use engine::conditions::spec_written;
use http::{HeaderMap, StatusCode};
use model::env::KIND;
use model::problem::{Problems, Reason};
use model::{diff, merge};
use serde_json::{Value, json};
use store::{EnvironmentRow, NewEnvironment};
use uuid::Uuid;

use super::edit::{self, Edit, document_of, document_with};
use super::{finalizers, read};
use crate::apply::{Managed, Operation, Writer, applied_set, merge as merge_applied, without_nulls};
use crate::document::{self, CHANGE_MESSAGE};
use crate::error::{ApiError, ApiResult};
use crate::extract::{Acting, Actor, Body, Name, Params, Patch};
use crate::state::ApiState;

/// Prefix of a name that is made up entirely.
const NAME_PREFIX: &str = "env-";
/// Letters that a generated name ends with.
const SUFFIX: usize = 5;
/// A DNS label has 63 characters.
const LONGEST_NAME: usize = 63;

/// `POST environments`
pub(crate) async fn create(
    Acting(state): Acting,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    Body(document): Body,
) -> ApiResult {
    let edit = Edit::from(&params, &headers, actor.0)?;
    make(&state, &edit, document).await
}

/// Creates what the document says.
async fn make(state: &Arc<ApiState>, edit: &Edit, document: Value) -> ApiResult {
    let uid = Uuid::new_v4();
    let fallback = generated_name(&document, uid)?;
    let mut problems = Problems::default();
    let finalizers = finalizers::wanted(&document, None, &mut problems);
    let mut read = document::read(document, edit.validation, Some(&fallback)).await?;
    read.problems.extend(problems);
    if read.resource_version.is_some() {
        let rule = "must not be set on an object to be created";
        return Err(ApiError::field("metadata.resourceVersion", Reason::FieldValueForbidden, rule));
    }
    let checked = document::check(state, read, None, edit.ask()).await?;
    let metadata = &checked.environment.metadata;
    let annotated = || metadata.annotations.get(CHANGE_MESSAGE).cloned().unwrap_or_default();
    let now = state.now();
    let new = NewEnvironment {
        uid,
        name: metadata.name.clone(),
        account: checked.environment.spec.aws.account_id.to_string(),
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
        finalizers,
        managed_fields: edit.manager.after(
            Managed::default(),
            (&Value::Null, &document_with(&checked)),
            now,
            &metadata.name,
        )?,
        spec: checked.spec.clone(),
        status: spec_written(&json!({}), 1, now),
        claims: checked.claims.clone(),
        author: edit.author.clone(),
        message: if edit.message.is_empty() { annotated() } else { edit.message.clone() },
        diff: diff::fields(&Value::Null, &checked.spec),
        change: None,
        now,
    };
    let row = if edit.dry_run {
        as_if(state, new).await?
    } else {
        state.store.create_environment(&new).await.map_err(|error| checked.refused(error))?.environment
    };
    read::answer(state, StatusCode::CREATED, &row, &checked.warnings).await
}

/// The name when the document gives none: `metadata.generateName`, or `env-`, with letters that nobody else has.
fn generated_name(document: &Value, uid: Uuid) -> ApiResult<String> {
    let prefix = match document.get("metadata").and_then(|metadata| metadata.get("generateName")) {
        None | Some(Value::Null) => NAME_PREFIX,
        Some(Value::String(prefix)) if prefix.is_empty() => NAME_PREFIX,
        Some(Value::String(prefix)) => prefix,
        Some(_) => {
            return Err(ApiError::field("metadata.generateName", Reason::FieldValueInvalid, "must be text"));
        }
    };
    let kept: String = prefix.chars().take(LONGEST_NAME - SUFFIX).collect();
    Ok(format!("{kept}{}", &uid.simple().to_string()[..SUFFIX]))
}

/// What a dry run of a creation shows.
async fn as_if(state: &ApiState, new: NewEnvironment) -> ApiResult<EnvironmentRow> {
    match state.store.get_environment(&new.name).await {
        Ok(_) => return Err(store::Error::AlreadyExists { kind: KIND, name: new.name }.into()),
        Err(store::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(EnvironmentRow {
        uid: new.uid,
        name: new.name,
        account: new.account,
        labels: new.labels,
        annotations: new.annotations,
        finalizers: new.finalizers,
        managed_fields: new.managed_fields,
        generation: 1,
        revision: 1,
        resource_version: 0,
        spec: new.spec,
        status: new.status,
        pause: None,
        created_at: new.now,
        deletion_requested_at: None,
    })
}

/// `PUT environments/{name}`
pub(crate) async fn replace(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    Body(document): Body,
) -> ApiResult {
    let edit = Edit::from(&params, &headers, actor.0)?;
    let edited = edit::edit(&state, &name, &edit, |_| Ok(document.clone())).await?;
    Ok(read::edited(&state, &edited))
}

/// `PATCH environments/{name}`
pub(crate) async fn patch(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    patch: Patch,
) -> ApiResult {
    let edit = Edit::from(&params, &headers, actor.0)?;
    let patch = match patch {
        Patch::Apply(wanted) => return apply(&state, &name, (edit, &params), wanted).await,
        other => other,
    };
    let edited = edit::edit(&state, &name, &edit, |row| patch_of(row, &patch)).await?;
    Ok(read::edited(&state, &edited))
}

/// Server-side apply: the manager's fields become what it states; what it stated before and states no more goes, unless
/// somebody else owns it. Creates what is not there.
async fn apply(state: &Arc<ApiState>, name: &str, (mut edit, params): (Edit, &Params), mut wanted: Value) -> ApiResult {
    let Some(manager) = params.text("fieldManager") else {
        return Err(ApiError::bad_request("fieldManager is required for server-side apply: ?fieldManager=me"));
    };
    if !wanted.is_object() || wanted.get("metadata").is_some_and(|metadata| !metadata.is_object()) {
        return Err(ApiError::bad_request("what is applied must be an Environment"));
    }
    without_nulls(&mut wanted);
    if wanted.pointer("/metadata/managedFields").is_some() {
        return Err(ApiError::bad_request("metadata.managedFields must be left out of what is applied"));
    }
    let named = wanted.pointer("/metadata/name");
    if named.is_some_and(|given| given != name) {
        let rule = format!("must be the name in the path, {name:?}");
        return Err(ApiError::field("metadata.name", Reason::FieldValueInvalid, rule));
    }
    if let Some(fields) = wanted.as_object_mut() {
        // Only the daemon writes it.
        fields.remove("status");
    }
    let applied = applied_set(&wanted);
    edit.manager.writer = Writer::new(Operation::Apply, manager);
    edit.manager.applied = Some((applied.clone(), params.flag("force")?));
    let changed = edit::edit(state, name, &edit, |row| {
        let old = document_of(row);
        let mut merged = old.clone();
        merge_applied(&mut merged, &wanted).map_err(|problems| ApiError::invalid(KIND, name, problems))?;
        let managed = Managed::read(&row.managed_fields).unwrap_or_default();
        Ok(managed.pruned(&edit.manager.writer, &applied, &old, merged))
    })
    .await;
    match changed {
        Ok(edited) => Ok(read::edited(state, &edited)),
        Err(error) if error.is_not_found() => {
            wanted["metadata"]["name"] = json!(name);
            make(state, &edit, wanted).await
        }
        Err(error) => Err(error),
    }
}

/// The document that a patch of either form makes of the stored one.
fn patch_of(row: &EnvironmentRow, patch: &Patch) -> ApiResult<Value> {
    let patch = match patch {
        Patch::Merge(patch) | Patch::Apply(patch) => return Ok(without_silence(patched(row, patch))),
        Patch::Json(patch) => patch,
    };
    let mut document = document_of(row);
    // What a patch may test, and replace with what it was made from.
    document["metadata"]["resourceVersion"] = json!(row.resource_version.to_string());
    document["metadata"]["uid"] = json!(row.uid);
    document["metadata"]["managedFields"] = row.managed_fields.clone();
    if document["metadata"]["finalizers"].is_null() && patch.reaches_into("/metadata/finalizers") {
        document["metadata"]["finalizers"] = json!([]);
    }
    for field in ["labels", "annotations"] {
        // As others show it: an empty map is left out, and a patch cannot add to what is not there.
        if document["metadata"][field].is_null() && patch.reaches_into(&format!("/metadata/{field}")) {
            document["metadata"][field] = json!({});
        }
    }
    patch.apply(&mut document).map_err(|problems| ApiError::invalid(KIND, &row.name, problems))?;
    // A patch that says nothing of the version is applied to the newest one.
    if !patch.names_version()
        && let Some(metadata) = document["metadata"].as_object_mut()
    {
        metadata.remove("resourceVersion");
    }
    Ok(without_silence(document))
}

/// A patch that leaves no finalizers has taken them away, while a document without any says nothing of them.
fn without_silence(mut document: Value) -> Value {
    if let Some(Value::Object(metadata)) = document.get_mut("metadata") {
        metadata.entry("finalizers").or_insert_with(|| json!([]));
    }
    document
}

/// The document that a merge patch makes of the stored one.
pub(crate) fn patched(row: &EnvironmentRow, patch: &Value) -> Value {
    let mut document = document_of(row);
    merge::apply(&mut document, patch);
    document
}
