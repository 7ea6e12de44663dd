//! Versions, their values and staging labels.
use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{CURRENT, PREVIOUS, Secret, State, Value, Version, bad_parameter, change, find, find_live, not_found};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc};

/// Versions without a label are dropped when there are more than this many (User Guide, "Secret versions").
const KEEP: usize = 100;

/// The value in a request, if any; not both kinds.
pub(super) fn value(input: &Doc) -> Result<Option<Value>, AwsError> {
    match (input.text("SecretString"), input.blob("SecretBinary")) {
        (Some(_), Some(_)) => {
            Err(bad_parameter("You can't specify both a binary secret value and a string secret value."))
        }
        (Some(text), None) => Ok(Some(Value::Text(text.to_owned()))),
        (None, Some(bytes)) => Ok(Some(Value::Binary(bytes.to_vec()))),
        (None, None) => Ok(None),
    }
}

/// Is this value new? `Some(Some(value))`: add it; `Some(None)`: that version has it already, a retry.
pub(super) fn check(secret: &Secret, token: &str, value: Option<Value>) -> Result<Option<Option<Value>>, AwsError> {
    let Some(value) = value else { return Ok(None) };
    match secret.versions.get(token) {
        None => Ok(Some(Some(value))),
        Some(version) if version.value == value => Ok(Some(None)),
        Some(_) => {
            let message = format!(
                "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {}.",
                secret.arn
            );
            Err(AwsError::new("ResourceExistsException", message))
        }
    }
}

/// Adds a version; its labels leave the version they were on, and the old current one becomes the previous one.
pub(super) fn add(secret: &mut Secret, id: &str, value: Value, stages: &[String], now: Timestamp) {
    secret.versions.insert(id.to_owned(), Version { value, created: now, stages: BTreeSet::new() });
    for stage in stages {
        give(secret, stage, id);
    }
    let mut unlabelled: Vec<(Timestamp, String)> =
        secret.versions.iter().filter(|(_, v)| v.stages.is_empty()).map(|(id, v)| (v.created, id.clone())).collect();
    unlabelled.sort();
    let excess = secret.versions.len().saturating_sub(KEEP);
    for (_, id) in unlabelled.into_iter().take(excess) {
        secret.versions.remove(&id);
    }
}

/// Moves a label. AWSCURRENT leaves AWSPREVIOUS behind (API Reference, UpdateSecretVersionStage).
pub(super) fn give(secret: &mut Secret, stage: &str, id: &str) {
    let mut old = None;
    for (version, v) in &mut secret.versions {
        if v.stages.remove(stage) && version != id {
            old = Some(version.clone());
        }
    }
    if let Some(version) = secret.versions.get_mut(id) {
        version.stages.insert(stage.to_owned());
    }
    if stage == CURRENT
        && let Some(old) = old
    {
        give(secret, PREVIOUS, &old);
    }
}

/// The id of the version with a label.
pub(super) fn labelled<'a>(secret: &'a Secret, stage: &str) -> Option<&'a str> {
    secret.versions.iter().find(|(_, v)| v.stages.contains(stage)).map(|(id, _)| id.as_str())
}

/// API Reference, PutSecretValue.
pub(super) fn put(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find_live(ctx, input.need("SecretId"))?;
    let value = value(input)?.ok_or_else(|| bad_parameter("You must provide either SecretString or SecretBinary."))?;
    let token = input.owned("ClientRequestToken").unwrap_or_else(|| ctx.rng().uuid());
    let now = ctx.now();
    let mut stages = input.texts("VersionStages");
    if stages.is_empty() {
        stages.push(CURRENT.to_owned());
    }
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    if let Some(Some(value)) = check(secret, &token, Some(value))? {
        add(change(ctx, &name)?, &token, value, &stages, now);
    }
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    let stages: Vec<String> =
        secret.versions.get(&token).map(|v| v.stages.iter().cloned().collect()).unwrap_or_default();
    Ok(doc! { "ARN" => &secret.arn, "Name" => name, "VersionId" => token, "VersionStages" => stages })
}

/// API Reference, GetSecretValue.
pub(super) fn get(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find_live(ctx, input.need("SecretId"))?;
    let now = ctx.now();
    let secret = ctx.state::<State>().secrets.get_mut(&name).ok_or_else(not_found)?;
    let (by_id, stage) = (input.text("VersionId"), input.text("VersionStage"));
    let missing = |what: String| {
        AwsError::new(
            "ResourceNotFoundException",
            format!("Secrets Manager can't find the specified secret value for {what}"),
        )
    };
    let id = match by_id {
        Some(id) => id.to_owned(),
        None => {
            let stage = stage.unwrap_or(CURRENT);
            labelled(secret, stage).ok_or_else(|| missing(format!("staging label: {stage}")))?.to_owned()
        }
    };
    let version = secret.versions.get(&id).ok_or_else(|| missing(format!("VersionId: {id}")))?;
    if stage.is_some_and(|stage| !version.stages.contains(stage)) {
        let message = "You provided a VersionStage that is not associated to the provided VersionId.";
        return Err(AwsError::new("InvalidRequestException", message));
    }
    let mut answer = doc! {
        "ARN" => &secret.arn,
        "Name" => name,
        "VersionId" => id,
        "CreatedDate" => version.created,
        "VersionStages" => version.stages.iter().cloned().collect::<Vec<_>>(),
    };
    match &version.value {
        Value::Text(text) => answer.set("SecretString", text),
        Value::Binary(bytes) => answer.set("SecretBinary", Doc::Blob(bytes.clone())),
    }
    secret.accessed = Some(now);
    Ok(answer)
}

/// API Reference, ListSecretVersionIds: versions without a label only when asked for.
pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find(ctx, input.need("SecretId"))?;
    let size = input.int("MaxResults").unwrap_or(100) as usize;
    let pager = Pager::new(ctx, "ListSecretVersionIds", input.text("NextToken"), size)
        .map_err(|_| AwsError::new("InvalidNextTokenException", "The NextToken value is invalid."))?;
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    let deprecated = input.flag("IncludeDeprecated").unwrap_or(false);
    let versions =
        secret.versions.range::<str, _>(pager.range()).filter(|(_, v)| deprecated || !v.stages.is_empty()).map(
            |(id, v)| {
                let stages: Vec<String> = v.stages.iter().cloned().collect();
                let stages = if stages.is_empty() { Doc::Null } else { stages.into() };
                (id, doc! { "VersionId" => id, "CreatedDate" => v.created, "VersionStages" => stages })
            },
        );
    let (page, token) = pager.take(versions);
    Ok(doc! { "ARN" => &secret.arn, "Name" => name, "Versions" => page, "NextToken" => token })
}

/// API Reference, UpdateSecretVersionStage.
pub(super) fn move_stage(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find_live(ctx, input.need("SecretId"))?;
    let (stage, from, to) =
        (input.need("VersionStage"), input.text("RemoveFromVersionId"), input.text("MoveToVersionId"));
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    for id in [from, to].into_iter().flatten() {
        if !secret.versions.contains_key(id) {
            let message = format!("Secrets Manager can't find the specified secret version: {id}");
            return Err(AwsError::new("ResourceNotFoundException", message));
        }
    }
    let holder = labelled(secret, stage).map(str::to_owned);
    if holder.is_some() && holder.as_deref() != from {
        let message =
            format!("The parameter RemoveFromVersionId must name the version that has the staging label {stage}.");
        return Err(bad_parameter(&message));
    }
    if to.is_none() && stage == CURRENT {
        return Err(bad_parameter("You can only move staging label AWSCURRENT to a different secret version."));
    }
    let secret = change(ctx, &name)?;
    match (to, from) {
        (Some(to), _) => give(secret, stage, to),
        (None, Some(from)) => {
            if let Some(version) = secret.versions.get_mut(from) {
                version.stages.remove(stage);
            }
        }
        (None, None) => {}
    }
    Ok(doc! { "ARN" => &secret.arn, "Name" => name })
}
