//! `cargo xtask ci`: everything that CI runs, in the order that fails fastest. A developer runs the same.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::exec::{self, cargo, say, succeeds};
use crate::{places, strangers, test, tidy};

pub(crate) const HELP: &str = "\
What `.ci/run` runs, in this order: rustfmt, tidy, clippy, docs, tests, dependency policy.

Usage: cargo xtask ci

rustfmt, clippy, cargo-deny and cargo-machete are used where they are installed; a missing one is named in a line.
CI_INSTALL_TOOLS=1 installs cargo-deny and cargo-machete first (minutes of compiling).
REQUIRE_ADVISORIES=1 fails where the advisory database cannot be fetched; else the last one that was fetched is used.
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
    /// The package that has it, with its version.
    package: &'static str,
    args: &'static [&'static str],
    /// A check that needs a database from outside: the command that fetches it, the check, and the check with what was
    /// fetched before.
    online: Option<[&'static [&'static str]; 3]>,
}

const TOOLS: [Tool; 2] = [
    Tool {
        name: "deny",
        package: "cargo-deny@0.20.2",
        // Duplicates are warnings, one page each; only errors are worth the space.
        args: &["deny", "--log-level", "error", "check", "bans", "licenses", "sources"],
        online: Some([
            &["deny", "fetch", "db"],
            &["deny", "check", "advisories"],
            &["deny", "check", "--disable-fetch", "advisories"],
        ]),
    },
    Tool { name: "machete", package: "cargo-machete@0.9.2", args: &["machete"], online: None },
];

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    anyhow::ensure!(args.is_empty(), "ci takes no arguments");
    exec::interrupted();

    // Known now; without this it would be said after half an hour of building.
    strangers::terraform().context("terraform")?;

    if installed("fmt") {
        exec::run_aloud(cargo().args(["fmt", "--all", "--check"]))?;
    } else {
        say("rustfmt: not installed here, formatting is not checked");
    }

    if tidy::main(&[])? != ExitCode::SUCCESS {
        return Ok(ExitCode::FAILURE);
    }

    without_sdk()?;

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
        if wanted || tool_installed(tool)? {
            check(tool)?;
        } else {
            say(&format!("{}: not installed here; `cargo xtask deny` installs and runs it", tool.package));
        }
    }

    // Last, so that the runner's closing lines close the whole run.
    test::strict()
}

/// The crates that build and test without any AWS SDK: each with its own features, as a developer builds it.
fn without_sdk() -> Result<()> {
    // `aws-lc` is the TLS of the database driver, not the SDK.
    for package in ["model", "engine", "store", "runtime", "api", "telemetry", "simaws", "kinds"] {
        let mut tree = cargo();
        tree.args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--package", package]);
        if package == "kinds" {
            tree.arg("--no-default-features");
        }
        let tree = exec::output(&mut tree)?;
        if let Some(sdk) = tree.lines().find(|line| line.starts_with("aws-") && !line.starts_with("aws-lc-")) {
            bail!("{package} depends on {sdk}: `cargo tree -p {package} -i` tells through what");
        }
    }
    // The kinds' pure half compiles alone; a compiler's check of it builds a dozen small crates.
    exec::run_aloud(cargo().args(["check", "--package", "kinds", "--no-default-features", "--lib"]))
}

pub(crate) fn deny_main(args: &[String]) -> Result<ExitCode> {
    anyhow::ensure!(args.is_empty(), "deny takes no arguments");
    for tool in &TOOLS {
        check(tool)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn check(tool: &Tool) -> Result<()> {
    if !tool_installed(tool)? {
        say(&format!("installing {} (minutes of compiling, once)", tool.package));
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", "--root"]).arg(tools()?).arg(tool.package);
        // Not among the checkout's own artifacts: its profile and lints are none of theirs.
        install.current_dir("/").env_remove("CARGO_TARGET_DIR");
        exec::run_aloud(&mut install)?;
    }
    exec::run_aloud(&mut tool_command(tool.args)?)?;
    if let Some([fetch, check, held]) = tool.online {
        if succeeds(&mut tool_command(fetch)?) {
            exec::run_aloud(&mut tool_command(check)?)?;
        } else if std::env::var("REQUIRE_ADVISORIES").is_ok_and(|value| value == "1") {
            bail!("advisories: their database cannot be fetched from here (REQUIRE_ADVISORIES=1)");
        } else if holds_advisories() {
            say("advisories: their database cannot be fetched from here; the last one that was fetched is used");
            exec::run_aloud(&mut tool_command(held)?)?;
        } else {
            say("advisories: their database cannot be fetched from here, they are not checked");
        }
    }
    Ok(())
}

/// Whether cargo-deny has fetched the database of advisories before: in a directory of its own beside cargo's.
fn holds_advisories() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let held = home.and_then(|home| std::fs::read_dir(home.join("advisory-dbs")).ok());
    held.into_iter().flatten().flatten().any(|entry| entry.path().join("crates").is_dir())
}

/// Where the tools that we install are: not among the user's own.
fn tools() -> Result<PathBuf> {
    Ok(places::cache()?.join("tools"))
}

/// `cargo …`, which finds those tools, and the user's first.
fn tool_command(args: &[&str]) -> Result<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::env::split_paths(&path).chain([tools()?.join("bin")]))?;
    let mut command = cargo();
    command.args(args).env("PATH", path);
    Ok(command)
}

fn tool_installed(tool: &Tool) -> Result<bool> {
    Ok(succeeds(&mut tool_command(&[tool.name, "--version"])?))
}

fn installed(name: &str) -> bool {
    let mut command: Command = cargo();
    succeeds(command.args([name, "--version"]))
}
