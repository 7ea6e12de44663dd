//! One seed: what happens, in order, and what is judged in the end.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use e2e::aws::Aws;
use e2e::chaos::checker::{self, Call, End, Evidence, Violation};
use e2e::chaos::people;
use e2e::chaos::record;
use e2e::chaos::schedule::{Drift, fault};
use e2e::chaos::stage::Account;
use e2e::chaos::survey::survey;
use e2e::wire::Http;
use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use simaws::{Effect, Fault};
use testkit::fixtures::{ACCOUNT, CANARY, COPY_REGION, REGION};

use crate::replica::Process;
use crate::script::{Side, Stop};
use crate::world::{NAME, World};

/// Rounds in which things go wrong.
const ROUNDS: u32 = 14;
/// Looks, so far apart, in which everything must converge. Longer than the longest wait for an effect.
const SETTLES: u32 = 60;
const SETTLE_S: i64 = 11;
/// Between two slots of the snapshots' schedule.
pub(crate) const SLOT_S: i64 = 600;

/// A seed that was played.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Every call to AWS, in a line each, as far as a seed decides it.
    pub log: Vec<String>,
    /// What was done, in order.
    pub notes: Vec<String>,
    /// Crashes in the middle of a call.
    pub crashes: u32,
    /// Take-overs while the former owner was in the middle of a pass.
    pub take_overs: u32,
    /// Writes by people.
    pub writes: usize,
    /// Promises that were broken.
    pub violations: Vec<Violation>,
}

struct Player {
    world: World,
    rng: StdRng,
    owner: Process,
    processes: u32,
    account: Account,
    notes: Vec<String>,
    crashes: u32,
    take_overs: u32,
}

/// Plays a seed.
///
/// # Errors
/// When the simulation itself fails.
pub async fn play(seed: u64) -> Result<Outcome> {
    let mut world = World::new(seed).await?;
    world.declare(seed).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let server = world.sim.serve(listener)?;
    let aws = |region| Aws::new(&server.url(), ACCOUNT, region, Http::default());
    let account = Account {
        id: ACCOUNT.to_owned(),
        environment: NAME.to_owned(),
        document: world.document.clone(),
        home: aws(REGION),
        away: aws(COPY_REGION),
    };
    let owner = Process::start(&world, 1)?;
    ensure!(owner.replica.acquire().await?, "the lease is free");
    let rng = StdRng::seed_from_u64(seed);
    let mut player = Player { world, rng, owner, processes: 1, account, notes: Vec::new(), crashes: 0, take_overs: 0 };
    for _ in 0..ROUNDS {
        player.round().await?;
    }
    player.world.sim.faults().clear();
    let open = player.settle().await?;
    let outcome = player.judged(seed, open).await?;
    server.stop().await;
    Ok(outcome)
}

impl Player {
    fn note(&mut self, what: impl Into<String>) {
        let now = self.world.now();
        self.notes.push(format!("{now} {}", what.into()));
    }

    /// A round: a fault perhaps, someone's doing perhaps, a sweep, and a pass in which anything may happen.
    async fn round(&mut self) -> Result<()> {
        let by = self.rng.random_range(1..20);
        self.world.sim.clock().jump(SignedDuration::from_secs(by));
        self.world.sim.faults().clear();
        if self.rng.random_bool(0.6) {
            let fault = self.some_fault()?;
            self.note(format!("AWS: {}", serde_json::to_string(&fault)?));
            self.world.sim.faults().add(fault);
        }
        self.give_values().await;
        if self.rng.random_bool(0.3) {
            self.write().await?;
        }
        if self.rng.random_bool(0.3) {
            self.drift().await;
        }
        self.owner.replica.sweep().await;
        self.pass().await
    }

    /// A fault that no timer takes part in.
    fn some_fault(&mut self) -> Result<Fault> {
        loop {
            let fault: Fault = serde_json::from_value(fault(&mut self.rng))?;
            if !matches!(fault.effect, Effect::Latency { .. } | Effect::Hang { .. }) {
                return Ok(fault);
            }
        }
    }

    async fn write(&mut self) -> Result<()> {
        let number = self.world.writes.len();
        let patch = match self.rng.random_range(0..4) {
            0 => json!({ "services": { "event-service": { "desiredCount": 3 + number } } }),
            1 => json!({ "services": { "event-service": { "environment": { "CHAOS": format!("w{number}") } } } }),
            2 => json!({ "alarms": { "EventChain-High-CPU": { "threshold": 100 + number } } }),
            _ => json!({ "secrets": { "eventchain/stripe-api-key": { "description": format!("w{number}") } } }),
        };
        self.note(format!("someone writes {patch}"));
        self.world.write(json!({ "spec": patch })).await
    }

    async fn drift(&mut self) {
        let drift = match self.rng.random_range(0..6) {
            0 => Drift::DeleteAlarm,
            1 => Drift::DisableAlarm,
            2 => Drift::HealthCheck,
            3 => Drift::ShortBackups,
            4 => Drift::Untag,
            _ => Drift::DeleteScalingPolicy,
        };
        let done = people::drift(&self.account, drift).await.is_ok();
        self.note(format!("someone in AWS: {drift:?}: {done}"));
    }

    /// Whoever owns the secrets' values puts those that are missing.
    async fn give_values(&self) {
        for secret in ["eventchain/database-url", "eventchain/stripe-api-key"] {
            let body = json!({ "SecretId": secret });
            let Ok(found) = self.account.home.json("secretsmanager", "DescribeSecret", body).await else { continue };
            if found["VersionIdsToStages"].as_object().is_none_or(serde_json::Map::is_empty) {
                let body = json!({ "SecretId": secret, "SecretString": "sesame-of-a-secret" });
                // A fault may strike; the next round tries again.
                let _ = self.account.home.json("secretsmanager", "PutSecretValue", body).await;
            }
        }
    }

    /// A pass, stopped in the middle of a call perhaps.
    async fn pass(&mut self) -> Result<()> {
        let stop = self.rng.random_bool(0.7).then(|| Stop {
            after: self.rng.random_range(0..30),
            side: if self.rng.random_bool(0.5) { Side::Before } else { Side::After },
        });
        self.owner.wire.stop_at(stop);
        let what = self.rng.random_range(0..4);
        let wire = self.owner.wire.clone();
        // Out of the player while it runs: others act meanwhile.
        let successor = Process::start(&self.world, self.processes + 1)?;
        let former = std::mem::replace(&mut self.owner, successor);
        let mut pass = Box::pin(former.replica.pass(NAME));
        // Cancel-safe: a pass that is dropped here has crashed, and that is what it is dropped for.
        let stopped = tokio::select! {
            biased;
            _ = &mut pass => false,
            () = wire.stopped() => true,
        };
        if !stopped {
            drop(pass);
            self.owner = former;
            self.owner.wire.stop_at(None);
            return Ok(());
        }
        let name = former.name.clone();
        let place = stop.map(|stop| format!("{stop:?}")).unwrap_or_default();
        match what {
            0 | 1 => {
                self.note(format!("{name} crashes: {place}"));
                self.crashes += 1;
                drop(pass);
                drop(former);
                self.take_over(&name).await?;
            }
            2 => {
                self.note(format!("{name} freezes: {place}"));
                self.take_overs += 1;
                self.take_over(&name).await?;
                self.owner.replica.sweep().await;
                self.owner.replica.pass(NAME).await;
                self.note(format!("{name} wakes"));
                wire.go_on();
                pass.await;
                // It learns of it now.
                drop(former);
            }
            _ => {
                self.note(format!("people write while {name} is in a call: {place}"));
                self.write().await?;
                wire.go_on();
                pass.await;
                self.owner = former;
            }
        }
        Ok(())
    }

    /// The lease of `former` runs out, and the process that was started in its place takes the account.
    async fn take_over(&mut self, former: &str) -> Result<()> {
        self.processes += 1;
        self.world.expire(former).await?;
        ensure!(self.owner.replica.acquire().await?, "the lease has run out");
        Ok(())
    }

    /// Until the environment is Ready and Synced; else what its conditions are.
    async fn settle(&mut self) -> Result<Option<String>> {
        let mut seen = Value::Null;
        for _ in 0..SETTLES {
            self.world.sim.clock().jump(SignedDuration::from_secs(SETTLE_S));
            self.give_values().await;
            self.owner.replica.sweep().await;
            self.owner.replica.pass(NAME).await;
            let document = self.document().await?;
            if e2e::api::is_converged(&document) {
                return Ok(None);
            }
            seen = document;
        }
        Ok(Some(e2e::api::conditions(&seen)))
    }

    /// The document as the API would show it.
    async fn document(&self) -> Result<Value> {
        let row = self.world.row().await?;
        let metadata = json!({ "name": NAME, "generation": row.generation });
        Ok(json!({ "metadata": metadata, "spec": row.spec, "status": row.status }))
    }

    async fn judged(self, seed: u64, open: Option<String>) -> Result<Outcome> {
        let logged: Vec<Value> = self.world.sim.with_calls(|calls| calls.log().map(|call| json!(call)).collect());
        let total = self.world.sim.with_calls(simaws::Calls::total);
        ensure!(logged.len() as u64 == total, "the log lost calls");
        let mut calls = Vec::new();
        for call in &logged {
            let mut call = call.clone();
            // The name of the process stands behind the account.
            let key = call["access_key"].as_str().unwrap_or_default();
            call["app"] = key.strip_prefix("ASIA").and_then(|rest| rest.get(12..)).into();
            calls.push(serde_json::from_value::<Call>(call)?);
        }
        let aws = survey(&self.account).await?;
        let database = aws["databases"].as_object().and_then(|all| all.values().next()).context("a database")?;
        let made: jiff::Timestamp = database["InstanceCreateTime"].as_str().context("a time")?.parse()?;
        let slots =
            (self.world.now().as_second().div_euclid(SLOT_S) - made.as_second().div_euclid(SLOT_S)).try_into()?;
        let pool = &self.world.database.pool;
        let authors = self.world.writes.iter().map(|write| (write.author.clone(), 1));
        let document = self.document().await?;
        let evidence = Evidence {
            calls: calls.into_iter().filter(|call| call.mutating).collect(),
            leases: record::leases(pool).await?,
            intents: record::intents(pool).await?,
            revisions: record::revisions(pool).await?,
            // The trail is the API's, which has no part here.
            audited: authors.collect::<BTreeMap<_, _>>(),
            writes: self.world.writes.clone(),
            ends: vec![End { account: ACCOUNT.to_owned(), document, aws, slots }],
            secrets: secrets(&self.world).await?,
        };
        let mut violations = checker::judge(&evidence);
        violations.extend(open.map(|open| Violation {
            rule: "in the end every environment is Ready and Synced",
            what: open,
            at: None,
            process: None,
        }));
        let log = logged.into_iter().map(reproducible).collect();
        let writes = self.world.writes.len();
        let (notes, crashes, take_overs) = (self.notes, self.crashes, self.take_overs);
        Ok(Outcome { seed, log, notes, crashes, take_overs, writes, violations })
    }
}

/// A call without what no seed decides: the machine's time, and the token that the SDK makes up where nobody gives it one.
fn reproducible(mut call: Value) -> String {
    if call["operation"] == "UpdateSecret"
        && let Some(input) = call["input"].as_object_mut()
    {
        input.remove("ClientRequestToken");
    }
    if let Some(fields) = call.as_object_mut() {
        fields.remove("machine_at");
    }
    call.to_string()
}

async fn secrets(world: &World) -> Result<BTreeSet<String>> {
    let specs = ["environments", "revisions", "object_log", "changes"];
    let mut places: BTreeSet<String> =
        record::found_in_database(&world.database.pool, "sesame-of-a-secret").await?.into_iter().collect();
    let found = record::found_in_database(&world.database.pool, CANARY).await?;
    places.extend(found.into_iter().filter(|table| !specs.contains(&table.as_str())));
    Ok(places)
}
