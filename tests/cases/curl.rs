//! The curl lines of the README work as printed: they are read from there and run by a shell with the real curl.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::hand;
use e2e::programs;
use e2e::wait::until;
use e2e::world::{CONVERGES, World};

/// The first block of code after a heading.
fn block<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let after = text.split(heading).nth(1)?;
    let code = after.split("```").nth(1)?;
    Some(code.trim_start_matches("sh").trim_start_matches('\n'))
}

/// Its commands: lines, joined where a quotation goes on.
fn commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut open = false;
    for line in block.lines() {
        if open {
            if let Some(last) = commands.last_mut() {
                last.push('\n');
                last.push_str(line);
            }
        } else if line.starts_with("curl") {
            commands.push(line.to_owned());
        }
        if open || line.starts_with("curl") {
            open ^= line.matches('\'').count() % 2 == 1;
        }
    }
    commands
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_curl_lines_of_the_readme_work_as_printed() -> Result<()> {
    if programs::on_path("curl")?.is_none() {
        return Ok(());
    }
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))?;
    let commands = commands(block(&readme, "## With curl").context("the README has a block of curl lines")?);
    ensure!(commands.len() >= 7, "{commands:#?}");

    let world = World::new().await?;
    let daemon = world.setup()?.start("operator").await?;
    let scratch = tempfile::tempdir()?;
    std::fs::write(scratch.path().join("prod.yaml"), serde_saphyr::to_string(&world.document())?)?;
    for (number, command) in commands.iter().enumerate() {
        if number == 1 {
            daemon.api().converged("prod", CONVERGES).await?;
        }
        // `--fail-with-body` turns an HTTP error into an exit status; the words are the README's.
        let script = format!("curl() {{ command curl -sS --fail-with-body \"$@\"; }}\n{command}\n");
        let output = tokio::process::Command::new("/bin/sh")
            .args(["-c", &script])
            .env("URL", daemon.api().url())
            .current_dir(scratch.path())
            .output()
            .await?;
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{command}\n{said}\n{told}");
        let json: serde_json::Value =
            serde_json::from_str(&said).with_context(|| format!("{command}\nno JSON: {said}"))?;
        ensure!(json.is_object(), "{command}\n{said}");
        if command.contains("/changes") {
            ensure!(said.contains("desiredCount"), "a change answers with its plan: {said}");
        }
        if command.contains("/plan") {
            ensure!(said.contains("multiAz"), "a plan names the field: {said}");
        }
    }
    until("the change to be applied", CONVERGES, async || {
        match hand::count(&world.sim, "eventchain-event-service").await {
            Ok(4) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await?;
    ensure!(hand::database(&world.sim).await.contains("<MultiAZ>true<"), "a plan changes nothing");
    daemon.stop(&[]).await
}

#[test]
fn a_quotation_over_two_lines_is_one_command() {
    let text = "# With\n```\nURL=x\ncurl a\n\n# why\ncurl -d '\n  {}' b   # c\n```\n";
    let found = commands(block(text, "# With").unwrap());
    assert_eq!(found, ["curl a", "curl -d '\n  {}' b   # c"]);
}
