//! `cargo xtask bench`: speed and size of the release build, against the figures that the project promises.

use std::process::ExitCode;

use anyhow::Result;

use crate::exec::{self, cargo, say};
use crate::services::{Extent, Missing, Services};

pub(crate) const HELP: &str = "\
Builds the release profile and prints speed and size: AWS calls by operation, plans a second, memory, idle CPU,
seconds from drift to repair. Starts a private Postgres (or uses DATABASE_URL).

Usage: cargo xtask bench [ARGS]

  ARGS      handed to the program `bench` of the package e2e
";

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    exec::interrupted();
    // The daemon is measured as its own process, so it is built too, in one go: one set of features, one build.
    exec::run_aloud(cargo().args(["build", "--release", "--package", "operator", "--package", "simaws"]))?;
    exec::run_aloud(cargo().args(["build", "--release", "--package", "e2e", "--bin", "bench"]))?;
    let services = Services::start(Extent::Fast, Missing::Said)?;
    let mut bench = cargo();
    bench.args(["run", "--quiet", "--release", "--package", "e2e", "--bin", "bench", "--"]).args(args);
    services.describe_to(&mut bench);
    say(&format!("$ {}", exec::shown(&bench)));
    let status = exec::status(&mut bench)?;
    drop(services);
    Ok(exec::exit_code(status))
}
