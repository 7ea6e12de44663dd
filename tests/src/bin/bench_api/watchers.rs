//! Many watchers at once: how long until each has heard of an update.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use crate::client::{Client, ENVIRONMENTS};
use crate::writes::{own, update};

/// Watchers that ask for the table that `kubectl get -w` prints.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// Updates that are timed.
const UPDATES: u64 = 20;

/// From one update to the next, at least.
const PAUSE: Duration = Duration::from_millis(250);

/// Opens so many watches, half of them of tables, and updates one environment again and again. Answers, sorted, how long
/// after the update was *sent* each watcher had read the event's whole line.
pub(crate) async fn times(address: &str, watchers: usize) -> Result<Vec<Duration>> {
    let mut writer = Client::connect(address).await?;
    let name = own(0);
    let list = writer.send(Method::GET, &format!("{ENVIRONMENTS}?limit=1"), "application/json", String::new()).await?;
    let version = serde_json::from_slice::<Value>(&list)?["metadata"]["resourceVersion"].clone();
    let version = version.as_str().context("a list has a version")?.to_owned();
    let (heard, mut hearing) = mpsc::unbounded_channel::<Instant>();
    let mut streams = JoinSet::new();
    for index in 0..watchers {
        let mut client = Client::connect(address).await?;
        let accept = if index % 2 == 0 { "application/json" } else { TABLE };
        let path = format!("{ENVIRONMENTS}?watch=true&resourceVersion={version}");
        let answer = client.begin(Method::GET, &path, ("application/json", accept), String::new()).await?;
        ensure!(answer.status().is_success(), "watcher {index}: {}", answer.status());
        let heard = heard.clone();
        streams.spawn(async move {
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                // A line may come in parts; it ends with a newline, and there is none within.
                let data = frame?.into_data().unwrap_or_default();
                for _ in 0..lines(&data) {
                    heard.send(Instant::now())?;
                }
            }
            drop(client);
            anyhow::Ok(())
        });
    }
    let mut times = Vec::new();
    let mut ticks = interval(PAUSE);
    for count in 0..UPDATES {
        ticks.tick().await;
        let sent = Instant::now();
        // None that the benchmark of writes leaves there: then nothing would be written.
        update(&mut writer, &name, 11 + count).await?;
        for _ in 0..watchers {
            let at = timeout(Duration::from_secs(10), hearing.recv()).await;
            let at = at.with_context(|| format!("update {count} did not reach everybody within 10 s"))?;
            times.push(at.context("the watchers ended")?.saturating_duration_since(sent));
        }
    }
    streams.abort_all();
    times.sort_unstable();
    Ok(times)
}

fn lines(data: &Bytes) -> usize {
    data.split(|byte| *byte == b'\n').count() - 1
}
