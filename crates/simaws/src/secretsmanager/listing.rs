//! DescribeSecret and ListSecrets: the first is up to date, the second lags ("might not reflect changes from the
//! last five minutes": API Reference, ListSecrets).
use jiff::Timestamp;

use super::{Secret, State, find, not_found};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, TagMap, doc, tags_out};

/// The fields that both show.
fn common(name: &str, secret: &Secret, tags: &TagMap, stages: &str) -> Doc {
    let by_version = secret.versions.iter().filter(|(_, v)| !v.stages.is_empty());
    let by_version: crate::Fields =
        by_version.map(|(id, v)| (id.clone(), v.stages.iter().cloned().collect::<Vec<_>>().into())).collect();
    let by_version = if by_version.is_empty() { Doc::Null } else { Doc::Map(by_version) };
    let rules = if secret.rotation.enabled.is_some() { secret.rotation.rules.clone() } else { Doc::Null };
    let rules = if rules.fields().is_none_or(crate::Fields::is_empty) { Doc::Null } else { rules };
    doc! {
        "ARN" => &secret.arn,
        "Name" => name,
        "Description" => secret.description.clone(),
        "KmsKeyId" => secret.kms_key.clone(),
        "RotationEnabled" => secret.rotation.enabled,
        "RotationLambdaARN" => secret.rotation.lambda.clone(),
        "RotationRules" => rules,
        "LastRotatedDate" => secret.rotation.last,
        "NextRotationDate" => secret.rotation.next,
        "CreatedDate" => secret.created,
        "LastChangedDate" => secret.changed,
        // "only the date, not the time" (DescribeSecret, LastAccessedDate).
        "LastAccessedDate" => secret.accessed.map(day),
        "OwningService" => secret.owner.clone(),
        "Tags" => tags_out(tags, "Key", "Value"),
        stages => by_version,
    }
}

fn day(t: Timestamp) -> Timestamp {
    let second = t.as_second();
    Timestamp::from_second(second - second.rem_euclid(86_400)).unwrap_or(t)
}

/// API Reference, DescribeSecret. DeletedDate is when it is scheduled to be deleted.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = find(ctx, input.need("SecretId"))?;
    let arn = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?.arn.clone();
    let tags = ctx.tags().of(&arn);
    let secret = ctx.state::<State>().secrets.get(&name).ok_or_else(not_found)?;
    let deleted = secret.deleted.map(|(_, gone)| gone);
    Ok(common(&name, secret, &tags, "VersionIdsToStages").with("DeletedDate", deleted))
}

/// A ListSecrets entry. DeletedDate is when it was deleted.
fn entry(name: &str, secret: &Secret, tags: &TagMap) -> Doc {
    common(name, secret, tags, "SecretVersionsToStages").with("DeletedDate", secret.deleted.map(|(at, _)| at))
}

/// Before a change: what ListSecrets goes on showing, unless an older change is still unseen.
pub(super) fn keep_shadow(ctx: &mut Ctx<'_>, name: &str) {
    let (now, lag) = (ctx.now(), ctx.timings().list_secrets_lag);
    if lag.is_zero() {
        return;
    }
    let Some(secret) = ctx.peek::<State>().and_then(|s| s.secrets.get(name)) else { return };
    if secret.shadow.as_ref().is_some_and(|(until, _)| *until > now) {
        return;
    }
    let arn = secret.arn.clone();
    let tags = ctx.tags().of(&arn);
    if let Some(secret) = ctx.state::<State>().secrets.get_mut(name) {
        secret.shadow = Some((now + lag, Some(Box::new(entry(name, secret, &tags)))));
    }
}

/// API Reference, Filter: prefix matches, negated by `!`. Several values of one filter: any of them; several
/// filters: all of them.
fn fits(filter: &Doc, entry: &Doc) -> bool {
    let key = filter.need("Key");
    let tags = |part: &str| entry.list("Tags").iter().map(|t| t.need(part).to_owned()).collect::<Vec<_>>();
    let fields: Vec<String> = match key {
        "name" => vec![entry.need("Name").to_owned()],
        "description" => vec![entry.need("Description").to_lowercase()],
        "tag-key" => tags("Key"),
        "tag-value" => tags("Value"),
        "owning-service" => entry.owned("OwningService").into_iter().collect(),
        "primary-region" => Vec::new(),
        _ => {
            let mut all = vec![entry.need("Name").to_owned(), entry.need("Description").to_owned()];
            all.extend(tags("Key").into_iter().chain(tags("Value")));
            all.iter().flat_map(|f| words(f)).collect()
        }
    };
    let matches = |value: &str| match key {
        "description" => fields.iter().any(|f| f.starts_with(&value.to_lowercase())),
        "all" => words(value).iter().all(|word| fields.contains(word)),
        _ => fields.iter().any(|f| f.starts_with(value)),
    };
    let values = filter.texts("Values");
    let (not, wanted): (Vec<&str>, Vec<&str>) = values.iter().map(String::as_str).partition(|v| v.starts_with('!'));
    (wanted.is_empty() || wanted.into_iter().any(matches)) && !not.into_iter().any(|v| matches(&v[1..]))
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
}

/// API Reference, ListSecrets: 100 a page at most, by age, without what is marked for deletion unless asked for.
pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let size = input.int("MaxResults").unwrap_or(100) as usize;
    let pager = Pager::new(ctx, "ListSecrets", input.text("NextToken"), size)
        .map_err(|_| AwsError::new("InvalidNextTokenException", "The NextToken value is invalid."))?;
    let planned = input.flag("IncludePlannedDeletion").unwrap_or(false);
    let filters = input.list("Filters");
    let now = ctx.now();
    ctx.state::<State>();
    let (Some(state), Some(tags)) = (ctx.peek::<State>(), ctx.peek_tags()) else { return Ok(Doc::empty()) };
    let show = |(age, name): (&String, &String)| {
        let secret = state.secrets.get(name)?;
        let doc = match &secret.shadow {
            Some((until, before)) if *until > now => (**before.as_ref()?).clone(),
            _ => entry(name, secret, tags.get(&secret.arn).unwrap_or(&TagMap::new())),
        };
        let shown = (planned || !doc.has("DeletedDate")) && filters.iter().all(|f| fits(f, &doc));
        shown.then(|| (age.clone(), doc))
    };
    let (page, token) = if input.text("SortOrder") == Some("desc") {
        let before = pager.after().map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        pager.take(state.by_age.range::<str, _>((std::ops::Bound::Unbounded, before)).rev().filter_map(show))
    } else {
        pager.take(state.by_age.range::<str, _>(pager.range()).filter_map(show))
    };
    Ok(doc! { "SecretList" => page, "NextToken" => token })
}
