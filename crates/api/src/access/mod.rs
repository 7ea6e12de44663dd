//! Who may do what: authentication, authorization, and the limits of each user.
//!
//! `authenticate` finds out who asks and `authorize` whether he may, in front of every route of the API; `policy` decides,
//! purely. Nothing here knows a handler, and a route that nobody thought of takes the role `admin`.
//!
//! Without configured credentials nobody is checked and everything is allowed: `operator` lets only loopback be listened
//! on then.

mod address;
mod asked;
mod authenticate;
mod authorize;
mod envelope;
#[cfg(test)]
mod fuzz;
mod identity;
mod oidc;
mod policy;
mod rates;
pub(crate) mod reviews;
pub(crate) mod scope;
pub(crate) mod sight;
mod tokens;

use std::net::IpAddr;

use ipnet::IpNet;
use telemetry::AccessMetrics;

pub(crate) use authenticate::authenticate;
pub(crate) use authorize::authorize;
pub use identity::{AUTHENTICATED, ClientAddress, How, Identity, Peer, SYSTEM};
pub use oidc::{OidcConfig, OidcError, SigningAlgorithm};
pub use policy::{Binding, Policy, Role, Selector};
pub use rates::Rate;
pub use tokens::{StaticToken, TokenHash, new_token};

use oidc::Oidc;
use rates::Buckets;

/// Tokens that an address may present in vain: in a second, and at once. A person who mistypes has some tries; a program
/// that was given a wrong token finds out, and does not fill the log.
const REFUSALS: (u32, u32) = (1, 20);

/// How users are known, and what they may do.
#[derive(Debug, Clone, Default)]
pub struct AccessConfig {
    /// Tokens, by their hashes.
    pub tokens: Vec<StaticToken>,
    /// Issuers whose tokens count besides.
    pub oidc: Vec<OidcConfig>,
    /// Roles.
    pub policy: Policy,
    /// Requests of one user; `None` is no limit.
    pub rate: Option<Rate>,
}

/// How users are known, and what they may do.
#[derive(Debug)]
pub struct Access {
    /// `None`: nobody is checked.
    checks: Option<Checks>,
    trusted_proxies: Vec<IpNet>,
    metrics: AccessMetrics,
}

/// What is checked.
#[derive(Debug)]
struct Checks {
    tokens: Vec<StaticToken>,
    oidc: Oidc,
    policy: Policy,
    requests: Option<Buckets<String>>,
    refusals: Option<Buckets<IpAddr>>,
}

impl Access {
    /// Nobody is checked, everything is allowed.
    pub fn open(trusted_proxies: Vec<IpNet>, metrics: AccessMetrics) -> Self {
        Self { checks: None, trusted_proxies, metrics }
    }

    /// Everybody is checked.
    ///
    /// # Errors
    /// When tokens of an issuer cannot be checked at all. Whether it answers is another matter.
    pub fn checked(
        config: AccessConfig,
        trusted_proxies: Vec<IpNet>,
        metrics: AccessMetrics,
    ) -> Result<Self, OidcError> {
        let AccessConfig { tokens, oidc, policy, rate } = config;
        let checks = Checks {
            tokens,
            oidc: Oidc::new(oidc, &metrics)?,
            policy,
            requests: rate.map(Buckets::new),
            refusals: Rate::new(REFUSALS.0, REFUSALS.1).map(Buckets::new),
        };
        Ok(Self { checks: Some(checks), trusted_proxies, metrics })
    }

    /// Reads the issuers' keys, in the background: one that cannot be reached is told of before the first token comes.
    pub fn warm_up(&self) {
        if let Some(checks) = &self.checks {
            checks.oidc.warm_up();
        }
    }

    /// From where a request comes.
    pub(crate) fn client_address(&self, extensions: &http::Extensions, headers: &http::HeaderMap) -> Option<IpAddr> {
        let Peer(peer) = extensions.get::<Peer>()?;
        Some(address::client(*peer, headers, &self.trusted_proxies))
    }

    /// Whether anybody is checked.
    pub fn is_checked(&self) -> bool {
        self.checks.is_some()
    }

    fn policy(&self) -> Option<&Policy> {
        self.checks.as_ref().map(|checks| &checks.policy)
    }

    /// Whether somebody has a role (or `admin`) for an environment with such labels. Where nobody is checked, everybody
    /// has every role.
    pub fn has_role(&self, who: &Identity, role: Role, labels: &std::collections::BTreeMap<String, String>) -> bool {
        self.policy().is_none_or(|policy| policy.scope_of_role(who, role).permits_labels(labels))
    }
}

impl Checks {
    /// One more request of a user.
    fn take(&self, user: &String) -> Result<(), i32> {
        self.requests.as_ref().map_or(Ok(()), |buckets| buckets.take(user))
    }

    /// One more token that was refused.
    fn refused(&self, origin: &IpAddr) -> Result<(), i32> {
        self.refusals.as_ref().map_or(Ok(()), |buckets| buckets.take(origin))
    }
}
