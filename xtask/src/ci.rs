//! `cargo xtask ci`: everything that CI runs, in the order that fails fastest. A developer runs the same.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::exec::{self, cargo, say, succeeds};
use crate::{test, tidy};

pub(crate) const HELP: &str = "\
What `.ci/run` runs, in this order: rustfmt, tidy, clippy, docs, tests, dependency policy.

Usage: cargo xtask ci

rustfmt, clippy, cargo-deny and cargo-machete are used where they are installed; a missing one is named in a line.
CI_INSTALL_TOOLS=1 installs cargo-deny and cargo-machete first (minutes of compiling).
The aws CLI, terraform and the emulators must be there: a test that needs one fails instead of skipping itself.
";

pub(crate) const DENY_HELP: &str = "\
Checks the dependencies: advisories, licences, sources, duplicates (cargo-deny, deny.toml); unused ones (cargo-machete).
Installs the two tools if they are missing.

Usage: cargo xtask deny
";

/// One check of the dependency policy.
struct Tool {
    /// `cargo NAME`.
    name: &'static str,
    /// The package that has it.
    package: &'static str,
    args: &'static [&'static str],
    /// A check that needs a database from outside, after the command that fetches it.
    online: Option<[&'static [&'static str]; 2]>,
}

const TOOLS: [Tool; 2] = [
    Tool {
        name: "deny",
        package: "cargo-deny",
        args: &["deny", "check", "bans", "licenses", "sources"],
        online: Some([&["deny", "fetch", "db"], &["deny", "check", "--disable-fetch", "advisories"]]),
    },
    Tool { name: "machete", package: "cargo-machete", args: &["machete"], online: None },
];

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    anyhow::ensure!(args.is_empty(), "ci takes no arguments");
    exec::interrupted();

    if installed("fmt") {
        exec::run_aloud(cargo().args(["fmt", "--all", "--check"]))?;
    } else {
        say("rustfmt: not installed here, formatting is not checked");
    }

    if tidy::main(&[])? != ExitCode::SUCCESS {
        return Ok(ExitCode::FAILURE);
    }

    if installed("clippy") {
        exec::run_aloud(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    } else {
        say("clippy: not installed here, lints are not checked");
    }

    let mut docs = cargo();
    docs.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    exec::run_aloud(docs.env("RUSTDOCFLAGS", "-D warnings"))?;

    let wanted = std::env::var("CI_INSTALL_TOOLS").is_ok_and(|value| value == "1");
    for tool in &TOOLS {
        if wanted || installed(tool.name) {
            check(tool)?;
        } else {
            say(&format!("{}: not installed here; `cargo xtask deny` installs and runs it", tool.package));
        }
    }

    // Last, so that the runner's closing lines close the whole run.
    test::strict()
}

pub(crate) fn deny_main(args: &[String]) -> Result<ExitCode> {
    anyhow::ensure!(args.is_empty(), "deny takes no arguments");
    for tool in &TOOLS {
        check(tool)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn check(tool: &Tool) -> Result<()> {
    if !installed(tool.name) {
        exec::run_aloud(cargo().args(["install", "--locked", tool.package]))?;
    }
    exec::run_aloud(cargo().args(tool.args))?;
    if let Some([fetch, check]) = tool.online {
        if succeeds(cargo().args(fetch)) {
            exec::run_aloud(cargo().args(check))?;
        } else {
            say("advisories: their database cannot be fetched from here, they are not checked");
        }
    }
    Ok(())
}

fn installed(name: &str) -> bool {
    let mut command: Command = cargo();
    succeeds(command.args([name, "--version"]))
}
