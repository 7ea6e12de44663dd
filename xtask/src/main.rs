//! `cargo xtask`: the project's own chores, in one small program that compiles in seconds.
//!
//! It finds or installs what a command lacks (Postgres, a Python venv with the AWS emulators), says so, starts private
//! servers on loopback and stops them by the ids it started. It must never depend on another crate of the workspace:
//! `cargo xtask` has to work on a machine that has built nothing yet, and when the workspace does not compile.

mod bench;
mod chaos;
mod ci;
mod clients;
mod dev;
mod emulators;
mod exec;
mod fuzz;
mod image;
mod keep;
mod new_kind;
mod places;
mod postgres;
mod prometheus;
mod python;
mod services;
mod strangers;
mod system;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::exec::say;

const HELP: &str = "\
The chores of this project.

Usage: cargo xtask <COMMAND> [ARGS]

  dev [--demo] [ARGS]    the main job: the daemon on a private Postgres and a simulated AWS
  test [--fast] [ARGS]   every test; installs what the tests lack
  ci                     what `.ci/run` runs: format, lints, tidy, docs, test, dependency policy
  tidy                   the rules of this code base that no compiler checks
  deny                   cargo-deny and cargo-machete, installing them if need be
  fuzz [TARGET] [ARGS]   the fuzz targets on new inputs, for as long as is wanted
  bench [ARGS]           speed and size, release build
  chaos [ARGS]           kills, partitions and faults by a seed, and a judge of what came of it
  image [ARGS]           the daemon's image as an OCI layout, without Docker, and what is in it (SBOM)
  with -- CMD [ARGS]     run CMD with the tests' Postgres and emulators up, and their variables set
  new-kind NAME          the folder of a new AWS resource kind

`cargo xtask <COMMAND> --help` says more.
";

type Main = fn(&[String]) -> Result<ExitCode>;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let command = if args.is_empty() { String::from("help") } else { args.remove(0) };
    match run(&command, &args) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("{command}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, args: &[String]) -> Result<ExitCode> {
    if command == keep::COMMAND {
        return keep::main(args);
    }
    let (help, main): (&str, Main) = match command {
        "dev" => (dev::HELP, dev::main),
        "test" => (test::HELP, test::main),
        "ci" => (ci::HELP, ci::main),
        "deny" => (ci::DENY_HELP, ci::deny_main),
        "tidy" => (tidy::HELP, tidy::main),
        "fuzz" => (fuzz::HELP, fuzz::main),
        "bench" => (bench::HELP, bench::main),
        "chaos" => (chaos::HELP, chaos::main),
        "image" => (image::HELP, image::main),
        "with" => (services::HELP, services::main),
        "new-kind" => (new_kind::HELP, new_kind::main),
        "help" | "--help" | "-h" => {
            exec::print(HELP);
            return Ok(ExitCode::SUCCESS);
        }
        _ => bail!("no such command\n\n{HELP}"),
    };
    // Only before `--`: what follows it belongs to the program that is run.
    if args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--help" || arg == "-h") {
        exec::print(help);
        return Ok(ExitCode::SUCCESS);
    }
    main(args)
}
