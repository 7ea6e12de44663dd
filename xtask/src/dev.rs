//! `cargo xtask dev`: the main job on this machine, with nothing to set up first.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::exec::{self, cargo, run_aloud, say};
use crate::keep::Service;
use crate::postgres::{Database, Durability};
use crate::strangers;

pub(crate) const HELP: &str = "\
Starts the daemon on a private Postgres and a simulated AWS, with an example environment that converges, and drift
that is injected and repaired before your eyes. Then it stays up, with the URLs and commands to go on with; Ctrl-C
stops it and everything that it started.

Usage: cargo xtask dev [--demo] [ARGS]

  --demo    plays that story and exits: 0 if everything converged
  ARGS      handed to `operator dev`; `cargo xtask dev -- --help` lists them

DATABASE_URL, where set, names the Postgres to use. Otherwise a private one is started and thrown away at the end,
as the simulated AWS is. EVENTCHAIN_AWS_CLI tells the daemon where the aws CLI is (installed if it is missing), so that
it can print commands that work.
";

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    // Before anything is started: from here on a Ctrl-C is a request, not an end.
    exec::interrupted();
    say("building the daemon (the first build takes some minutes: it includes the AWS SDKs)");
    // Of the whole workspace: the features are then those of `cargo xtask test`, and nothing is built twice.
    run_aloud(cargo().args(["build", "--workspace", "--bin", "operator"]))?;
    let program = built("debug", "operator")?;

    let database = Database::open(Durability::Waived)?;
    let mut daemon = Command::new(program);
    daemon.arg("dev").args(args.iter().filter(|arg| *arg != "--"));
    daemon.current_dir(crate::places::root()).env("DATABASE_URL", &database.url);
    if !args.iter().any(|arg| arg == "--demo") {
        // For the commands to go on with: a stranger's client against the simulated AWS.
        match strangers::aws_cli() {
            Ok(aws) => drop(daemon.env("EVENTCHAIN_AWS_CLI", aws)),
            Err(error) => {
                say(&format!("the aws CLI cannot be installed here ({error:#}); the daemon does not need it"));
            }
        }
    }
    say(&format!("$ {}", exec::shown(&daemon)));
    let service = Service {
        command: daemon,
        name: "the daemon".into(),
        user: None,
        stop_signal: "TERM",
        // Its own limit for a graceful stop is 25 s.
        grace: Duration::from_secs(30),
        log: None,
        remove: None,
    };
    let mut daemon = service.start()?;
    let status = daemon.wait()?;
    drop(daemon);
    drop(database);
    Ok(exec::exit_code(status))
}

/// A program of this workspace, built in a profile's directory (`debug`, `release`): ours is in one beside it.
pub(crate) fn built(profile: &str, name: &str) -> Result<PathBuf> {
    let me = std::env::current_exe().context("cannot tell where this program is")?;
    let target = me.parent().and_then(Path::parent).context("this program is in no target directory")?;
    let program = target.join(profile).join(name);
    anyhow::ensure!(program.is_file(), "{} is not there after the build", program.display());
    Ok(program)
}
