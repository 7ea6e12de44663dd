//! OIDC issuers as they are configured, in the words of kube-apiserver's options. What would let tokens in that are for
//! somebody else, or names that are the daemon's own, is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use api::{OidcConfig, SYSTEM, SigningAlgorithm};
use model::problem::{Problems, Reason};
use serde::{Deserialize, Serialize};

/// An OIDC issuer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcIssuer {
    /// Its URL, exactly as in the claim `iss`.
    pub issuer: String,
    /// Audiences that are ours: a token must name one.
    pub audiences: BTreeSet<String>,
    /// The claim that names the user.
    #[serde(default = "subject")]
    pub username_claim: String,
    /// Stands before users' names. Left out, it is the issuer and `#`, unless the claim is `email`; `-` is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_prefix: Option<String>,
    /// The claim that lists the groups.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// Stands before groups' names.
    #[serde(default)]
    pub groups_prefix: String,
    /// What other claims must say.
    #[serde(default)]
    pub required_claims: BTreeMap<String, String>,
    /// Algorithms that are allowed.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<String>,
    /// Certificates of authorities to trust instead of those of the system, in PEM form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

fn subject() -> String {
    "sub".to_owned()
}

fn groups() -> String {
    "groups".to_owned()
}

fn algorithms() -> Vec<String> {
    ["RS256", "ES256"].map(str::to_owned).into()
}

/// Says that there is no prefix.
const NONE: &str = "-";

impl OidcIssuer {
    fn username_prefix(&self) -> String {
        match self.username_prefix.as_deref() {
            Some(NONE) => String::new(),
            Some(prefix) => prefix.to_owned(),
            // What is unique is so within the issuer only; an address is everywhere.
            None if self.username_claim == "email" => String::new(),
            None => format!("{}#", self.issuer),
        }
    }
}

/// Checks the issuers, and makes what `api` needs.
pub(super) fn issuers(given: &[OidcIssuer], problems: &mut Problems) -> Vec<OidcConfig> {
    let mut issuers: Vec<OidcConfig> = Vec::new();
    for (n, issuer) in given.iter().enumerate() {
        if issuers.iter().any(|other| other.issuer == issuer.issuer) {
            problems.add(format!("auth.oidc[{n}].issuer"), Reason::FieldValueDuplicate, "is configured twice");
        }
        issuers.push(read(n, issuer, problems));
    }
    issuers
}

fn read(n: usize, given: &OidcIssuer, problems: &mut Problems) -> OidcConfig {
    let mut refuse = |field: &str, rule: &str| {
        problems.add(format!("auth.oidc[{n}].{field}"), Reason::FieldValueInvalid, rule);
    };
    if let Err(rule) = OidcConfig::check_issuer(&given.issuer) {
        refuse("issuer", rule);
    }
    if given.audiences.is_empty() || given.audiences.iter().any(String::is_empty) {
        refuse("audiences", "must name at least one: a token for somebody else must not count here");
    }
    for (field, claim) in [("usernameClaim", &given.username_claim), ("groupsClaim", &given.groups_claim)] {
        if claim.is_empty() {
            refuse(field, "must name a claim");
        }
    }
    let username_prefix = given.username_prefix();
    for (field, prefix) in [("usernamePrefix", &username_prefix), ("groupsPrefix", &given.groups_prefix)] {
        if prefix.starts_with(SYSTEM) {
            refuse(field, "names that begin with system: are the daemon's own");
        }
    }
    let mut algorithms = Vec::new();
    for (m, text) in given.algorithms.iter().enumerate() {
        match text.parse::<SigningAlgorithm>() {
            Ok(algorithm) => algorithms.push(algorithm),
            Err(rule) => refuse(&format!("algorithms[{m}]"), &rule),
        }
    }
    if given.algorithms.is_empty() {
        refuse("algorithms", "must name at least one");
    }
    OidcConfig {
        issuer: given.issuer.clone(),
        audiences: given.audiences.clone(),
        username_claim: given.username_claim.clone(),
        username_prefix,
        groups_claim: given.groups_claim.clone(),
        groups_prefix: given.groups_prefix.clone(),
        required_claims: given.required_claims.clone(),
        algorithms,
        authorities: given.ca_file.clone(),
        ..OidcConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(given: Value) -> (OidcConfig, Vec<String>) {
        let mut problems = Problems::default();
        let read = issuers(&[serde_json::from_value(given).unwrap()], &mut problems).remove(0);
        (read, problems.list().iter().map(|problem| problem.path.clone()).collect())
    }

    #[test]
    fn prefixes_are_those_of_kube_apiserver() {
        let prefix = |field: &str, value: &str| {
            let (read, problems) = read(json!({ "issuer": "https://id.example", "audiences": ["a"], field: value }));
            assert!(problems.is_empty(), "{problems:?}");
            read.username_prefix
        };
        assert_eq!(prefix("groupsPrefix", ""), "https://id.example#");
        assert_eq!(prefix("usernameClaim", "email"), "");
        assert_eq!(prefix("usernamePrefix", "-"), "");
        assert_eq!(prefix("usernamePrefix", "oidc:"), "oidc:");
    }

    #[test]
    fn an_issuer_that_could_let_anybody_in_is_refused_with_all_its_problems() {
        let (_, problems) = read(json!({
            "issuer": "http://id.example",
            "audiences": [],
            "usernameClaim": "",
            "groupsPrefix": "system:",
            "algorithms": ["none", "HS256", "ES256"],
        }));
        assert_eq!(
            problems,
            ["issuer", "audiences", "usernameClaim", "groupsPrefix", "algorithms[0]", "algorithms[1]"]
                .map(|field| format!("auth.oidc[0].{field}"))
        );
    }
}
