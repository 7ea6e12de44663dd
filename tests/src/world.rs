//! A world for one test: a simulated AWS on loopback, a database, and daemons on both.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simaws::testing::Caller;
use simaws::{Clock, Server, Sim, Timings};
use testkit::fixtures::{self, ACCOUNT, REGION};
use testkit::postgres::TestDb;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use crate::api::Api;
use crate::daemon::Setup;
use crate::wait::until;
use crate::wire::element;
use crate::{hand, inventory};

/// Converging takes about ten seconds alone; tests share two cores.
pub const CONVERGES: Duration = Duration::from_secs(60);

/// A simulated AWS on loopback and a database.
pub struct World {
    /// The simulation; its call log and faults are at hand.
    pub sim: Sim,
    /// It on loopback.
    pub server: Server,
    /// The database.
    pub database: TestDb,
    /// ARN of a load balancer that exists.
    pub load_balancer: String,
    keeper: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// What people and time do beside the daemon: see `keep_secrets` and [`BEHIND`].
pub async fn other_people(sim: Sim) {
    tokio::join!(keep_secrets(sim.clone()), catch_up(sim));
}

/// Moves the simulated clock on to the machine's time once a database exists.
async fn catch_up(sim: Sim) {
    let mut ticks = interval(Duration::from_millis(200));
    loop {
        ticks.tick().await;
        let name = [("DBInstanceIdentifier", hand::DATABASE)];
        let looking = Caller::default();
        let look = looking.query(&sim, "rds", "DescribeDBInstances", &name);
        // A fault may strike this call too: it must not hang here.
        if let Ok(Ok(reply)) = timeout(Duration::from_secs(1), look).await
            && reply.xml().contains(hand::DATABASE)
            && reply.status == 200
        {
            break;
        }
    }
    sim.clock().jump(BEHIND);
}

/// The person who keeps the secrets: the operator makes them and never gives one a value. Ends when both secrets of the
/// fixture `prod` have one, so that the call log is the daemon's alone from then on.
async fn keep_secrets(sim: Sim) {
    let caller = Caller::default();
    let mut open = vec!["eventchain/database-url", "eventchain/stripe-api-key"];
    let mut ticks = interval(Duration::from_millis(100));
    while !open.is_empty() {
        ticks.tick().await;
        for name in open.clone() {
            let call = |operation, body: Value| {
                // A fault may strike this call too: it must not hang here.
                let limit = Duration::from_secs(1);
                let (caller, sim) = (&caller, &sim);
                async move { timeout(limit, caller.json(sim, "secretsmanager", operation, body)).await.ok()?.ok() }
            };
            let Some(secret) = call("DescribeSecret", json!({ "SecretId": name })).await else { continue };
            let valued = secret.body["VersionIdsToStages"].as_object().is_some_and(|stages| !stages.is_empty());
            if secret.status == 200 && !valued {
                call("PutSecretValue", json!({ "SecretId": name, "SecretString": fixtures::CANARY })).await;
            } else if valued {
                open.retain(|other| *other != name);
            }
        }
    }
}

/// The simulated AWS begins so far behind the daemon, and catches up once the database exists: it was made before the last
/// slot of a daily schedule then, and so a snapshot is due at once, whatever the time of day.
pub const BEHIND: SignedDuration = SignedDuration::from_secs(24 * 3600 + 60);

/// A simulated AWS in which things take half a second, at the machine's pace, with what the fixtures refer to.
///
/// # Errors
/// When that cannot be made.
pub async fn brisk_sim() -> Result<(Sim, String)> {
    let timings = Timings {
        task_start: Duration::from_millis(300),
        task_stop: Duration::from_millis(200),
        ecs_scheduler: Duration::from_millis(200),
        load_balancer_create: Duration::ZERO,
        target_initial: Duration::from_millis(200),
        rds_create: Duration::from_millis(1_000),
        rds_modify: Duration::from_millis(500),
        rds_modify_heavy: Duration::from_millis(1_000),
        snapshot_create: Duration::from_millis(500),
        snapshot_copy: Duration::from_millis(500),
        ..Timings::default()
    };
    let sim = Sim::builder().account(ACCOUNT).seed(7).clock(Clock::real()).timings(timings).rates(false).build();
    sim.clock().jump(-BEHIND);
    let parameters = [
        ("Name", "eventchain-alb"),
        ("Subnets.member.1", "subnet-0a1b2c3d4e5f60718"),
        ("Subnets.member.2", "subnet-0b1b2c3d4e5f60718"),
    ];
    let made = simaws::testing::query(&sim, "elasticloadbalancing", "CreateLoadBalancer", &parameters).await;
    let load_balancer = element(made.xml(), "LoadBalancerArn").context("CreateLoadBalancer")?.to_owned();
    let parameters = [
        ("DBSubnetGroupName", "eventchain-db-subnet-group"),
        ("DBSubnetGroupDescription", "EventChain database subnet group"),
        ("SubnetIds.SubnetIdentifier.1", "subnet-0a1b2c3d4e5f60718"),
        ("SubnetIds.SubnetIdentifier.2", "subnet-0b1b2c3d4e5f60718"),
    ];
    let made = simaws::testing::query(&sim, "rds", "CreateDBSubnetGroup", &parameters).await;
    ensure!(made.status == 200, "CreateDBSubnetGroup: {}", made.body);
    sim.reset_calls();
    Ok((sim, load_balancer))
}

impl World {
    /// An empty account with a load balancer, and an empty database.
    ///
    /// # Errors
    /// When that cannot be made.
    pub async fn new() -> Result<Self> {
        let (sim, load_balancer) = brisk_sim().await?;
        let server = sim.serve(tokio::net::TcpListener::bind("127.0.0.1:0").await?)?;
        let database = testkit::postgres::test_database().await;
        let keeper = tokio::spawn(other_people(sim.clone()));
        Ok(Self { sim, server, database, load_balancer, keeper })
    }

    /// A daemon on it, still to be started.
    ///
    /// # Errors
    /// When the daemon is not built.
    pub fn setup(&self) -> Result<Setup> {
        Setup::new(&self.database.url, &self.server.url(), &[ACCOUNT])
    }

    /// The fixture `prod`, whose window is far away.
    pub fn document(&self) -> Value {
        fixtures::patched(
            fixtures::document(&self.load_balancer),
            &json!({ "spec": { "policy": { "windows": [self.distant_window()] } } }),
        )
    }

    /// The machine's time, which is the daemon's.
    pub fn now(&self) -> Timestamp {
        simaws::Clock::real().now()
    }

    /// A window three days from now, whatever day it is.
    pub fn distant_window(&self) -> Value {
        let today = self.now().to_zoned(jiff::tz::TimeZone::UTC).weekday();
        let day = (i32::from(today.to_sunday_zero_offset()) + 3) % 7;
        json!({ "cron": format!("0 4 * * {day}"), "duration": "1h" })
    }

    /// Waits until the daemon has swept the hot lane `times` times more.
    ///
    /// # Errors
    /// When it sweeps no more.
    pub async fn swept(&self, times: u64) -> Result<()> {
        let count = || self.sim.with_calls(|calls| calls.count("rds", "DescribeDBInstances"));
        let before = count();
        until(&format!("{times} sweeps"), CONVERGES, async || {
            let now = count();
            if now >= before + times { Ok(()) } else { Err(format!("{} sweeps", now - before)) }
        })
        .await
    }

    /// Nothing was made twice and nothing deleted: the account holds what the fixture `prod` makes, once.
    ///
    /// # Errors
    /// When it does not.
    pub async fn holds_the_fixture_once(&self) -> Result<()> {
        self.sim.faults().clear();
        let removals = inventory::removals(&self.sim);
        ensure!(removals.is_empty(), "something was taken away: {removals:?}");
        let found = inventory::inventory(&self.sim).await?;
        let (is, should) = (inventory::by_kind(&found), inventory::of_the_fixture());
        let wrong: Vec<String> = is
            .keys()
            .chain(should.keys())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|kind| is.get(*kind) != should.get(*kind))
            .map(|kind| format!("{kind}: {:?} instead of {:?}", is.get(kind), should.get(kind)))
            .collect();
        ensure!(wrong.is_empty(), "{wrong:?}; the account holds {found:#?}");
        Ok(())
    }

    /// No act is left whose outcome nobody has looked at.
    ///
    /// # Errors
    /// When one stays.
    pub async fn journal_is_settled(&self) -> Result<()> {
        until("a journal without unsettled rows", Duration::from_secs(20), async || {
            let rows: Vec<(String, String, String)> = sqlx::query_as(
                "SELECT kind, identity, step FROM journal WHERE outcome IS NULL OR outcome = 'Unknown' ORDER BY id",
            )
            .fetch_all(&self.database.pool)
            .await
            .map_err(|error| error.to_string())?;
            if rows.is_empty() { Ok(()) } else { Err(format!("{rows:?}")) }
        })
        .await
    }

    /// Creates the fixture `prod` and waits until it has converged.
    ///
    /// # Errors
    /// When it does not.
    pub async fn converged(&self, api: &Api) -> Result<Value> {
        api.create(&self.document()).await?;
        api.converged("prod", CONVERGES).await
    }

    /// The home region, for `Sim::with`.
    pub fn home() -> (&'static str, &'static str) {
        (ACCOUNT, REGION)
    }
}
