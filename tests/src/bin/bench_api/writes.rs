//! Durable creates and updates through the API: so many clients at once, each sending its next request when the last was
//! answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use serde_json::{Value, json};
use testkit::fixtures::named;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Client, ENVIRONMENTS};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// A new environment, with its revision and claims.
    Create,
    /// Another task count for one, with its revision and change record.
    Update,
}

/// The example environment under a name of its own.
pub(crate) fn document(name: &str) -> Value {
    let balancer =
        format!("arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/{name}/50dc6c495c0c9188");
    named(name, &balancer)
}

/// Creates one environment.
pub(crate) async fn create(client: &mut Client, document: &Value) -> Result<()> {
    client.send(Method::POST, ENVIRONMENTS, "application/json", document.to_string()).await.map(drop)
}

/// Another task count for one of the services.
pub(crate) async fn update(client: &mut Client, name: &str, count: u64) -> Result<()> {
    let patch = json!({ "spec": { "services": { "event-service": { "desiredCount": count } } } });
    let path = format!("{ENVIRONMENTS}/{name}");
    client.send(Method::PATCH, &path, "application/merge-patch+json", patch.to_string()).await.map(drop)
}

/// The environment that a client updates.
pub(crate) fn own(client: usize) -> String {
    format!("own-{client}")
}

/// Writes for so long; answers writes a second.
pub(crate) async fn rate(address: &str, write: Write, clients: usize, time: Duration, round: &str) -> Result<f64> {
    let done = Arc::new(AtomicU64::new(0));
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Client::connect(address).await?);
    }
    let start = Instant::now();
    let mut writers = JoinSet::new();
    for (index, mut client) in connections.into_iter().enumerate() {
        let (done, round) = (Arc::clone(&done), round.to_owned());
        writers.spawn(async move {
            let mut count = 0;
            while start.elapsed() < time {
                count += 1;
                match write {
                    Write::Create => create(&mut client, &document(&format!("{round}-{index}-{count}"))).await?,
                    // Never the count that it has: then nothing would be written.
                    Write::Update => update(&mut client, &own(index), 1 + count % 9).await?,
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.context("a writer")??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}
