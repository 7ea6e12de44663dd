//! `cargo xtask bench`: speed and size of the release build, against the figures that the project promises.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::dev;
use crate::exec::{self, cargo, say};
use crate::postgres::{Database, Durability};
use crate::services::{Extent, Missing, Services};

pub(crate) const HELP: &str = "\
Builds the release profile and prints speed and size: AWS calls by operation, plans a second, memory, idle CPU,
seconds from drift to repair. Starts a private Postgres (or uses DATABASE_URL).

Usage: cargo xtask bench [ARGS]
       cargo xtask bench api [ARGS]

  api       the API alone: durable writes beside pgbench with the same rows, GETs at a given rate, many watchers, a long
            list; on a private Postgres that loses nothing

  ARGS      handed to the program `bench` of the package e2e, which finds the daemon and the simulated AWS, release
            builds too, by EVENTCHAIN_OPERATOR_BIN and EVENTCHAIN_SIMAWS_BIN
";

/// What is measured, and what measures it. The daemon and the simulated AWS are processes of their own.
const PROGRAMS: [&str; 3] = ["operator", "simaws", "bench"];

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    exec::interrupted();
    if let [api, rest @ ..] = args
        && api == "api"
    {
        return of_the_api(rest);
    }
    // In one go and of the whole workspace: one set of features, so that the AWS SDKs are built once.
    let mut build = cargo();
    build.args(["build", "--release", "--workspace"]);
    for program in PROGRAMS {
        build.args(["--bin", program]);
    }
    exec::run_aloud(&mut build)?;
    let [operator, simaws, bench] = PROGRAMS.map(|program| dev::built("release", program));

    let services = Services::start(Extent::Fast, Missing::Said)?;
    let mut bench = Command::new(bench?);
    bench.args(args).current_dir(crate::places::root());
    bench.env("EVENTCHAIN_OPERATOR_BIN", operator?).env("EVENTCHAIN_SIMAWS_BIN", simaws?);
    services.describe_to(&mut bench);
    say(&format!("$ {}", exec::shown(&bench)));
    let status = exec::status(&mut bench)?;
    drop(services);
    Ok(exec::exit_code(status))
}

/// The API's speed. Its program needs no AWS SDK, and so is built without them.
fn of_the_api(args: &[String]) -> Result<ExitCode> {
    let mut build = cargo();
    build.args(["build", "--release", "-p", "e2e", "--features", "api-bench", "--bin", "bench-api"]);
    exec::run_aloud(&mut build)?;
    let database = Database::open(Durability::Kept)?;
    let mut bench = Command::new(dev::built("release", "bench-api")?);
    bench.args(args).current_dir(crate::places::root()).env("EVENTCHAIN_TEST_DATABASE_URL", &database.url);
    if let Some(pgbench) = database.program("pgbench") {
        bench.env("EVENTCHAIN_PGBENCH", pgbench);
    }
    say(&format!("$ {}", exec::shown(&bench)));
    let status = exec::status(&mut bench)?;
    drop(database);
    Ok(exec::exit_code(status))
}
