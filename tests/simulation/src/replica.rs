//! One process of the simulation: a replica with a name by which Postgres and AWS know it, and its wire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use awskit::{AccountConfig, Aws, StaticCredentials};
use jiff::Timestamp;
use model::AwsAccountId;
use runtime::inline::Replica;
use runtime::{Clock, Config, Deps};
use simaws::Sim;
use store::Store;
use telemetry::Metrics;
use testkit::fixtures::{ACCOUNT, INSTALLATION};

use crate::script::Wire;
use crate::world::{World, pool};

/// Longer than anything takes while others run in between: no timer may decide anything.
const NEVER: Duration = Duration::from_secs(600);

struct SimClock(Sim);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.clock().now()
    }
}

/// A process.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) wire: Wire,
    pub(crate) replica: Replica,
}

impl Process {
    /// Starts one.
    pub(crate) fn start(world: &World, number: u32) -> Result<Self> {
        let name = format!("r{number}");
        let wire = Wire::new(&world.sim);
        let account = AwsAccountId::parse(ACCOUNT).map_err(anyhow::Error::msg)?;
        let mut config = Config::new(INSTALLATION, name.clone(), vec![account.clone()]);
        config.lease_ttl = NEVER;
        config.call_timeout = NEVER / 4;
        config.sweep_timeout = NEVER;
        // People's hands and faults undo writes: the budget of an object must not end them.
        config.write_budget = 1_000;
        let (metrics, _) = Metrics::new();
        let deps = Deps {
            config,
            store: Store::from_pool(pool(&world.database.url, &name)?),
            registry: Arc::new(kinds::registry()),
            cloud: Arc::new(kinds::providers(&aws(&wire, &account, &name))),
            clock: Arc::new(SimClock(world.sim.clone())),
            metrics,
        };
        Ok(Self { name, wire, replica: Replica::new(deps, account) })
    }
}

/// Clients over the wire. The access key names the account, and then the process.
fn aws(wire: &Wire, account: &AwsAccountId, name: &str) -> Aws {
    let key = StaticCredentials {
        access_key_id: format!("ASIA{ACCOUNT}{name}"),
        secret_access_key: "not-a-secret".to_owned(),
    };
    let account_config = AccountConfig { static_credentials: Some(key), ..AccountConfig::default() };
    let wire = wire.clone();
    Aws::new(
        awskit::Config {
            accounts: BTreeMap::from([(account.clone(), account_config)]),
            call_timeout: NEVER,
            budget_share: 1_000.0,
            tags_max_age: Duration::ZERO,
            installation: INSTALLATION.to_owned(),
            http_client: Some(awskit::in_process(move |request| wire.clone().call(request))),
            ..awskit::Config::default()
        },
        None,
    )
}
