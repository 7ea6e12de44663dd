//! Who may do what, and how the listener is reached, as it is configured. What makes no sense is refused, and so is what
//! would let anybody in without saying so in words.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use api::{AccessConfig, Binding, Policy, Rate, Role, SYSTEM, Selector, StaticToken, TokenHash};
use ipnet::IpNet;
use jiff::Timestamp;
use model::problem::{Problems, Reason};
use serde::{Deserialize, Serialize};

use super::Config;
use super::oidc::{self, OidcIssuer};

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Http {
    /// Address and port.
    pub listen: SocketAddr,
    /// Longest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// The certificate and its key; left out, plain HTTP is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Requests of one user in a second; 0 is no limit.
    pub user_requests_per_second: u32,
    /// Requests of one user at once, after a pause.
    pub user_request_burst: u32,
    /// Anybody who reaches the listener may do everything.
    pub insecure_no_auth: bool,
    /// Tokens travel in plain HTTP: something in front of the daemon speaks TLS.
    pub insecure_plain_tokens: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_body_bytes: 1 << 20,
            tls: None,
            trusted_proxies: Vec::new(),
            user_requests_per_second: 100,
            user_request_burst: 400,
            insecure_no_auth: false,
            insecure_plain_tokens: false,
        }
    }
}

/// The certificate that is served.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate and those that lead to its authority, in PEM form.
    pub cert_file: PathBuf,
    /// Its private key, in PEM form.
    pub key_file: PathBuf,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Auth {
    /// Tokens, by their hashes.
    pub tokens: Vec<Token>,
    /// Issuers whose tokens count.
    pub oidc: Vec<OidcIssuer>,
    /// To whom which role is given.
    pub roles: Vec<RoleBinding>,
}

/// A token, by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// Whose it is.
    pub user: String,
    /// Of which groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// `sha256:…`, as `operator token` prints it.
    pub hash: String,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// To whom a role is given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleBinding {
    /// `viewer`, `editor`, `approver` or `admin`.
    pub role: String,
    /// To these users.
    #[serde(default)]
    pub users: BTreeSet<String>,
    /// To everybody of these groups.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Only for environments with such labels, and what belongs to them: `team=backend`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

impl Auth {
    /// Whether anybody is checked.
    pub fn is_on(&self) -> bool {
        !self.tokens.is_empty() || !self.oidc.is_empty()
    }
}

/// What `api` needs of it.
#[derive(Debug, Clone, Default)]
pub struct AccessParts {
    /// `None`: nobody is checked.
    pub checked: Option<AccessConfig>,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// Checks the listener and who may reach it, and makes what `api` needs.
pub(super) fn read(http: &Http, auth: &Auth) -> (AccessParts, Problems) {
    let mut problems = Problems::default();
    listener(http, auth, &mut problems);
    let trusted_proxies = proxies(&http.trusted_proxies, &mut problems);
    let tokens = tokens(&auth.tokens, &mut problems);
    let oidc = oidc::issuers(&auth.oidc, &mut problems);
    let policy = Policy { bindings: bindings(&auth.roles, &mut problems) };
    if http.user_requests_per_second > 0 && http.user_request_burst == 0 {
        problems.add("http.userRequestBurst", Reason::FieldValueInvalid, "must be at least 1");
    }
    let rate = Rate::new(http.user_requests_per_second, http.user_request_burst);
    let checked = auth.is_on().then_some(AccessConfig { tokens, oidc, policy, rate });
    (AccessParts { checked, trusted_proxies }, problems)
}

/// No listener beyond this machine without authentication, and no token in plain HTTP, unless told so in words.
fn listener(http: &Http, auth: &Auth, problems: &mut Problems) {
    let mut refuse = |path: &str, message: String| problems.add(path, Reason::FieldValueInvalid, message);
    let address = http.listen.ip();
    let beyond = !address.is_loopback();
    if auth.is_on() && http.insecure_no_auth {
        refuse("http.insecureNoAuth", "says that nobody is checked, and auth says who is".to_owned());
    } else if beyond && !auth.is_on() && !http.insecure_no_auth {
        refuse(
            "http.listen",
            format!(
                "{address} can be reached from other machines, and nobody is checked: configure auth, or say \
                 http.insecureNoAuth: true (--insecure-no-auth)"
            ),
        );
    }
    if beyond && auth.is_on() && http.tls.is_none() && !http.insecure_plain_tokens {
        refuse(
            "http.tls",
            "tokens would travel in plain HTTP: give a certificate, or say http.insecurePlainTokens: true where \
             something in front of the daemon speaks TLS"
                .to_owned(),
        );
    }
    if auth.is_on() && auth.roles.is_empty() {
        refuse("auth.roles", "gives nobody a role: nobody could do anything".to_owned());
    }
    if !auth.is_on() && !auth.roles.is_empty() {
        refuse("auth.roles", "nobody is known: configure auth.tokens or auth.oidc".to_owned());
    }
}

fn proxies(given: &[String], problems: &mut Problems) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for (n, text) in given.iter().enumerate() {
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match net {
            Some(net) => nets.push(net),
            None => problems.add(
                format!("http.trustedProxies[{n}]"),
                Reason::FieldValueInvalid,
                "must be a network such as 10.0.0.0/16",
            ),
        }
    }
    nets
}

fn tokens(given: &[Token], problems: &mut Problems) -> Vec<StaticToken> {
    let mut tokens: Vec<StaticToken> = Vec::new();
    for (n, token) in given.iter().enumerate() {
        let path = |field: &str| format!("auth.tokens[{n}].{field}");
        check_name(&path("user"), &token.user, problems);
        for group in &token.groups {
            check_name(&path("groups"), group, problems);
        }
        match token.hash.parse::<TokenHash>() {
            Ok(hash) if tokens.iter().any(|other| other.hash == hash) => {
                problems.add(path("hash"), Reason::FieldValueDuplicate, "is another token's too");
            }
            Ok(hash) => tokens.push(StaticToken {
                user: token.user.clone(),
                groups: token.groups.clone(),
                hash,
                expires: token.expires,
            }),
            Err(rule) => problems.add(path("hash"), Reason::FieldValueInvalid, rule),
        }
    }
    tokens
}

/// A name that may be given to somebody.
fn check_name(path: &str, name: &str, problems: &mut Problems) {
    if name.is_empty() || name.len() > 128 || name.trim() != name || name.chars().any(char::is_control) {
        problems.add(path, Reason::FieldValueInvalid, "must be text of 1 to 128 bytes");
    }
    if name.starts_with(SYSTEM) {
        problems.add(path, Reason::FieldValueForbidden, "names that begin with system: are the daemon's own");
    }
}

fn bindings(given: &[RoleBinding], problems: &mut Problems) -> Vec<Binding> {
    let mut bindings = Vec::new();
    for (n, binding) in given.iter().enumerate() {
        let path = |field: &str| format!("auth.roles[{n}].{field}");
        if binding.users.is_empty() && binding.groups.is_empty() {
            problems.add(path("users"), Reason::FieldValueRequired, "name users or groups");
        }
        let Ok(role) = binding.role.parse::<Role>() else {
            let rule = "must be viewer, editor, approver or admin";
            problems.add(path("role"), Reason::FieldValueNotSupported, rule);
            continue;
        };
        let (users, groups) = (binding.users.clone(), binding.groups.clone());
        let selector = match binding.selector.as_deref().map(str::parse::<Selector>) {
            None => None,
            // As good as none, and then the role would be for everything.
            Some(Ok(_)) if binding.selector.as_deref().is_some_and(|text| text.trim().is_empty()) => {
                let rule = "must select by a label; leave it out for the whole installation";
                problems.add(path("selector"), Reason::FieldValueInvalid, rule);
                continue;
            }
            Some(Ok(selector)) => Some(selector),
            Some(Err(rule)) => {
                problems.add(path("selector"), Reason::FieldValueInvalid, rule);
                continue;
            }
        };
        bindings.push(Binding { role, users, groups, selector });
    }
    bindings
}

impl Config {
    /// What `api` needs of it. The configuration was checked when it was loaded.
    pub fn access(&self) -> AccessParts {
        read(&self.http, &self.auth).0
    }
}
