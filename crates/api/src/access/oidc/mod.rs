//! Tokens that OIDC issuers signed: checked against their published keys, by asymmetric algorithms alone.
//!
//! `fetch` asks an issuer, `keys` holds what it answered, `claims` judges what a token says. Nothing of a token is logged,
//! and whoever presents one learns no more than that it is not taken, or has expired.

mod claims;
mod fetch;
mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use telemetry::AccessMetrics;

use super::identity::Identity;
use fetch::Fetcher;
use keys::{Keys, NoKey};

/// The algorithms that may be allowed. None with a shared secret: whoever can check such a token can make one.
const ASYMMETRIC: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// An algorithm that may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningAlgorithm(Algorithm);

impl FromStr for SigningAlgorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Algorithm::from_str(text).ok().filter(|algorithm| ASYMMETRIC.contains(algorithm));
        let names = || ASYMMETRIC.map(|one| format!("{one:?}")).join(", ");
        found.map(Self).ok_or_else(|| format!("must be one of {}", names()))
    }
}

/// An issuer, and what its tokens must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcConfig {
    /// The issuer's URL, exactly as in `iss`.
    pub issuer: String,
    /// Audiences that are ours: a token must name one.
    pub audiences: BTreeSet<String>,
    /// The claim that names the user.
    pub username_claim: String,
    /// Stands before users' names.
    pub username_prefix: String,
    /// The claim that lists the groups.
    pub groups_claim: String,
    /// Stands before groups' names.
    pub groups_prefix: String,
    /// What other claims must say.
    pub required_claims: BTreeMap<String, String>,
    /// Algorithms that are allowed.
    pub algorithms: Vec<SigningAlgorithm>,
    /// Certificates of authorities to trust instead of those of the system, in PEM form.
    pub authorities: Option<PathBuf>,
    /// Between two fetches of the keys at least: a token with a key id that nobody has must not make us a nuisance.
    pub refresh_floor: Duration,
    /// Keys are fetched anew after so long, so that one that the issuer took back is taken back here.
    pub refresh_after: Duration,
}

impl OidcConfig {
    /// Whether a URL can name an issuer.
    ///
    /// # Errors
    /// What it must be.
    pub fn check_issuer(url: &str) -> Result<(), &'static str> {
        fetch::check_issuer(url)
    }
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audiences: BTreeSet::new(),
            username_claim: "sub".to_owned(),
            username_prefix: String::new(),
            groups_claim: "groups".to_owned(),
            groups_prefix: String::new(),
            required_claims: BTreeMap::new(),
            algorithms: vec![SigningAlgorithm(Algorithm::RS256), SigningAlgorithm(Algorithm::ES256)],
            authorities: None,
            refresh_floor: Duration::from_secs(10),
            refresh_after: Duration::from_secs(600),
        }
    }
}

/// Why tokens of an issuer cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// Anybody in between could put keys of his own in.
    #[error("the issuer {0}")]
    Issuer(&'static str),
    /// The file of authorities cannot be used.
    #[error("{path} holds no certificates that can be used: {message}")]
    Authorities {
        /// Which.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// Why a token is not taken: for the log and the metrics, not for whoever presents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Why {
    /// It is no signed token.
    Malformed,
    /// It is of an issuer that is not configured.
    UnknownIssuer,
    /// It wants to be checked by an algorithm that is not allowed, or not for that key.
    Algorithm,
    /// The issuer has no such key.
    UnknownKey,
    /// The issuer did not sign it.
    Signature,
    /// It is for somebody else.
    Audience,
    /// It does not hold yet.
    NotYet,
    /// It has ended.
    Expired,
    /// A claim that is required is missing or says something else.
    Claims,
}

/// What a token is found to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Valid(Identity),
    Refused(Why),
    /// The issuer's keys were never read, and cannot be now.
    Unavailable,
}

/// The issuers whose tokens count.
#[derive(Debug)]
pub(super) struct Oidc {
    issuers: Vec<Issuer>,
}

/// One of them.
struct Issuer {
    config: OidcConfig,
    algorithms: Vec<Algorithm>,
    keys: Arc<Keys>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Issuer").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What tells whose keys to look for. Whether it is true, the signature says.
#[derive(Deserialize)]
struct Claimed {
    iss: String,
}

impl Oidc {
    pub(super) fn new(configs: Vec<OidcConfig>, metrics: &AccessMetrics) -> Result<Self, OidcError> {
        let issuers = configs.into_iter().map(|config| Issuer::new(config, metrics.clone()));
        Ok(Self { issuers: issuers.collect::<Result<_, _>>()? })
    }

    /// Whether a token has the form of those that issuers sign.
    pub(super) fn is_ours(&self, token: &str) -> bool {
        !self.issuers.is_empty() && token.split('.').count() == 3
    }

    /// Reads the keys before the first token comes, so that an issuer that cannot be reached is told of at once.
    pub(super) fn warm_up(&self) {
        for issuer in &self.issuers {
            issuer.keys.warm_up();
        }
    }

    /// Checks a token.
    pub(super) async fn check(&self, token: &str, now: Timestamp) -> Found {
        let Ok(Claimed { iss }) = insecure_decode_claims::<Claimed>(token) else {
            return Found::Refused(Why::Malformed);
        };
        match self.issuers.iter().find(|issuer| issuer.config.issuer == iss) {
            Some(issuer) => issuer.check(token, now).await,
            None => Found::Refused(Why::UnknownIssuer),
        }
    }
}

impl Issuer {
    fn new(config: OidcConfig, metrics: AccessMetrics) -> Result<Self, OidcError> {
        let fetcher = Fetcher::new(&config.issuer, config.authorities.as_deref())?;
        let keys = Keys::new(fetcher, (config.refresh_floor, config.refresh_after), metrics);
        let algorithms = config.algorithms.iter().map(|SigningAlgorithm(algorithm)| *algorithm).collect();
        Ok(Self { config, algorithms, keys: Arc::new(keys) })
    }

    async fn check(&self, token: &str, now: Timestamp) -> Found {
        let Ok(header) = decode_header(token) else { return Found::Refused(Why::Malformed) };
        // Before any key is looked for: the token does not choose how it is checked.
        if !self.algorithms.contains(&header.alg) {
            return Found::Refused(Why::Algorithm);
        }
        // It asks for something that is not understood.
        if header.crit.is_some() {
            return Found::Refused(Why::Malformed);
        }
        let key = match self.keys.find(header.kid.as_deref(), header.alg).await {
            Ok(key) => key,
            Err(NoKey::Unknown) => return Found::Refused(Why::UnknownKey),
            Err(NoKey::OtherAlgorithm) => return Found::Refused(Why::Algorithm),
            Err(NoKey::Unavailable) => return Found::Unavailable,
        };
        let mut validation = Validation::new(header.alg);
        // The rest is judged by `claims`, with our clock.
        (validation.validate_exp, validation.validate_aud) = (false, false);
        validation.required_spec_claims.clear();
        let Ok(decoded) = decode::<Map<String, Value>>(token, &key.public, &validation) else {
            return Found::Refused(Why::Signature);
        };
        claims::identity(&self.config, &decoded.claims, now).map_or_else(Found::Refused, Found::Valid)
    }
}

/// What looks at a token, without an issuer to ask.
#[cfg(test)]
pub(super) mod judged {
    use super::{
        Claimed, Identity, Map, OidcConfig, Timestamp, Value, Why, claims as rules, decode_header,
        insecure_decode_claims,
    };

    /// What claims come to, once a signature holds.
    pub(in crate::access) fn claims(
        config: &OidcConfig,
        claims: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Identity, Why> {
        rules::identity(config, claims, now)
    }

    /// What is read of a token before its signature is checked.
    pub(in crate::access) fn unchecked(token: &str) {
        let _ = (insecure_decode_claims::<Claimed>(token).map(|claimed| claimed.iss), decode_header(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_asymmetric_algorithms_can_be_allowed() {
        for good in ["RS256", "ES256", "EdDSA", "PS512"] {
            assert!(good.parse::<SigningAlgorithm>().is_ok(), "{good}");
        }
        for bad in ["none", "HS256", "HS512", "", "rs256"] {
            assert!(bad.parse::<SigningAlgorithm>().is_err(), "{bad}");
        }
    }
}
