//! The Python client `kubernetes`: its custom objects, its watches, its dynamic client, its typed events.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use testkit::fixtures::patched;
use tokio::process::Command;
use tokio::time::timeout;

use super::super::support::{ENVIRONMENTS, small};
use super::server::Server;
use super::tool::tool;

/// Its rows are in a file of its own language.
const ROWS: &str = include_str!("python_rows.py");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_does_all_that_it_can() {
    let Some(python) = tool("EVENTCHAIN_PYTHON_CLIENT") else { return };
    let server = Server::start().await;
    let document = patched(small("alpha"), &json!({ "metadata": { "labels": { "team": "x" } } }));
    server.api.post(ENVIRONMENTS, &document).await.expect(201);
    server.ready("alpha").await;
    server.happened("alpha", "Painted", "the fence is green").await;
    let run = Command::new(python)
        .args(["-W", "error::DeprecationWarning:__main__", "-c", ROWS, &server.url()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(100), run).await.expect("it ends").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).ends_with("all rows pass\n"), "{}", text(&output.stdout));
}
