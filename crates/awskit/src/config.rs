//! How to reach AWS: accounts, roles, endpoints, time-outs, share of the rate budgets. Comes from the daemon's
//! configuration; an Environment names only account and region, so that an editor cannot choose a role.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use model::AwsAccountId;

/// How to reach AWS.
#[derive(Debug, Clone)]
pub struct Config {
    /// The accounts that may be entered, and how. An account that is not listed is refused.
    pub accounts: BTreeMap<AwsAccountId, AccountConfig>,
    /// Endpoints other than AWS's own.
    pub endpoints: EndpointConfig,
    /// Longest time one call may take. Shorter than the lease, so that a stale owner's last call ends with it.
    pub call_timeout: Duration,
    /// Share of the published rates that is ours, above 0 and at most 1.
    pub budget_share: f64,
    /// How long the tags that one GetResources sweep found count as fresh.
    pub tags_max_age: Duration,
    /// Id of this installation, as in the ownership tags: the tag sweep asks for it alone.
    pub installation: String,
    /// An HTTP client other than the SDK's own; tests connect the simulator in-process with it.
    pub http_client: Option<SharedHttpClient>,
}

/// How to enter one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountConfig {
    /// Role to assume; none: the daemon's own credentials are for this account.
    pub role_arn: Option<String>,
    /// External id that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// Static access key id and secret, for emulators only.
    pub static_credentials: Option<StaticCredentials>,
}

/// An access key for an emulator. `Debug` shows the id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticCredentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
}

impl std::fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StaticCredentials({}, …)", self.access_key_id)
    }
}

/// Endpoints other than AWS's own. `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>` work besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointConfig {
    /// For every service that has none of its own.
    pub default: Option<String>,
    /// By the IAM prefix of the service: `ecs`, `rds`, `elasticloadbalancing`.
    pub by_service: BTreeMap<String, String>,
}

impl EndpointConfig {
    /// The endpoint of a service, if it is not AWS's own.
    pub fn of(&self, service: &str) -> Option<&str> {
        self.by_service.get(service).or(self.default.as_ref()).map(String::as_str)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            accounts: BTreeMap::new(),
            endpoints: EndpointConfig::default(),
            // The lease lives 12 s (see `store`), so a call must be over before a successor may start.
            call_timeout: Duration::from_secs(10),
            budget_share: 0.5,
            tags_max_age: Duration::from_secs(120),
            installation: "eventchain-operator".to_owned(),
            http_client: None,
        }
    }
}
