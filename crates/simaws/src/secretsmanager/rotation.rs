//! Rotation: on request and by schedule. The rotation function is played by simaws: after a while the new version
//! becomes AWSCURRENT.
use std::time::Duration;

use jiff::Timestamp;

use super::{CURRENT, Due, PENDING, Secret, State, Value, bad_parameter, change, find_live, not_found, versions};
use crate::{AwsError, Ctx, Doc, Outcome, doc};

const DAY: Duration = Duration::from_hours(24);

/// How often the rules rotate: AutomaticallyAfterDays, or `rate(10 days)` (User Guide, "Schedule expressions").
fn period(rules: &Doc) -> Result<Option<Duration>, AwsError> {
    if let Some(days) = rules.int("AutomaticallyAfterDays") {
        return Ok(Some(DAY * days as u32));
    }
    let Some(expression) = rules.text("ScheduleExpression") else { return Ok(None) };
    let inner = expression.strip_prefix("rate(").and_then(|e| e.strip_suffix(')'));
    let Some((number, unit)) = inner.and_then(|e| e.split_once(' ')) else {
        return Err(AwsError::new(
            "ValidationException",
            format!("simaws does not implement the schedule {expression}"),
        ));
    };
    let unit = match unit {
        "hour" | "hours" => Duration::from_hours(1),
        "day" | "days" => DAY,
        _ => return Err(bad_parameter("Invalid ScheduleExpression.")),
    };
    let number: u32 = number.parse().map_err(|_| bad_parameter("Invalid ScheduleExpression."))?;
    if unit * number < Duration::from_hours(4) {
        return Err(bad_parameter("The rotation schedule must be at least 4 hours."));
    }
    Ok(Some(unit * number))
}

/// API Reference, RotateSecret.
pub(super) fn rotate(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find_live(ctx, input.need("SecretId"))?;
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    if secret.owner.is_none() && input.text("RotationLambdaARN").is_none() && secret.rotation.lambda.is_none() {
        let message = "No Lambda rotation function ARN is associated with this secret.";
        return Err(AwsError::new("InvalidRequestException", message));
    }
    let rules = input.get("RotationRules").cloned().unwrap_or_else(|| secret.rotation.rules.clone());
    if rules.has("AutomaticallyAfterDays") && rules.has("ScheduleExpression") {
        return Err(bad_parameter("You can't specify both AutomaticallyAfterDays and ScheduleExpression."));
    }
    let every = period(&rules)?;
    let immediately = input.flag("RotateImmediately").unwrap_or(true);
    let token = input.owned("ClientRequestToken").unwrap_or_else(|| ctx.rng().uuid());
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    let retry = secret.versions.contains_key(&token);
    if immediately
        && !retry
        && versions::labelled(secret, PENDING).is_some_and(|id| Some(id) != versions::labelled(secret, CURRENT))
    {
        let message = "A previous rotation isn't complete. That rotation will be reattempted.";
        return Err(AwsError::new("InvalidRequestException", message));
    }
    let now = ctx.now();
    let secret = change(ctx, &name)?;
    secret.rotation.enabled = Some(true);
    if let Some(lambda) = input.owned("RotationLambdaARN") {
        secret.rotation.lambda = Some(lambda);
    }
    secret.rotation.rules = rules;
    secret.rotation.next = every.map(|every| next(now, every));
    let (arn, next) = (secret.arn.clone(), secret.rotation.next);
    let state = ctx.state::<State>();
    match next {
        Some(next) => state.agenda.set(Due::Rotate(name.clone()), next),
        None => state.agenda.cancel(&Due::Rotate(name.clone())),
    }
    if immediately && !retry {
        begin(ctx, &name, &token);
    }
    let version = immediately.then_some(token);
    Ok(doc! { "ARN" => arn, "Name" => name, "VersionId" => version })
}

/// Rates in days rotate by the end of the day (DescribeSecret, NextRotationDate: "on or before this date").
fn next(now: Timestamp, every: Duration) -> Timestamp {
    let at = now + every;
    if every < DAY {
        return at;
    }
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(86_400) + 86_399).unwrap_or(at)
}

/// The new version exists with AWSPENDING until the function is done.
fn begin(ctx: &mut Ctx<'_>, name: &str, token: &str) {
    let value = Value::Text(ctx.rng().hex(32));
    let now = ctx.now();
    let done = now + ctx.timings().rotation;
    let state = ctx.state::<State>();
    let Some(secret) = state.secrets.get_mut(name) else { return };
    // A function has nothing to rotate where there is no value yet: nothing comes of it.
    if versions::labelled(secret, CURRENT).is_none() {
        return;
    }
    versions::add(secret, token, value, &[PENDING.to_owned()], now);
    state.agenda.set(Due::Rotated(name.to_owned()), done);
}

/// The function is done.
pub(super) fn finish(ctx: &mut Ctx<'_>, name: &str) {
    let now = ctx.now();
    let Ok(secret) = change(ctx, name) else { return };
    let Some(id) = versions::labelled(secret, PENDING).map(str::to_owned) else { return };
    versions::give(secret, CURRENT, &id);
    if let Some(version) = secret.versions.get_mut(&id) {
        version.stages.remove(PENDING);
    }
    secret.rotation.last = Some(now);
}

/// The schedule's time has come.
pub(super) fn begin_by_schedule(ctx: &mut Ctx<'_>, name: &str) {
    let now = ctx.now();
    let token = ctx.rng().uuid();
    let Some(secret) = ctx.state::<State>().secrets.get_mut(name) else { return };
    if !due(secret) {
        return;
    }
    let Ok(Some(every)) = period(&secret.rotation.rules) else { return };
    let next = next(now, every);
    secret.rotation.next = Some(next);
    ctx.state::<State>().agenda.set(Due::Rotate(name.to_owned()), next);
    begin(ctx, name, &token);
}

fn due(secret: &Secret) -> bool {
    secret.rotation.enabled == Some(true) && secret.deleted.is_none()
}

/// API Reference, CancelRotateSecret: off, the settings are kept; a version with AWSPENDING stays.
pub(super) fn cancel(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find_live(ctx, input.need("SecretId"))?;
    let secret = change(ctx, &name)?;
    secret.rotation.enabled = Some(false);
    secret.rotation.next = None;
    let answer = doc! { "ARN" => &secret.arn, "Name" => &name, "VersionId" => versions::labelled(secret, PENDING) };
    let state = ctx.state::<State>();
    state.agenda.cancel(&Due::Rotate(name.clone()));
    state.agenda.cancel(&Due::Rotated(name));
    Ok(answer)
}
