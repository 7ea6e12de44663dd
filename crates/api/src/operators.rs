//! `operators/default`: the whole installation: its mode (the red button), the blast-radius cap, who works on what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use model::merge;
use model::problem::{Problems, Reason};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Caps, OperatorMode, OperatorRow, OperatorUpdate, Precondition};

use crate::environments::actions::input;
use crate::environments::edit::if_match;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Acting, Actor, Asking, Name, Params, Patch};
use crate::filter::Filter;
use crate::happened::{About, happened};
use crate::objects::Kind;
use crate::state::ApiState;
use crate::{lists, wire};

/// The kind.
const OPERATOR: &str = "Operator";
/// There is one.
const DEFAULT: &str = "default";
/// A patch is merged into what is newest, so often.
const ATTEMPTS: u32 = 5;

/// `GET operators`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, asking: Asking) -> ApiResult {
    let filter = Filter::from(Kind::Operator, &asking.params)?;
    lists::list(&state, Kind::Operator, filter, &asking).await
}

/// `GET operators/default`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name, asking: Asking) -> ApiResult {
    only_default(&name)?;
    let row = state.store.get_operator().await?;
    let working = working(&state).await?;
    lists::one(Kind::Operator, wire::operator(&row, &working), &asking, &state)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OperatorSpec {
    mode: OperatorMode,
    #[serde(default)]
    blast_radius: BlastRadius,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct BlastRadius {
    count: Option<i64>,
    share: Option<f64>,
}

/// `PATCH operators/default`: a merge patch of `spec`.
pub(crate) async fn patch(
    Acting(state): Acting,
    Name(name): Name,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    patch: Patch,
) -> ApiResult {
    let mut patch = patch.into_merge()?;
    only_default(&name)?;
    let dry_run = params.dry_run()?;
    let mut version = if_match(&headers)?;
    if let Some(fields) = patch.as_object_mut() {
        if let Some(given) = fields.remove("metadata").as_ref().and_then(|it| it.get("resourceVersion")) {
            let parsed = given.as_str().and_then(|it| it.parse().ok());
            let refuse = || {
                let rule = "is not one that this server gave out";
                ApiError::field("metadata.resourceVersion", Reason::FieldValueInvalid, rule)
            };
            version = Some(parsed.ok_or_else(refuse)?);
        }
        fields.retain(|field, _| !["apiVersion", "kind", "status"].contains(&field.as_str()));
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        match patch_once(&state, &actor, (&patch, version, dry_run)).await {
            // Somebody else's patch came in between: this one is merged into theirs.
            Err(error) if error.is_conflict() && version.is_none() && attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
            Ok(row) => return answer(&state, &row).await,
        }
    }
}

async fn patch_once(
    state: &ApiState,
    Actor(author): &Actor,
    (patch, version, dry_run): (&Value, Option<i64>, bool),
) -> ApiResult<OperatorRow> {
    let row = state.store.get_operator().await?;
    let mut document = json!({
        "spec": { "mode": row.mode, "blastRadius": { "count": row.caps.count, "share": row.caps.share } },
    });
    merge::apply(&mut document, patch);
    let spec = read(document)?;
    let caps = Caps { count: spec.blast_radius.count, share: spec.blast_radius.share };
    if version.is_some_and(|version| version != row.resource_version) {
        let why = format!("it has been changed: its resourceVersion is {}; read it again", row.resource_version);
        return Err(ApiError::conflict(OPERATOR, DEFAULT, why));
    }
    if dry_run {
        let changed = (spec.mode, caps) != (row.mode, row.caps);
        return Ok(OperatorRow { mode: spec.mode, caps, generation: row.generation + i64::from(changed), ..row });
    }
    // The generation that was read: what was merged into it must not undo somebody else's red button.
    let precondition =
        Precondition { resource_version: version, generation: Some(row.generation), ..Precondition::default() };
    let update = OperatorUpdate { mode: Some(spec.mode), caps: Some(caps), status: None };
    let mode_before = row.mode;
    let row = state.store.update_operator(precondition, &update).await?;
    if row.mode != mode_before {
        let message = format!("{author} set the installation to {}", row.mode);
        happened(state, About::Installation, "ModeChanged", message).await;
    }
    Ok(row)
}

fn read(document: Value) -> ApiResult<OperatorSpec> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        spec: OperatorSpec,
    }
    let Document { spec } = input(OPERATOR, DEFAULT, document)?;
    let mut problems = Problems::default();
    if spec.blast_radius.count.is_some_and(|count| count < 0) {
        problems.add("spec.blastRadius.count", Reason::FieldValueInvalid, "must not be negative");
    }
    if spec.blast_radius.share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        problems.add("spec.blastRadius.share", Reason::FieldValueInvalid, "must be between 0 and 1");
    }
    if problems.is_empty() { Ok(spec) } else { Err(ApiError::invalid(OPERATOR, DEFAULT, problems)) }
}

fn only_default(name: &str) -> ApiResult<()> {
    if name == DEFAULT { Ok(()) } else { Err(ApiError::not_found(OPERATOR, name)) }
}

/// What is joined to the installation when it is shown.
pub(crate) async fn working(state: &ApiState) -> ApiResult<wire::Working> {
    let (leases, receivers) = (state.store.leases().await?, state.store.notification_receivers().await?);
    Ok(wire::Working { leases, receivers })
}

async fn answer(state: &ApiState, row: &OperatorRow) -> ApiResult<Response> {
    Ok(Json(wire::operator(row, &working(state).await?)).into_response())
}
