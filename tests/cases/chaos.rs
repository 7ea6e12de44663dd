//! A short run of chaos with a fixed seed: no promise is broken. `cargo xtask chaos` runs longer ones.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::chaos::run::{Settings, run};
use e2e::chaos::schedule::Shape;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_keep_every_promise_through_half_a_minute_of_chaos() -> Result<()> {
    let shape =
        Shape { seed: 1, length: Duration::from_secs(30), replicas: 2, accounts: 1, lease: Duration::from_secs(3) };
    let settings = Settings { shape, people: 3, pause: (100, 900), converges: Duration::from_secs(120) };
    let report = run(&settings).await?;
    let kept = report.print();
    ensure!(kept, "a promise was broken: see above, and run `cargo xtask chaos --seed 1`");
    Ok(())
}
