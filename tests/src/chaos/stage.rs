//! What chaos is done to: replicas, each behind its gate, one Postgres that loses nothing, a simulated AWS in a process of its
//! own, and accounts with one environment each.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tempfile::TempDir;
use testkit::fixtures::{self, ACCOUNT, COPY_REGION, REGION};
use testkit::postgres::{Lifetime, PrivateServer};
use tokio::sync::Mutex as AsyncMutex;

use super::record;
use super::replica::{PROCESSES, Replica};
use super::schedule::lasts;
use crate::aws::Aws;
use crate::daemon::{Setup, signal};
use crate::gate::Gate;
use crate::simaws_process::SimawsProcess;

/// Starts may take so long when everything else is down too.
const COMES_UP: Duration = Duration::from_secs(90);
/// The database of the installation.
const DATABASE: &str = "eventchain";
/// A value that somebody gave a secret: nobody but AWS may know it.
pub const SECRET_VALUE: &str = "sesame-4b1e77c0-of-a-secret";
/// The daemons' own secret key.
pub const SECRET_KEY: &str = "sesame-9d02af31-of-a-key";

/// An account and its environment.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// The environment's name.
    pub environment: String,
    /// The environment's first document.
    pub document: Value,
    /// A client in its home region.
    pub home: Aws,
    /// A client in the region that snapshots are copied to.
    pub away: Aws,
}

/// How a stage is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Seed of the simulated AWS's ids and of faults with a probability.
    pub seed: u64,
    /// Replicas.
    pub replicas: usize,
    /// Accounts.
    pub accounts: usize,
    /// Life of a lease; `None`: the daemon's default, as are all its periods then.
    pub lease: Option<Duration>,
}

/// Everything.
pub struct Stage {
    /// The simulated AWS.
    pub simaws: SimawsProcess,
    /// The replicas.
    pub replicas: Vec<Replica>,
    /// The accounts.
    pub accounts: Vec<Account>,
    /// Straight into the database, past all gates.
    pub database: PgPool,
    server: AsyncMutex<Option<PrivateServer>>,
    directory: TempDir,
    notes: Mutex<Vec<(Timestamp, String)>>,
}

/// In which things take about half a second.
fn timings() -> Value {
    json!({
        "task_start": 0.3, "task_stop": 0.2, "ecs_scheduler": 0.2, "ecs_drain": 0.3, "load_balancer_create": 0.0,
        "target_initial": 0.2, "target_draining": 0.3, "rds_create": 1.0, "rds_modify": 0.5, "rds_modify_heavy": 1.0,
        "snapshot_create": 0.7, "snapshot_copy": 0.7
    })
}

impl Stage {
    /// Everything, with the daemons up and no environment declared.
    ///
    /// # Errors
    /// When something cannot be started.
    pub async fn start(plan: &Plan) -> Result<Self> {
        let simaws = SimawsProcess::start_with(&["--seed", &plan.seed.to_string()]).await?;
        simaws.set_timings(&timings()).await?;
        let mut accounts = Vec::new();
        for index in 0..plan.accounts {
            accounts.push(Account::make(&simaws, index).await?);
        }
        let directory = tempfile::Builder::new().prefix("eventchain-chaos-").tempdir()?;
        let place = directory.path().to_owned();
        let server = tokio::task::spawn_blocking(move || PrivateServer::start(&place, Lifetime::Persistent)).await??;
        let database = prepare(&server, plan.replicas).await?;

        // Any of the accounts but the first is entered by a role.
        let configured: serde_json::Map<String, Value> = accounts
            .iter()
            .map(|account| {
                let role = format!("arn:aws:iam::{}:role/eventchain-operator-target", account.id);
                let entry = if account.id == ACCOUNT { json!({}) } else { json!({ "roleArn": role }) };
                (account.id.clone(), entry)
            })
            .collect();
        let mut setup = Setup::new(&server.url(DATABASE), simaws.url(), &[])?
            .accounts(&configured.into())
            .set("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .set("EVENTCHAIN_LOG_FILTER", "info")
            // Writes are many here, and people's hands and faults undo them: the budget of an object must not end them.
            .set("EVENTCHAIN_WRITES_BUDGET", "1000")
            .quiet();
        setup = match plan.lease {
            Some(lease) => setup.set("EVENTCHAIN_LEASES_TTL", &format!("{}s", lease.as_secs())),
            None => setup.unset("EVENTCHAIN_SWEEPS_HOT").unset("EVENTCHAIN_SWEEPS_SLOW"),
        };
        setup.run(&["migrate"]).await?;
        for statement in record::statements("session_user") {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&database).await?;
        }
        let mut replicas = Vec::new();
        for letter in ('a'..='z').take(plan.replicas) {
            let gate = Gate::start(server.socket()).await?;
            replicas.push(Replica::new(letter, setup.clone(), DATABASE, gate));
        }
        for replica in &replicas {
            replica.start(COMES_UP).await?;
        }
        let server = AsyncMutex::new(Some(server));
        Ok(Self { simaws, replicas, accounts, database, server, directory, notes: Mutex::default() })
    }

    /// Remembers what is done, and says it.
    pub fn note(&self, what: &str) {
        let now = now();
        crate::say::say(&format!("{} {what}", now.strftime("%H:%M:%S.%3f")));
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push((now, what.to_owned()));
    }

    /// What was done.
    pub fn notes(&self) -> Vec<(Timestamp, String)> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The process that owns an account now, as the leases say.
    pub async fn owner(&self, account: usize) -> Option<String> {
        let found = sqlx::query_scalar::<_, String>(
            "SELECT r.process FROM chaos.leases r JOIN leases l ON l.shard = r.shard AND l.epoch = r.epoch
             WHERE l.shard = $1 AND l.expires_at > clock_timestamp() ORDER BY r.id DESC LIMIT 1",
        )
        .bind(&self.accounts.get(account)?.id)
        .fetch_optional(&self.database);
        // Postgres may be down just now: then nobody knows.
        tokio::time::timeout(Duration::from_secs(2), found).await.ok()?.ok()?
    }

    /// The replica that a process is of.
    pub fn replica_of(&self, process: &str) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.has(process))
    }

    /// SIGKILL to a replica's process, and another comes up.
    ///
    /// # Errors
    /// As [`Replica::kill`].
    pub async fn kill(&self, replica: &Replica, down: Duration) -> Result<bool> {
        replica.kill(down, COMES_UP).await
    }

    /// Postgres stops, is down for so long, and starts again. False when it is down already.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn restart_postgres(&self, crash: bool, down: Duration) -> Result<bool> {
        let Ok(mut server) = self.server.try_lock() else { return Ok(false) };
        let running = server.take().context("Postgres runs")?;
        if crash {
            // An immediate shutdown: no checkpoint, nobody is told; it recovers from its log.
            signal(running.pid()?, "QUIT").await?;
        }
        tokio::task::spawn_blocking(move || running.stop()).await?;
        lasts(down).await;
        let place = self.directory.path().to_owned();
        let started = tokio::task::spawn_blocking(move || PrivateServer::start(&place, Lifetime::Persistent)).await??;
        *server = Some(started);
        Ok(true)
    }

    /// Ends everything, the daemons first and in good order.
    ///
    /// # Errors
    /// When a daemon does not end well.
    pub async fn stop(self) -> Result<()> {
        for replica in &self.replicas {
            replica.stop().await?;
        }
        self.simaws.stop().await?;
        self.database.close().await;
        if let Some(server) = self.server.into_inner() {
            tokio::task::spawn_blocking(move || server.stop()).await?;
        }
        Ok(())
    }
}

impl Account {
    /// Lays out an account: a load balancer and a subnet group are there, nothing else.
    async fn make(simaws: &SimawsProcess, index: usize) -> Result<Self> {
        ensure!(index < 10, "at most ten accounts");
        let id = if index == 0 { ACCOUNT.to_owned() } else { format!("21098765432{index}") };
        let environment = if index == 0 { "prod".to_owned() } else { format!("shop-{index}") };
        let home = simaws.aws(&id, REGION);
        let balancer = home.create_load_balancer("eventchain-alb").await?;
        home.create_subnet_group("eventchain-db-subnet-group").await?;
        // The window is far from any day of a run; snapshots are due all the while. The account is named in a dozen places.
        let patch = json!({ "spec": {
            "policy": { "windows": [{ "cron": "0 4 1 1 *", "duration": "1h" }] },
            "database": { "snapshots": { "schedule": "* * * * *", "keep": 100, "copyTo": [
                { "region": COPY_REGION, "kmsKeyId": "alias/aws/rds", "keep": 100 }] } }
        } });
        let document = fixtures::patched(fixtures::named(&environment, &balancer), &patch);
        let document = serde_json::from_str(&document.to_string().replace(ACCOUNT, &id))?;
        let away = simaws.aws(&id, COPY_REGION);
        Ok(Self { id, environment, document, home, away })
    }
}

/// A database, and a user for each process that may come.
async fn prepare(server: &PrivateServer, replicas: usize) -> Result<PgPool> {
    let options: PgConnectOptions = server.url("postgres").parse()?;
    let first = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    sqlx::raw_sql("CREATE DATABASE eventchain").execute(&first).await?;
    for letter in ('a'..='z').take(replicas) {
        let users = (1..=PROCESSES).map(|number| format!("CREATE ROLE {letter}{number} SUPERUSER LOGIN"));
        let users = users.collect::<Vec<_>>().join(";");
        sqlx::raw_sql(sqlx::AssertSqlSafe(users)).execute(&first).await?;
    }
    first.close().await;
    // Lazy: it outlives restarts of the server.
    Ok(PgPoolOptions::new().max_connections(4).connect_lazy_with(options.database(DATABASE)))
}

/// The machine's time, which is everybody's here.
pub fn now() -> Timestamp {
    simaws::Clock::real().now()
}
