//! The daemon's configuration: one file and environment variables, read strictly. Every key is documented in
//! `docs/configuration.md`; a key that is not known is refused, with its path.
//!
//! Precedence: environment variables over the file over the defaults. The file may hold no password: the database's URL
//! comes from `DATABASE_URL`.

mod access;
mod environment;
mod notifications;
mod oidc;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use model::parse::parse;
use model::problem::{Problems, Reason};
use model::{AwsAccountId, Span};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use access::{AccessParts, Auth, Http, RoleBinding, TlsFiles, Token};
pub use notifications::{Notifications, topic_of};
pub use oidc::OidcIssuer;

/// The daemon's configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Id of this installation, as in the tag `eventchain.io/managed-by`. Two installations that share an account must
    /// have different ids.
    pub installation: String,
    /// The HTTP API.
    pub http: Http,
    /// Who may do what.
    pub auth: Auth,
    /// Accounts, endpoints, budgets.
    pub aws: AwsConfig,
    /// How often AWS is looked at.
    pub sweeps: Sweeps,
    /// How passes run.
    pub passes: Passes,
    /// Which replica owns an account.
    pub leases: Leases,
    /// How much one object may be written to.
    pub writes: Writes,
    /// The log.
    pub log: Log,
    /// The pool of connections to Postgres.
    pub database: Database,
    /// The audit trail.
    pub audit: Audit,
    /// Who outside is told of which events.
    pub notifications: Notifications,
}

/// Accounts, endpoints, budgets.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AwsConfig {
    /// The accounts that may be entered, by id, and how. An Environment of another account is refused by its passes.
    pub accounts: BTreeMap<AwsAccountId, Account>,
    /// Endpoint for every service that has none of its own; for emulators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Endpoints by the IAM prefix of the service: `ecs`, `rds`, `elasticloadbalancing`.
    pub endpoints: BTreeMap<String, String>,
    /// Longest time one call may take; shorter than the lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<Span>,
    /// Share of AWS's published rates that is ours: above 0, at most 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_share: Option<f64>,
}

/// How to enter one account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Account {
    /// Role to assume. Left out: the daemon's own credentials are for this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// External id that the role's trust policy asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// How often AWS is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Sweeps {
    /// Period of the hot lane: services, instances, alarms, target groups.
    pub hot: Span,
    /// Period of the slow lane: scaling policies, snapshots, copies; and the age at which swept tags count as old.
    pub slow: Span,
}

/// How passes run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Passes {
    /// Passes at the same time.
    pub concurrency: usize,
}

/// Which replica owns an account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Leases {
    /// How long a lease lives without being renewed.
    pub ttl: Span,
}

/// How much one object may be written to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Writes {
    /// Mutating calls on one object within `per`.
    pub budget: u32,
    /// The time within which they count.
    pub per: Span,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// Filter in the form `info,runtime=debug`.
    pub filter: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Audit {
    /// How long entries are kept.
    pub retention: Span,
}

/// The pool of connections to Postgres.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Database {
    /// Connections at most, besides the one that listens.
    pub max_connections: u32,
    /// ARN of the secret that holds user and password, as RDS keeps it; left out, `DATABASE_URL` has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            installation: "eventchain-operator".to_owned(),
            http: Http::default(),
            auth: Auth::default(),
            aws: AwsConfig::default(),
            sweeps: Sweeps::default(),
            passes: Passes::default(),
            leases: Leases::default(),
            writes: Writes::default(),
            log: Log::default(),
            database: Database::default(),
            audit: Audit::default(),
            notifications: Notifications::default(),
        }
    }
}

impl Default for Sweeps {
    fn default() -> Self {
        Self { hot: Span::from_secs(15), slow: Span::from_secs(120) }
    }
}

impl Default for Passes {
    fn default() -> Self {
        Self { concurrency: 8 }
    }
}

impl Default for Leases {
    fn default() -> Self {
        Self { ttl: Span::from_secs(12) }
    }
}

impl Default for Writes {
    fn default() -> Self {
        Self { budget: 10, per: Span::from_secs(600) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { retention: Span::from_secs(400 * 86_400) }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self { max_connections: 10, password_secret: None }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no YAML or JSON.
    #[error("the configuration {path} is no YAML: {message}")]
    Malformed {
        /// Which.
        path: String,
        /// Where and why.
        message: String,
    },
    /// A file and a document are given.
    #[error("EVENTCHAIN_CONFIG_DOCUMENT holds the configuration, and the file {path} does too: give one of them")]
    Twice {
        /// The file.
        path: String,
    },
    /// Keys or values are refused.
    #[error("the configuration is refused:\n{0}")]
    Refused(Problems),
}

/// The variable that holds the file's text itself, for where there is no file to mount (ECS).
const DOCUMENT: &str = "EVENTCHAIN_CONFIG_DOCUMENT";

/// Reads the configuration from a file or `EVENTCHAIN_CONFIG_DOCUMENT`, if one is given, and the process's environment.
pub fn load(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Config, ConfigError> {
    let (document, variables): (Vec<_>, Vec<_>) = variables.partition(|(name, _)| name == DOCUMENT);
    let document = document.into_iter().map(|(_, text)| text).find(|text| !text.trim().is_empty());
    let (shown, text) = match (file, document) {
        (None, None) => (String::new(), String::new()),
        (None, Some(text)) => (DOCUMENT.to_owned(), text),
        (Some(path), Some(_)) => return Err(ConfigError::Twice { path: path.display().to_string() }),
        (Some(path), None) => {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: shown.clone(), source })?;
            (shown, text)
        }
    };
    let document: Option<Value> = serde_saphyr::from_str(&text)
        .map_err(|error| ConfigError::Malformed { path: shown, message: error.to_string() })?;
    let mut document = document.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let mut problems = environment::overlay(&mut document, variables.into_iter());
    let (config, found) = parse::<Config>(document);
    problems.extend(found);
    if let Some(config) = &config {
        problems.extend(check(config));
        problems.extend(notifications::check(config));
    }
    match (config, problems.is_empty()) {
        (Some(config), true) => Ok(config),
        (_, _) => Err(ConfigError::Refused(problems)),
    }
}

fn check(config: &Config) -> Problems {
    let mut problems = Problems::default();
    let mut refuse = |path: &str, message: String| problems.add(path, Reason::FieldValueInvalid, message);
    let id = &config.installation;
    if id.is_empty() || id.len() > 64 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        refuse("installation", "must be 1 to 64 letters, digits, - _ and .".to_owned());
    }
    if config.aws.budget_share.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
        refuse("aws.budgetShare", "must be above 0 and at most 1".to_owned());
    }
    for (account, entry) in &config.aws.accounts {
        let path = format!("aws.accounts.{account}");
        if let Some(role) = &entry.role_arn
            && !role.starts_with(&format!("arn:aws:iam::{account}:role/"))
        {
            refuse(&format!("{path}.roleArn"), format!("must be a role of account {account}"));
        }
        if entry.external_id.is_some() && entry.role_arn.is_none() {
            refuse(&format!("{path}.externalId"), "needs a roleArn".to_owned());
        }
    }
    for (path, span) in [("sweeps.hot", config.sweeps.hot), ("sweeps.slow", config.sweeps.slow)] {
        if span.as_secs() == 0 {
            refuse(path, "must be at least 1s".to_owned());
        }
    }
    if config.sweeps.slow < config.sweeps.hot {
        refuse("sweeps.slow", "must not be shorter than sweeps.hot".to_owned());
    }
    if config.passes.concurrency == 0 {
        refuse("passes.concurrency", "must be at least 1".to_owned());
    }
    if config.leases.ttl.as_secs() < 3 || config.leases.ttl.as_secs() > 12 {
        refuse("leases.ttl", "must be between 3s and 12s, so that a successor takes over within 15 s".to_owned());
    }
    if config.call_timeout() + config.lease_renew() > config.leases.ttl.as_duration() {
        refuse("aws.callTimeout", format!("must be at most three quarters of leases.ttl {}", config.leases.ttl));
    }
    if config.writes.budget == 0 {
        refuse("writes.budget", "must be at least 1".to_owned());
    }
    if config.audit.retention.as_secs() < 86_400 {
        refuse("audit.retention", "must be at least 1d".to_owned());
    }
    if config.database.max_connections < 2 {
        refuse("database.maxConnections", "must be at least 2".to_owned());
    }
    if config.database.password_secret.as_deref().is_some_and(|arn| !awskit::is_secret_arn(arn)) {
        refuse("database.passwordSecret", "must be arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME".to_owned());
    }
    problems.extend(access::read(&config.http, &config.auth).1);
    problems
}

impl Config {
    /// How often a lease is renewed: four times in its life.
    fn lease_renew(&self) -> Duration {
        self.leases.ttl.as_duration() / 4
    }

    /// Longest time one AWS call may take: as configured, or two thirds of the lease. A lease that is renewed every
    /// quarter has at least three quarters left, so the call is over before anybody else may own the account.
    pub fn call_timeout(&self) -> Duration {
        self.aws.call_timeout.map_or(self.leases.ttl.as_duration() * 2 / 3, Span::as_duration)
    }

    /// What `runtime` needs of it. `holder` is unique for this process.
    pub fn runtime(&self, holder: String) -> runtime::Config {
        runtime::Config {
            workers: self.passes.concurrency,
            hot_period: self.sweeps.hot.as_duration(),
            slow_period: self.sweeps.slow.as_duration(),
            lease_ttl: self.leases.ttl.as_duration(),
            lease_renew: self.lease_renew(),
            call_timeout: self.call_timeout(),
            audit_retention: self.audit.retention.as_duration(),
            write_budget: self.writes.budget,
            write_window: self.writes.per.as_duration(),
            ..runtime::Config::new(&self.installation, holder, self.aws.accounts.keys().cloned().collect())
        }
    }

    /// What `awskit` needs of it.
    pub fn awskit(&self) -> awskit::Config {
        let accounts = self
            .aws
            .accounts
            .iter()
            .map(|(id, account)| {
                let config = awskit::AccountConfig {
                    role_arn: account.role_arn.clone(),
                    external_id: account.external_id.clone(),
                    static_credentials: None,
                };
                (id.clone(), config)
            })
            .collect();
        awskit::Config {
            accounts,
            endpoints: awskit::EndpointConfig {
                default: self.aws.endpoint.clone(),
                by_service: self.aws.endpoints.clone(),
            },
            call_timeout: self.call_timeout(),
            budget_share: self.aws.budget_share.unwrap_or(0.5),
            tags_max_age: self.sweeps.slow.as_duration(),
            installation: self.installation.clone(),
            http_client: None,
        }
    }
}
