//! `cargo xtask chaos`: does to an installation what may happen to one, and judges whether every promise was kept.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::dev;
use crate::exec::{self, cargo, say};
use crate::postgres::{Database, Durability};
use crate::services::{Extent, Missing, Services};

pub(crate) const HELP: &str = "\
Chaos by a seed: real daemons on a real Postgres and a simulated AWS are killed, stopped, cut off from the database;
Postgres stops and crashes; AWS throttles, fails, loses answers and shows what is old; people write meanwhile, and
somebody changes AWS by hand. A judge who knows nothing of the daemons' code then says whether every promise was kept:
nothing made twice, nothing deleted unasked, no write by a stale owner, no accepted write lost, no secret anywhere, and
in the end everything converged. Fails when one was not. docs/chaos.md says more.

Usage: cargo xtask chaos [--seed N] [--minutes M] [--replicas 2|3] [ARGS]
       cargo xtask chaos --failover ROUNDS
       cargo xtask chaos --in-process [--release] [--seeds A..B] [--show]

  --failover  times how long it takes until another replica acts when the owner of an account is killed, stopped or
              cut off from Postgres, and looks that whoever comes back writes nothing
  --in-process  many seeds in one process: the daemon's own sweeps and passes, one after another as the seed says, on a
              simulated AWS with a clock of its own; crashes and take-overs in the middle of any call. The same seed
              makes the same calls. --release takes minutes to build, and then a fifth of the time for each seed

  ARGS      handed to the program `chaos` of the package e2e; `cargo xtask chaos -- --help` lists them
";

/// The daemon and the simulated AWS are processes of their own.
const PROGRAMS: [&str; 3] = ["operator", "simaws", "chaos"];

const IN_PROCESS: &str = "--in-process";
const RELEASE: &str = "--release";

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    exec::interrupted();
    if args.iter().any(|arg| arg == IN_PROCESS) {
        return in_process(args);
    }
    // In one go and of the whole workspace: the features are then those of `cargo xtask test`.
    let mut build = cargo();
    build.args(["build", "--workspace"]);
    for program in PROGRAMS {
        build.args(["--bin", program]);
    }
    exec::run_aloud(&mut build)?;
    let [operator, simaws, chaos] = PROGRAMS.map(|program| dev::built("debug", program));

    // It starts a Postgres of its own, to stop and crash it; this finds or installs the programs.
    let services = Services::start(Extent::Fast, Missing::Said)?;
    let mut command = Command::new(chaos?);
    command.args(args.iter().filter(|arg| *arg != "--")).current_dir(crate::places::root());
    command.env("EVENTCHAIN_OPERATOR_BIN", operator?).env("EVENTCHAIN_SIMAWS_BIN", simaws?);
    services.describe_to(&mut command);
    say(&format!("$ {}", exec::shown(&command)));
    let status = exec::status(&mut command)?;
    drop(services);
    Ok(exec::exit_code(status))
}

/// One program is all there is to it.
fn in_process(args: &[String]) -> Result<ExitCode> {
    let release = args.iter().any(|arg| arg == RELEASE);
    let mut build = cargo();
    build.args(["build", "--workspace", "--bin", "seeds"]);
    if release {
        build.arg(RELEASE);
    }
    exec::run_aloud(&mut build)?;
    let database = Database::open(Durability::Waived)?;
    let mut seeds = Command::new(dev::built(if release { "release" } else { "debug" }, "seeds")?);
    seeds.args(args.iter().filter(|arg| ![IN_PROCESS, RELEASE, "--"].contains(&arg.as_str())));
    seeds.current_dir(crate::places::root()).env("EVENTCHAIN_TEST_DATABASE_URL", &database.url);
    say(&format!("$ {}", exec::shown(&seeds)));
    let status = exec::status(&mut seeds)?;
    drop(database);
    Ok(exec::exit_code(status))
}
