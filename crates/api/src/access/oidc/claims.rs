//! What a signed token says: whether it was made for us and holds now, and who its bearer is. Pure; the signature was
//! checked before.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{OidcConfig, Why};
use crate::access::authenticate::LONGEST_NAME;
use crate::access::identity::{How, Identity, SYSTEM};

/// Clocks of two machines may differ by so much.
const LEEWAY_SECONDS: i64 = 60;
/// More groups than this, or longer names, are no sensible token.
const MOST_GROUPS: usize = 1024;

/// Who the bearer is.
pub(super) fn identity(config: &OidcConfig, claims: &Map<String, Value>, now: Timestamp) -> Result<Identity, Why> {
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    if text("iss") != Some(config.issuer.as_str()) {
        return Err(Why::UnknownIssuer);
    }
    if !texts(claims.get("aud")).iter().any(|audience| config.audiences.contains(*audience)) {
        return Err(Why::Audience);
    }
    let expires_at = times(claims, now.as_second())?;
    if !config.required_claims.iter().all(|(claim, wanted)| text(claim) == Some(wanted)) {
        return Err(Why::Claims);
    }
    // An address counts unless the issuer says that it has not seen that it is the user's.
    if config.username_claim == "email" && claims.get("email_verified").is_some_and(|it| it != &Value::Bool(true)) {
        return Err(Why::Claims);
    }
    let named = text(&config.username_claim).unwrap_or_default();
    let name = name(&config.username_prefix, named).ok_or(Why::Claims)?;
    let groups: BTreeSet<String> = texts(claims.get(&config.groups_claim))
        .into_iter()
        .take(MOST_GROUPS)
        // A group that cannot be given counts for nothing, and does not keep its bearer out.
        .filter_map(|group| self::name(&config.groups_prefix, group))
        .collect();
    let expires_at = Timestamp::from_second(expires_at).map_err(|_| Why::Claims)?;
    Ok(Identity::known(name, groups.into_iter().collect(), How::Oidc, Some(expires_at)))
}

/// Checks `exp`, which must be there, `nbf` and `iat`; answers when it ends.
fn times(claims: &Map<String, Value>, now: i64) -> Result<i64, Why> {
    let second = |claim: &str| match claims.get(claim) {
        None => Ok(None),
        // RFC 7519 allows fractions.
        Some(value) => match value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64)) {
            Some(second) => Ok(Some(second)),
            None => Err(Why::Claims),
        },
    };
    let early = |at: Option<i64>| at.is_some_and(|at| at > now.saturating_add(LEEWAY_SECONDS));
    if early(second("nbf")?) || early(second("iat")?) {
        return Err(Why::NotYet);
    }
    let ends = second("exp")?.ok_or(Why::Claims)?;
    if ends.saturating_add(LEEWAY_SECONDS) <= now { Err(Why::Expired) } else { Ok(ends) }
}

/// A text, or the texts of a list.
fn texts(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A name with its prefix, if anybody may have it.
fn name(prefix: &str, given: &str) -> Option<String> {
    let name = format!("{prefix}{given}");
    let fits = !given.is_empty() && given.trim() == given && name.len() <= LONGEST_NAME;
    (fits && !name.starts_with(SYSTEM) && !name.chars().any(char::is_control)).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> OidcConfig {
        OidcConfig {
            issuer: "https://id.example".to_owned(),
            audiences: ["eventchain".to_owned()].into(),
            username_prefix: "oidc:".to_owned(),
            groups_prefix: "oidc:".to_owned(),
            ..OidcConfig::default()
        }
    }

    fn good() -> Value {
        json!({ "iss": "https://id.example", "aud": "eventchain", "sub": "alice", "groups": ["a", "b"], "exp": 2000, "iat": 1000, "nbf": 1000 })
    }

    fn read(change: Value, now: i64) -> Result<Identity, Why> {
        let mut claims = good();
        model::merge::apply(&mut claims, &change);
        identity(&config(), claims.as_object().unwrap(), Timestamp::from_second(now).unwrap())
    }

    #[test]
    fn a_token_names_its_bearer_and_the_groups_with_their_prefixes() {
        let who = read(json!({}), 1500).unwrap();
        assert_eq!((who.name.as_str(), who.how), ("oidc:alice", How::Oidc));
        assert_eq!(who.groups, ["oidc:a", "oidc:b", "system:authenticated"]);
        assert_eq!(who.expires_at.unwrap().as_second(), 2000);
        assert_eq!(read(json!({ "groups": "one" }), 1500).unwrap().groups[0], "oidc:one");
        assert_eq!(read(json!({ "groups": null }), 1500).unwrap().groups, ["system:authenticated"]);
    }

    #[test]
    fn what_is_not_for_us_or_not_now_is_refused() {
        for (change, why) in [
            (json!({ "iss": "https://id.example/" }), Why::UnknownIssuer),
            (json!({ "iss": null }), Why::UnknownIssuer),
            (json!({ "iss": ["https://id.example"] }), Why::UnknownIssuer),
            (json!({ "aud": "other" }), Why::Audience),
            (json!({ "aud": null }), Why::Audience),
            (json!({ "aud": [] }), Why::Audience),
            (json!({ "exp": null }), Why::Claims),
            (json!({ "exp": "2000" }), Why::Claims),
            (json!({ "nbf": 1600 }), Why::NotYet),
            (json!({ "iat": 1600 }), Why::NotYet),
            (json!({ "sub": "" }), Why::Claims),
            (json!({ "sub": null }), Why::Claims),
            (json!({ "sub": "a\nb" }), Why::Claims),
            (json!({ "sub": "a".repeat(200) }), Why::Claims),
        ] {
            assert_eq!(read(change.clone(), 1500), Err(why), "{change}");
        }
        assert!(read(json!({ "aud": ["other", "eventchain"] }), 1500).is_ok());
    }

    #[test]
    fn clocks_may_differ_a_little() {
        assert!(read(json!({}), 2059).is_ok());
        assert_eq!(read(json!({}), 2060), Err(Why::Expired));
        assert!(read(json!({ "nbf": 1560, "iat": 1560.5 }), 1500).is_ok());
        assert!(read(json!({ "exp": 1e300 }), 1500).is_err(), "no time at all");
    }

    #[test]
    fn nobody_becomes_one_of_the_daemons_own() {
        let mut bare = config();
        (bare.username_prefix, bare.groups_prefix) = (String::new(), String::new());
        let mut claims = good();
        claims["groups"] = json!(["system:authenticated", "a"]);
        let now = Timestamp::from_second(1500).unwrap();
        let who = identity(&bare, claims.as_object().unwrap(), now).unwrap();
        assert_eq!(who.groups, ["a", "system:authenticated"]);
        claims["sub"] = json!("system:drift");
        assert!(identity(&bare, claims.as_object().unwrap(), now).is_err());
    }

    #[test]
    fn what_is_required_must_be_said() {
        let mut config = config();
        config.required_claims.insert("hd".to_owned(), "example.com".to_owned());
        let now = Timestamp::from_second(1500).unwrap();
        let read = |said: Value| {
            let mut claims = good();
            claims["hd"] = said;
            identity(&config, claims.as_object().unwrap(), now).err()
        };
        assert_eq!(read(json!("example.com")), None);
        for other in [json!("example.org"), Value::Null, json!(["example.com"])] {
            assert_eq!(read(other), Some(Why::Claims));
        }
    }

    #[test]
    fn an_address_counts_when_it_is_verified() {
        let mut config = config();
        config.username_claim = "email".to_owned();
        let mut claims = good();
        claims["email"] = json!("a@example.com");
        claims["email_verified"] = json!(false);
        let now = Timestamp::from_second(1500).unwrap();
        assert!(identity(&config, claims.as_object().unwrap(), now).is_err());
        claims["email_verified"] = json!(true);
        assert_eq!(identity(&config, claims.as_object().unwrap(), now).unwrap().name, "oidc:a@example.com");
    }
}
