//! Who asks, and from where: what authentication puts into a request's extensions, for authorization, the audit trail and
//! the authors of changes.

use std::net::IpAddr;

use jiff::Timestamp;

/// The group of everybody whom the daemon knows, as in Kubernetes.
pub const AUTHENTICATED: &str = "system:authenticated";
/// And of those whom it does not.
pub(super) const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The prefix of names that are the daemon's own; nobody may borrow one.
pub const SYSTEM: &str = "system:";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name, prefix included.
    pub name: String,
    /// The groups, prefixes included; `system:authenticated` for everybody who proved who he is.
    pub groups: Vec<String>,
    /// How this is known.
    pub how: How,
    /// When the credentials end, if they do.
    pub expires_at: Option<Timestamp>,
}

/// How it is known who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum How {
    /// It is not: there is no authentication, and the name is what a header says.
    Unchecked,
    /// By a token of the configuration.
    Token,
    /// By a token that the OIDC issuer signed.
    Oidc,
}

impl Identity {
    /// Somebody who proved who he is.
    pub(crate) fn known(name: String, mut groups: Vec<String>, how: How, expires_at: Option<Timestamp>) -> Self {
        groups.push(AUTHENTICATED.to_owned());
        Self { name, groups, how, expires_at }
    }

    /// Somebody of whom a header, or nothing, says who he is.
    pub(crate) fn unchecked(name: String) -> Self {
        Self { name, groups: Vec::new(), how: How::Unchecked, expires_at: None }
    }
}

/// The address that a connection comes from; the listener puts it into the extensions of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The client's address: the peer's, or what a trusted proxy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);
