//! Reading: single environments at a given rate, and a long list by pages.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::client::{Client, ENVIRONMENTS};

/// Connections that share the requests.
const CONNECTIONS: usize = 32;

/// Sends GETs at the rate, whether earlier ones were answered or not, each timed from when it was due: a server that stops
/// for a moment is charged for all that came due meanwhile. Answers the times, sorted.
pub(crate) async fn times(address: &str, names: &[String], rate: u32, time: Duration) -> Result<Vec<Duration>> {
    let (due, waiting) = mpsc::unbounded_channel::<(usize, Instant)>();
    let waiting = Arc::new(Mutex::new(waiting));
    let mut readers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(address).await?;
        let (waiting, names) = (Arc::clone(&waiting), names.to_owned());
        readers.spawn(async move {
            let mut times = Vec::new();
            loop {
                let next = waiting.lock().await.recv().await;
                let Some((index, due)) = next else { return anyhow::Ok(times) };
                let path = format!("{ENVIRONMENTS}/{}", names[index % names.len()]);
                let body = client.send(Method::GET, &path, "application/json", String::new()).await?;
                times.push(due.elapsed());
                ensure!(body.len() > 2000, "an environment has {} bytes", body.len());
            }
        });
    }
    // On a thread of its own: the runtime's timers go by whole milliseconds, which is the distance of two requests.
    let total = (f64::from(rate) * time.as_secs_f64()) as u32;
    let pacing = std::thread::spawn(move || {
        let start = Instant::now();
        for index in 0..total {
            let at = start + Duration::from_secs(1) * index / rate;
            let mut early = at.saturating_duration_since(Instant::now());
            while !early.is_zero() {
                std::thread::park_timeout(early);
                early = at.saturating_duration_since(Instant::now());
            }
            if due.send((index as usize, at)).is_err() {
                return;
            }
        }
    });
    let mut all = Vec::new();
    while let Some(ended) = readers.join_next().await {
        all.extend(ended.context("a reader")??);
    }
    let _ = pacing.join();
    all.sort_unstable();
    Ok(all)
}

/// So much of sorted times is below the answer.
pub(crate) fn quantile(sorted: &[Duration], part: f64) -> Duration {
    let index = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(index.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// A list that was read by pages.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) items: usize,
    pub(crate) pages: Vec<Duration>,
    /// Transactions of the API that were held open between two pages.
    pub(crate) open_between: usize,
    /// The longest that any transaction of the API had been open when it was looked at.
    pub(crate) longest: Duration,
}

/// Pages through all environments, looking at the server's sessions meanwhile.
pub(crate) async fn list(address: &str, pool: &PgPool, limit: usize) -> Result<Listed> {
    let mut client = Client::connect(address).await?;
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    let looking = tokio::spawn(watch_transactions(pool.clone(), Arc::clone(&longest)));
    let mut listed = Listed { items: 0, pages: Vec::new(), open_between: 0, longest: Duration::ZERO };
    let mut token = String::new();
    loop {
        let path = format!("{ENVIRONMENTS}?limit={limit}{token}");
        let began = Instant::now();
        let answer = client.begin(Method::GET, &path, ("application/json", "application/json"), String::new()).await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        let body = answer.into_body().collect().await?.to_bytes();
        listed.pages.push(began.elapsed());
        let page: Value = serde_json::from_slice(&body)?;
        listed.items += page["items"].as_array().map_or(0, Vec::len);
        listed.open_between += held(pool).await?;
        match page["metadata"]["continue"].as_str() {
            Some(next) if !next.is_empty() => token = format!("&continue={next}"),
            _ => break,
        }
    }
    looking.abort();
    listed.longest = *longest.lock().await;
    listed.pages.sort_unstable();
    Ok(listed)
}

/// How many transactions of the API wait for somebody to go on with them. Two looks, since a transaction of several
/// statements, somebody else's (the feed's of the watches, say), waits for the API itself between any two.
async fn held(pool: &PgPool) -> Result<usize> {
    let before = waiting(pool).await?;
    if before.is_empty() {
        return Ok(0);
    }
    let mut later = interval(Duration::from_millis(50));
    later.tick().await;
    later.tick().await;
    Ok(waiting(pool).await?.intersection(&before).count())
}

/// The API's transactions in which nothing goes on: process and begin.
async fn waiting(pool: &PgPool) -> Result<BTreeSet<(i32, String)>> {
    let rows = sqlx::query_as(
        "SELECT pid, xact_start::text FROM pg_stat_activity
         WHERE application_name = 'eventchain-operator' AND datname = current_database()
           AND state LIKE 'idle in transaction%' AND xact_start IS NOT NULL",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().collect())
}

/// The age of the API's oldest transaction in seconds.
async fn oldest(pool: &PgPool) -> Result<f64> {
    Ok(sqlx::query_scalar(
        "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
         FROM pg_stat_activity
         WHERE application_name = 'eventchain-operator' AND datname = current_database() AND xact_start IS NOT NULL",
    )
    .fetch_one(pool)
    .await?)
}

/// Remembers the age of the oldest transaction seen. Never ends by itself but for errors.
async fn watch_transactions(pool: PgPool, longest: Arc<Mutex<Duration>>) -> Result<()> {
    let mut ticks = interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let age_s = oldest(&pool).await?;
        let mut longest = longest.lock().await;
        *longest = longest.max(Duration::from_secs_f64(age_s));
    }
}
