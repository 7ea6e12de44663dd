//! schemathesis makes requests up from the OpenAPI document, right ones and wrong ones, and compares the answers with it:
//! never a 5xx, and no status, type or shape that the document does not have. The daemon is the real one, at work on a
//! simulated AWS meanwhile.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::programs;
use e2e::world::World;

/// The same requests each time.
const SEED: &str = "7";
/// Requests made up for each operation and phase.
const EXAMPLES: &str = "10";
/// A run takes about a minute.
const LIMIT: Duration = Duration::from_secs(600);
/// A watch or a wait may be made up too: they end soon. So does every answer of a server that is well.
const CONFIGURATION: &str = r#"
[parameters]
"query.timeoutSeconds" = 1
"query.watch" = false
"#;
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_as_the_openapi_document_says() -> Result<()> {
    let Some(program) = programs::provided("schemathesis", "EVENTCHAIN_SCHEMATHESIS")? else { return Ok(()) };
    let world = World::new().await?;
    let daemon = world.setup()?.quiet().start("operator").await?;
    world.converged(daemon.api()).await?;

    let home = tempfile::tempdir()?;
    std::fs::write(home.path().join("schemathesis.toml"), CONFIGURATION)?;
    let run = tokio::process::Command::new(program)
        .args(["run", &format!("{}/openapi.json", daemon.api().url())])
        .args(["--seed", SEED, "--max-examples", EXAMPLES, "--no-shrink", "--generation-database", "none"])
        .args(["--phases", "examples,coverage,fuzzing", "--checks", CHECKS, "--continue-on-failure"])
        .args(["--suppress-health-check", "all", "--request-timeout", "30", "--warnings", "off", "--no-color"])
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, run).await.context("schemathesis does not end")??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    daemon.stop(&[]).await
}
