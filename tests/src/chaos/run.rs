//! One run: the schedule is carried out while people write, then everything is mended, and judged.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;
use testkit::fixtures::CANARY;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::checker::{self, End, Evidence, Violation};
use super::keep;
use super::people::{self, Person, Writes};
use super::record::{self, LOG_PERIOD, Log};
use super::report::Report;
use super::schedule::{Act, Planned, Shape, Whom, lasts, schedule};
use super::stage::{Plan, SECRET_KEY, SECRET_VALUE, Stage};
use super::survey::survey;
use crate::api::{conditions, is_converged};
use crate::wait::until;

/// What a run is.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What is done.
    pub shape: Shape,
    /// People who write.
    pub people: usize,
    /// How long each waits between two writes, in milliseconds.
    pub pause: (u64, u64),
    /// How long it may take until everything has converged once everything is mended.
    pub converges: Duration,
}

/// Who was struck when: an account, its owner, and how.
type Struck = Mutex<Vec<(Timestamp, String, String)>>;

/// Runs it.
///
/// # Errors
/// When the run itself fails: something cannot be started, or a daemon ends by itself.
pub async fn run(settings: &Settings) -> Result<Report> {
    let shape = settings.shape;
    let planned = schedule(&shape);
    let plan = Plan { seed: shape.seed, replicas: shape.replicas, accounts: shape.accounts, lease: Some(shape.lease) };
    let stage = Arc::new(Stage::start(&plan).await?);
    stage.note("everything is up");
    let log = Arc::new(tokio::sync::Mutex::new(Log::default()));
    let (follow, keeper) =
        (tokio::spawn(follow(Arc::clone(&stage), Arc::clone(&log))), tokio::spawn(people::keep(Arc::clone(&stage))));

    let writes = Arc::new(Writes::default());
    let enough = CancellationToken::new();
    let mut crowd = JoinSet::new();
    for number in 0..settings.people {
        let mut person = Person::new(number, shape.seed, &stage, &writes);
        let (stage, enough) = (Arc::clone(&stage), enough.clone());
        let pause = settings.pause.0..settings.pause.1;
        crowd.spawn(async move {
            // The first declares all; the others have nothing to write to before.
            if number == 0 {
                for account in &stage.accounts {
                    person.declare(account).await?;
                }
            }
            person.go_on(pause, enough).await;
            anyhow::Ok(())
        });
    }

    let struck = Arc::new(Struck::default());
    carry_out(&stage, &planned, &struck).await?;
    enough.cancel();
    while let Some(done) = crowd.join_next().await {
        done??;
    }
    stage.simaws.calm().await?;
    stage.note("everything is mended");
    let mended = Instant::now();
    let open = converged(&stage, settings.converges).await;
    let took = mended.elapsed();
    stage.note(&format!("converged: {}", open.as_ref().err().map_or("yes", String::as_str)));
    timeout(Duration::from_secs(30), keeper).await.context("the secrets have values")??;
    follow.abort();
    let mut log = std::mem::take(&mut *log.lock().await);
    log.read(&stage.simaws).await?;

    let (evidence, violations) = judged(&stage, &log, &writes, open).await?;
    let struck = struck.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let report = Report::new(settings, &planned, &stage, &log, &evidence, &struck, took, violations);
    if !report.violations.is_empty() {
        let place = keep::evidence(&stage, &evidence, shape.seed).await?;
        crate::say::say(&format!("what was recorded is in {}", place.display()));
    }
    let stage = Arc::into_inner(stage).context("nobody uses the stage any more")?;
    stage.stop().await?;
    Ok(report)
}

async fn follow(stage: Arc<Stage>, log: Arc<tokio::sync::Mutex<Log>>) {
    let mut ticks = interval(LOG_PERIOD);
    loop {
        // Cancel-safe: aborted only when the log is read no more, and what was read stays read.
        ticks.tick().await;
        if let Err(error) = log.lock().await.read(&stage.simaws).await {
            crate::say::say(&format!("the log of AWS: {error:#}"));
        }
    }
}

/// Does everything when it is due; returns when all of it is over.
async fn carry_out(stage: &Arc<Stage>, planned: &[Planned], struck: &Arc<Struck>) -> Result<()> {
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    for planned in planned.iter().cloned() {
        // What has ended is looked at meanwhile: a daemon that ends by itself ends the run.
        loop {
            // Cancel-safe: both are.
            tokio::select! {
                () = sleep_until(begun + planned.at) => break,
                Some(done) = under_way.join_next() => done??,
            }
        }
        let (stage, struck) = (Arc::clone(stage), Arc::clone(struck));
        under_way.spawn(async move { carry_out_one(&stage, planned.act, &struck).await });
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(())
}

async fn carry_out_one(stage: &Stage, act: Act, struck: &Struck) -> Result<()> {
    let said = act.to_string();
    match act {
        Act::Kill { whom, .. } | Act::Freeze { whom, .. } | Act::Partition { whom, .. } => {
            let Some((process, replica)) = find(stage, whom).await else {
                stage.note(&format!("{said}: nobody is there"));
                return Ok(());
            };
            let Some(replica) = stage.replicas.get(replica) else { return Ok(()) };
            stage.note(&format!("{said}: {process}"));
            let owned = owned_by(stage, &process).await;
            let at = super::stage::now();
            let done = match act {
                Act::Kill { down, .. } => stage.kill(replica, down).await?,
                Act::Freeze { stopped, .. } => replica.freeze(stopped).await?,
                Act::Partition { cut, lossy, .. } => replica.partition(cut, lossy).await?,
                _ => false,
            };
            if done {
                let mut struck = struck.lock().unwrap_or_else(PoisonError::into_inner);
                struck.extend(owned.into_iter().map(|account| (at, account, process.clone())));
            }
            stage.note(&format!(
                "{said}: {process}: {}",
                if done { "over" } else { "left out, something else is under way" }
            ));
        }
        Act::Postgres { crash, down } => {
            stage.note(&said);
            let done = stage.restart_postgres(crash, down).await?;
            stage.note(&format!("{said}: {}", if done { "over" } else { "left out, it is down already" }));
        }
        Act::Fault { fault, on } => {
            stage.note(&said);
            let id = stage.simaws.add_fault(&fault).await?;
            lasts(on).await;
            stage.simaws.remove_fault(id).await?;
        }
        Act::Hand { account, drift } => {
            let Some(account) = stage.accounts.get(account) else { return Ok(()) };
            let done = timeout(Duration::from_secs(2), people::drift(account, drift)).await;
            let done = matches!(done, Ok(Ok(())));
            stage.note(&format!("{said}: {}", if done { "done" } else { "AWS did not take it" }));
        }
    }
    Ok(())
}

async fn find(stage: &Stage, whom: Whom) -> Option<(String, usize)> {
    let process = match whom {
        Whom::Owner(account) => stage.owner(account).await?,
        Whom::Replica(index) => stage.replicas.get(index)?.present()?.0,
    };
    let replica = stage.replicas.iter().position(|replica| replica.has(&process))?;
    Some((process, replica))
}

async fn owned_by(stage: &Stage, process: &str) -> Vec<String> {
    let mut owned = Vec::new();
    for (index, account) in stage.accounts.iter().enumerate() {
        if stage.owner(index).await.as_deref() == Some(process) {
            owned.push(account.id.clone());
        }
    }
    owned
}

/// Waits until every environment is Ready and Synced; else answers what is open.
async fn converged(stage: &Stage, limit: Duration) -> Result<(), String> {
    let waited = until("every environment to be Ready and Synced", limit, async || {
        for account in &stage.accounts {
            let environment = read(stage, &account.environment).await.map_err(|error| format!("{error:#}"))?;
            if !is_converged(&environment) {
                return Err(format!("{}: {}", account.environment, conditions(&environment)));
            }
        }
        Ok(())
    });
    waited.await.map_err(|error| format!("{error:#}"))
}

async fn read(stage: &Stage, environment: &str) -> Result<Value> {
    let (_, api) = stage.replicas[0].present().context("a replica is up")?;
    timeout(Duration::from_secs(5), api.environment(environment)).await?
}

async fn judged(
    stage: &Stage,
    log: &Log,
    writes: &Writes,
    open: Result<(), String>,
) -> Result<(Evidence, Vec<Violation>)> {
    let database = &stage.database;
    let mut ends = Vec::new();
    for account in &stage.accounts {
        let document = read(stage, &account.environment).await?;
        let aws = survey(account).await?;
        let name = document["spec"]["database"]["identifier"].as_str().unwrap_or_default();
        let made = aws["databases"][name]["InstanceCreateTime"].as_str().and_then(|at| at.parse().ok());
        let slots = made.map_or(0, |made| slots_between(made, super::stage::now()));
        ends.push(End { account: account.id.clone(), document, aws, slots });
    }
    // The trail is written behind.
    let written = writes.all();
    let audited = until("the audit trail to be written", Duration::from_secs(30), async || {
        let pending: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_pending")
            .fetch_one(database)
            .await
            .map_err(|error| error.to_string())?;
        if pending > 0 {
            return Err(format!("{pending} entries wait"));
        }
        record::audited(database).await.map_err(|error| format!("{error:#}"))
    })
    .await?;
    let evidence = Evidence {
        calls: log.changes.clone(),
        leases: record::leases(database).await?,
        intents: record::intents(database).await?,
        writes: written,
        revisions: record::revisions(database).await?,
        audited,
        ends,
        secrets: secrets(stage).await?,
    };
    let mut violations = checker::judge(&evidence);
    if let Err(open) = open {
        violations.push(Violation {
            rule: "in the end every environment is Ready and Synced",
            what: open,
            at: None,
            process: None,
        });
    }
    for replica in &stage.replicas {
        if let Some(process) = replica.ended_by_itself().await? {
            violations.push(Violation {
                rule: "no daemon ends by itself",
                what: process.clone(),
                at: None,
                process: Some(process),
            });
        }
    }
    Ok((evidence, violations))
}

/// How many slots of the schedule `* * * * *` lie between two times.
fn slots_between(from: Timestamp, to: Timestamp) -> usize {
    usize::try_from(to.as_second().div_euclid(60) - from.as_second().div_euclid(60)).unwrap_or(0)
}

/// Places in which a value stands that is nobody's business.
async fn secrets(stage: &Stage) -> Result<BTreeSet<String>> {
    let mut places = BTreeSet::new();
    // Plain values of the environment may stand in the spec that somebody wrote, and where specs are shown.
    let specs = ["environments", "revisions", "object_log", "changes", "requests"];
    for (what, allowed) in [(SECRET_VALUE, &[][..]), (SECRET_KEY, &[][..]), (CANARY, &specs[..])] {
        let found = record::found_in_database(&stage.database, what).await?;
        let found = found.into_iter().filter(|table| !allowed.contains(&table.as_str()));
        places.extend(found.map(|table| format!("table {table}: {what}")));
        for replica in &stage.replicas {
            for logged in replica.logs() {
                if logged.lines.all().iter().any(|line| line.contains(what)) {
                    places.insert(format!("the log of {}: {what}", logged.process));
                }
            }
            let Some((process, api)) = replica.present() else { continue };
            let group = "/apis/eventchain.io/v1";
            let mut paths = vec!["/metrics".to_owned(), "/api/v1/events".to_owned()];
            let kinds = ["environments", "revisions", "changes", "managedresources", "auditentries", "operators"];
            let kinds = kinds.iter().filter(|kind| !allowed.contains(kind));
            paths.extend(kinds.map(|kind| format!("{group}/{kind}")));
            for path in paths {
                let answer = api.get(&path).await?;
                anyhow::ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text);
                if answer.text.contains(what) {
                    places.insert(format!("{path} of {process}: {what}"));
                }
            }
        }
    }
    Ok(places)
}
