//! Creation, change, deletion and restoration of secrets, and their tags.
use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    CURRENT, Due, Rotation, Secret, State, Value, bad_parameter, change, find, find_live, marked, not_found, versions,
};
use crate::{AwsError, Ctx, Doc, Outcome, TagMap, doc, tags_in};

const DAY: Duration = Duration::from_hours(24);

fn check_tags(present: &TagMap, tags: &TagMap) -> Result<(), AwsError> {
    if tags.keys().any(|k| k.starts_with("aws:")) {
        return Err(bad_parameter("Tag keys can't begin with aws:"));
    }
    if present.len() + tags.keys().filter(|k| !present.contains_key(*k)).count() > 50 {
        return Err(bad_parameter("A secret can have no more than 50 tags."));
    }
    Ok(())
}

/// API Reference, CreateSecret: the client token is the version's id; a retry with the same token and value is
/// answered as the first call was, and any other secret of that name is an error.
pub(super) fn create(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("Name").to_owned();
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c)) {
        let message =
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@";
        return Err(bad_parameter(message));
    }
    let tags = tags_in(input.list("Tags"), "Key", "Value");
    check_tags(&TagMap::new(), &tags)?;
    let value = versions::value(input)?;
    if let Some(secret) = ctx.state::<State>().secrets.get(&name) {
        if secret.deleted.is_some() {
            let message =
                "You can't create this secret because a secret with this name is already scheduled for deletion.";
            return Err(AwsError::new("InvalidRequestException", message));
        }
        let version = input.text("ClientRequestToken").and_then(|t| Some((t, secret.versions.get(t)?)));
        return match version {
            Some((token, version)) if Some(&version.value) == value.as_ref() => {
                Ok(doc! { "ARN" => &secret.arn, "Name" => name, "VersionId" => token })
            }
            _ => {
                let message = format!("The operation failed because the secret {name} already exists.");
                Err(AwsError::new("ResourceExistsException", message))
            }
        };
    }
    let token = input.owned("ClientRequestToken").unwrap_or_else(|| ctx.rng().uuid());
    let arn = insert(ctx, &name, tags, input.owned("Description"), input.owned("KmsKeyId"), None);
    let version = value.map(|value| {
        let now = ctx.now();
        if let Some(secret) = ctx.state::<State>().secrets.get_mut(&name) {
            versions::add(secret, &token, value, &[CURRENT.to_owned()], now);
        }
        token
    });
    Ok(doc! { "ARN" => arn, "Name" => name, "VersionId" => version })
}

fn insert(
    ctx: &mut Ctx<'_>,
    name: &str,
    tags: TagMap,
    description: Option<String>,
    kms_key: Option<String>,
    owner: Option<String>,
) -> String {
    let suffix = ctx.rng().pick(6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    let arn = ctx.arn("secretsmanager", &format!("secret:{name}-{suffix}"));
    let age = format!("{:012}", ctx.serial());
    let now = ctx.now();
    let lag = ctx.timings().list_secrets_lag;
    let secret = Secret {
        arn: arn.clone(),
        age: age.clone(),
        description,
        kms_key,
        created: now,
        changed: now,
        accessed: None,
        deleted: None,
        owner,
        versions: BTreeMap::new(),
        rotation: Rotation::default(),
        shadow: (!lag.is_zero()).then(|| (now + lag, None)),
    };
    let state = ctx.state::<State>();
    state.secrets.insert(name.to_owned(), secret);
    state.by_age.insert(age, name.to_owned());
    ctx.tags().register(&arn, tags, now);
    arn
}

/// A secret that another service owns, such as the password of a database that RDS manages: rotated every seven
/// days unless told otherwise (RDS User Guide, "Password management with Amazon RDS and AWS Secrets Manager").
/// Gives its ARN.
pub fn create_managed(
    ctx: &mut Ctx<'_>,
    name: &str,
    owner: &str,
    description: &str,
    value: &str,
    tags: TagMap,
) -> String {
    let arn = insert(ctx, name, tags, Some(description.to_owned()), None, Some(owner.to_owned()));
    let (now, version) = (ctx.now(), ctx.rng().uuid());
    if let Some(secret) = ctx.state::<State>().secrets.get_mut(name) {
        versions::add(secret, &version, Value::Text(value.to_owned()), &[CURRENT.to_owned()], now);
        secret.rotation.enabled = Some(true);
        secret.rotation.rules = doc! { "AutomaticallyAfterDays" => 7 };
        let next = now + 7 * DAY;
        secret.rotation.next = Some(next);
        ctx.state::<State>().agenda.set(Due::Rotate(name.to_owned()), next);
    }
    arn
}

/// Deletes a managed secret at once, as its owner does.
pub fn delete_managed(ctx: &mut Ctx<'_>, arn: &str) {
    if let Ok(name) = find(ctx, arn) {
        purge(ctx, &name);
    }
}

/// API Reference, UpdateSecret.
pub(super) fn update(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find_live(ctx, input.need("SecretId"))?;
    let value = versions::value(input)?;
    let token = input.owned("ClientRequestToken").unwrap_or_else(|| ctx.rng().uuid());
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    let version = versions::check(secret, &token, value)?;
    let now = ctx.now();
    let secret = change(ctx, &name)?;
    if let Some(text) = input.owned("Description") {
        secret.description = Some(text);
    }
    if let Some(key) = input.owned("KmsKeyId") {
        secret.kms_key = Some(key);
    }
    let arn = secret.arn.clone();
    let id = version.map(|new| {
        if let Some(value) = new {
            versions::add(secret, &token, value, &[CURRENT.to_owned()], now);
        }
        token
    });
    Ok(doc! { "ARN" => arn, "Name" => name, "VersionId" => id })
}

/// API Reference, DeleteSecret: a window of 7 to 30 days, 30 unless given, or at once.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let force = input.flag("ForceDeleteWithoutRecovery").unwrap_or(false);
    let window = input.int("RecoveryWindowInDays");
    if force && window.is_some() {
        let message = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
        return Err(bad_parameter(message));
    }
    let days = window.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(bad_parameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."));
    }
    let now = ctx.now();
    let name = match find(ctx, input.need("SecretId")) {
        Ok(name) => name,
        // Deleting what isn't there by force is no error (DeleteSecret, ForceDeleteWithoutRecovery).
        Err(_) if force => {
            let id = input.need("SecretId");
            let arn =
                if id.starts_with("arn:") { id.to_owned() } else { ctx.arn("secretsmanager", &format!("secret:{id}")) };
            return Ok(doc! { "ARN" => arn, "Name" => id, "DeletionDate" => now });
        }
        Err(error) => return Err(error),
    };
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    let arn = secret.arn.clone();
    if force {
        purge(ctx, &name);
        return Ok(doc! { "ARN" => arn, "Name" => name, "DeletionDate" => now });
    }
    if secret.deleted.is_some() {
        return Err(marked());
    }
    let gone = now + DAY * days.unsigned_abs() as u32;
    change(ctx, &name)?.deleted = Some((now, gone));
    let state = ctx.state::<State>();
    state.agenda.set(Due::Gone(name.clone()), gone);
    state.agenda.cancel(&Due::Rotate(name.clone()));
    Ok(doc! { "ARN" => arn, "Name" => name, "DeletionDate" => gone })
}

/// Removes a secret for good.
pub(super) fn purge(ctx: &mut Ctx<'_>, name: &str) {
    let now = ctx.now();
    let state = ctx.state::<State>();
    let Some(secret) = state.secrets.remove(name) else { return };
    state.by_age.remove(&secret.age);
    for due in [Due::Gone(name.to_owned()), Due::Rotate(name.to_owned()), Due::Rotated(name.to_owned())] {
        state.agenda.cancel(&due);
    }
    ctx.tags().forget(&secret.arn, now);
}

/// API Reference, RestoreSecret.
pub(super) fn restore(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find(ctx, input.need("SecretId"))?;
    let secret = change(ctx, &name)?;
    secret.deleted = None;
    let (arn, next) = (secret.arn.clone(), secret.rotation.next.filter(|_| secret.rotation.enabled == Some(true)));
    let state = ctx.state::<State>();
    state.agenda.cancel(&Due::Gone(name.clone()));
    if let Some(next) = next {
        state.agenda.set(Due::Rotate(name.clone()), next);
    }
    Ok(doc! { "ARN" => arn, "Name" => name })
}

/// API Reference, TagResource.
pub(super) fn tag(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find_live(ctx, input.need("SecretId"))?;
    let tags = tags_in(input.list("Tags"), "Key", "Value");
    let (now, arn) = (ctx.now(), ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?.arn.clone());
    check_tags(&ctx.tags().of(&arn), &tags)?;
    change(ctx, &name)?;
    ctx.tags().merge(&arn, tags, now);
    Ok(Doc::empty())
}

/// API Reference, UntagResource.
pub(super) fn untag(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find_live(ctx, input.need("SecretId"))?;
    let (now, arn) = (ctx.now(), change(ctx, &name)?.arn.clone());
    ctx.tags().remove(&arn, &input.texts("TagKeys"), now);
    Ok(Doc::empty())
}

/// API Reference, GetResourcePolicy: without a policy the field is left out.
pub(super) fn policy(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find_live(ctx, input.need("SecretId"))?;
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    Ok(doc! { "ARN" => &secret.arn, "Name" => name })
}
