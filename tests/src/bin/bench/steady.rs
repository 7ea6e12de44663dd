//! The steady state: nothing drifts, nothing is declared anew. What does the daemon call, write, hold and burn?

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::daemon::Daemon;
use e2e::figures::Figure;
use e2e::machine;
use e2e::say::print;
use e2e::wait::until;
use testkit::postgres::TestDb;
use tokio::time::{Instant, interval};

use crate::Args;
use crate::fewest::fewest;
use e2e::simaws_process::SimawsProcess;

/// The daemon's own default.
const SLOW: Duration = Duration::from_secs(120);
/// Tables that a steady state may write: freshness beside the lease, and the lease itself.
const FRESHNESS: [&str; 2] = ["sweeps", "leases"];

/// Rows written so far, by table.
async fn rows(database: &TestDb) -> Result<BTreeMap<String, i64>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT relname::text, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables ORDER BY relname",
    )
    .fetch_all(&database.pool)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Sweeps so far, by kind.
async fn sweeps(daemon: &Daemon) -> Result<BTreeMap<&'static str, f64>> {
    let mut all = BTreeMap::new();
    for kind in fewest(1).iter().filter_map(|fewest| fewest.kind) {
        let count = daemon.api().metric("eventchain_sweeps_total", &format!("kind=\"{kind}\"")).await?;
        all.insert(kind, count);
    }
    Ok(all)
}

/// Waits until a whole slow period has brought no new version of any object.
async fn settle(database: &TestDb) -> Result<()> {
    let version = async || -> Result<i64, String> {
        let read = sqlx::query_scalar("SELECT resource_version FROM counter").fetch_one(&database.pool).await;
        read.map_err(|error| error.to_string())
    };
    let mut last = (version().await.map_err(anyhow::Error::msg)?, Instant::now());
    until("a slow period without news", 5 * SLOW, async || {
        let now = version().await?;
        if now != last.0 {
            last = (now, Instant::now());
        }
        if last.1.elapsed() > SLOW { Ok(()) } else { Err(format!("version {now}")) }
    })
    .await
}

/// Watches the steady state.
pub(crate) async fn measure(
    args: &Args,
    aws: &SimawsProcess,
    daemon: &Daemon,
    database: &TestDb,
) -> Result<Vec<Figure>> {
    print("waiting for the steady state");
    settle(database).await?;
    let pid = daemon.pid().context("the daemon runs")?;
    let watched = Duration::from_secs_f64(args.minutes * 60.0);
    print(&format!("watching it for {:.0} s", watched.as_secs_f64()));
    aws.reset_calls().await?;
    let (rows_before, sweeps_before, cpu_before) =
        (rows(database).await?, sweeps(daemon).await?, machine::cpu_seconds(pid)?);
    let start = Instant::now();
    let mut ticks = interval(Duration::from_secs(5));
    let mut rss: f64 = 0.0;
    while start.elapsed() < watched {
        ticks.tick().await;
        rss = rss.max(machine::rss_mib(pid)?);
    }
    let elapsed = start.elapsed().as_secs_f64();
    // Before anything is asked of it: answering is no idleness.
    let cpu = 100.0 * (machine::cpu_seconds(pid)? - cpu_before) / elapsed;
    let calls = aws.calls("").await?;
    let sweeps_after = sweeps(daemon).await?;
    let rows_after = rows(database).await?;

    let mut figures = calls_against_fewest(args, &calls, &sweeps_before, &sweeps_after, elapsed);
    figures.extend(written(&rows_before, &rows_after));
    figures.push(Figure {
        what: "memory (VmRSS, the most seen in the steady state)".to_owned(),
        is: format!("{rss:.1} MiB"),
        promised: "< 150 MiB".to_owned(),
        kept: rss < 150.0,
    });
    print(&format!("memory at its peak, the making included: {:.1} MiB", machine::peak_mib(pid)?));
    figures.push(Figure {
        what: "idle CPU, of one core".to_owned(),
        is: format!("{cpu:.2} %"),
        promised: "< 2 %".to_owned(),
        kept: cpu < 2.0,
    });
    Ok(figures)
}

fn calls_against_fewest(
    args: &Args,
    calls: &serde_json::Value,
    before: &BTreeMap<&'static str, f64>,
    after: &BTreeMap<&'static str, f64>,
    elapsed: f64,
) -> Vec<Figure> {
    let counts: BTreeMap<String, f64> = serde_json::from_value(calls["byOperation"].clone()).unwrap_or_default();
    let slow_periods = elapsed / SLOW.as_secs_f64();
    let table = fewest(args.environments);
    let (mut is, mut should) = (0.0, 0.0);
    print("");
    print(&format!("{:<56} {:>8} {:>8} {:>10} {:>8}", "AWS calls", "calls", "sweeps", "a sweep", "fewest"));
    for fewest in &table {
        let called = counts.get(fewest.operation).copied().unwrap_or_default();
        let swept = fewest.kind.map_or(slow_periods, |kind| {
            after.get(kind).copied().unwrap_or_default() - before.get(kind).copied().unwrap_or_default()
        });
        let a_sweep = if swept > 0.0 { called / swept } else { 0.0 };
        print(&format!("{:<56} {called:>8} {swept:>8.1} {a_sweep:>10.2} {:>8}", fewest.operation, fewest.calls));
        is += a_sweep;
        should += fewest.calls as f64;
    }
    for (operation, called) in counts.iter().filter(|(name, _)| table.iter().all(|fewest| fewest.operation != *name)) {
        let a_period = called / slow_periods;
        print(&format!("{operation:<56} {called:>8} {slow_periods:>8.1} {a_period:>10.2} {:>8}", 0));
        is += a_period;
    }
    let mutating = calls["mutating"].as_u64().unwrap_or(u64::MAX);
    let ratio = is / should;
    vec![
        Figure {
            what: format!("AWS calls of a whole no-op cycle, {} environments", args.environments),
            is: format!("{is:.0} ({ratio:.2} ×)"),
            promised: format!("<= 1.2 × {should:.0}"),
            kept: ratio <= 1.2 && is > 0.0,
        },
        Figure {
            what: "mutating AWS calls meanwhile".to_owned(),
            is: mutating.to_string(),
            promised: "0".to_owned(),
            kept: mutating == 0,
        },
    ]
}

fn written(before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> Vec<Figure> {
    let changed: BTreeMap<&String, i64> = after
        .iter()
        .map(|(table, rows)| (table, rows - before.get(table).copied().unwrap_or_default()))
        .filter(|(_, rows)| *rows != 0)
        .collect();
    print("");
    print(&format!("rows written to Postgres by table: {changed:?}"));
    let other: i64 =
        changed.iter().filter(|(table, _)| !FRESHNESS.contains(&table.as_str())).map(|(_, rows)| rows).sum();
    vec![Figure {
        what: "rows written besides freshness and leases".to_owned(),
        is: other.to_string(),
        promised: "0".to_owned(),
        kept: other == 0,
    }]
}
