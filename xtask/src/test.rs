//! `cargo xtask test`: every test of the workspace, with what they need around them.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::dev;
use crate::exec::{self, cargo, say, succeeds};
use crate::services::{Extent, Missing, Services};

pub(crate) const HELP: &str = "\
Runs the tests. Installs what they lack, starts a private Postgres and the emulators, and stops them at the end.

Usage: cargo xtask test [--fast] [ARGS]

  --fast    no emulators, no end-to-end package, no doctests
  ARGS      handed to the runner (`cargo nextest run` where it is installed, else `cargo test`), for instance
            `-p store` or a part of a test's name; then doctests are left out

DATABASE_URL, where set, names the Postgres to use; its user must be allowed to create databases.
The variables that the tests see are listed by `cargo xtask with --help`.
";

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    run(args, Missing::from_environment())
}

/// Everything, and no test may skip itself.
pub(crate) fn strict() -> Result<ExitCode> {
    run(&[], Missing::Fails)
}

fn run(args: &[String], missing: Missing) -> Result<ExitCode> {
    let fast = args.iter().any(|arg| arg == "--fast");
    let filter: Vec<String> = args.iter().filter(|arg| *arg != "--fast").cloned().collect();
    let services = Services::start(if fast { Extent::Fast } else { Extent::All }, missing)?;
    let result = all(&services, fast, &filter);
    drop(services);
    result
}

fn all(services: &Services, fast: bool, filter: &[String]) -> Result<ExitCode> {
    let mut tests = runner(nextest(), fast, filter);
    services.describe_to(&mut tests);
    if needs_daemon(fast, filter) {
        // cargo gives a test the programs of its own package only.
        exec::run_aloud(cargo().args(["build", "--workspace", "--bin", "operator", "--bin", "simaws"]))?;
        tests.env("EVENTCHAIN_OPERATOR_BIN", dev::built("debug", "operator")?);
        tests.env("EVENTCHAIN_SIMAWS_BIN", dev::built("debug", "simaws")?);
    }
    say(&format!("$ {}", exec::shown(&tests)));
    let status = exec::status(&mut tests)?;
    if !status.success() || fast || !filter.is_empty() {
        return Ok(exec::exit_code(status));
    }
    // nextest runs no doctests.
    let mut doctests = cargo();
    doctests.args(["test", "--doc", "--workspace", "--quiet"]);
    services.describe_to(&mut doctests);
    say(&format!("$ {}", exec::shown(&doctests)));
    Ok(exec::exit_code(exec::status(&mut doctests)?))
}

fn names_package(filter: &[String]) -> bool {
    let flags = ["-p", "--package", "--workspace", "--manifest-path"];
    filter.iter().any(|arg| flags.iter().any(|flag| arg.starts_with(flag)))
}

/// Whether the tests to run start the daemon as a process of its own.
fn needs_daemon(fast: bool, filter: &[String]) -> bool {
    if names_package(filter) { filter.iter().any(|arg| arg.ends_with("e2e")) } else { !fast }
}

fn nextest() -> bool {
    succeeds(cargo().args(["nextest", "--version"]))
}

fn runner(nextest: bool, fast: bool, filter: &[String]) -> Command {
    let mut command = cargo();
    if nextest {
        command.args(["nextest", "run"]);
        if std::env::var_os("CI").is_some() {
            command.args(["--profile", "ci"]);
        }
    } else {
        // `--tests` leaves out the doctests, which have a run of their own.
        command.args(["test", "--tests", "--no-fail-fast"]);
    }
    if !names_package(filter) {
        command.arg("--workspace");
        if fast {
            command.args(["--exclude", "e2e"]);
        }
    }
    command.args(filter);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(nextest: bool, fast: bool, filter: &[&str]) -> String {
        let filter: Vec<String> = filter.iter().map(|arg| (*arg).to_owned()).collect();
        let command = runner(nextest, fast, &filter);
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        args.join(" ").replace(" --profile ci", "")
    }

    #[test]
    fn everything_is_tested_unless_a_package_is_named() {
        assert_eq!(words(true, false, &[]), "nextest run --workspace");
        assert_eq!(words(true, false, &["lease"]), "nextest run --workspace lease");
        assert_eq!(words(true, false, &["-p", "model"]), "nextest run -p model");
        assert_eq!(words(false, false, &["--package=model"]), "test --tests --no-fail-fast --package=model");
    }

    #[test]
    fn the_daemon_is_built_only_for_tests_that_start_it() {
        let needs = |fast, words: &str| {
            let filter: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            needs_daemon(fast, &filter)
        };
        assert!(needs(false, "") && needs(false, "lease") && needs(false, "-p e2e") && needs(true, "--package=e2e"));
        assert!(!needs(true, "") && !needs(false, "-p model") && !needs(true, "lease"));
    }

    #[test]
    fn fast_leaves_out_the_end_to_end_package() {
        assert_eq!(words(true, true, &[]), "nextest run --workspace --exclude e2e");
    }
}
