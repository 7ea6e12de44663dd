//! `cargo xtask tidy`: the rules of this code base that no compiler checks, each with the reason that it prints.
//!
//! Rules are pure functions from a file to problems, so that each is tested on a few lines of text. This must not run
//! a compiler: it answers in a second.

mod allow;
mod claims;
mod kinds;
mod layers;
mod reasons;
mod rules;
mod runbook;
mod source;
mod words;

use std::process::{Command, ExitCode};
use std::{fmt, fs};

use anyhow::{Context as _, Result};

use crate::exec::{output, print, say};
use crate::places;
use source::Source;

pub(crate) const HELP: &str = "\
Checks what no compiler checks: module docs, file size, purity of planning code, where aws_sdk_* may be imported, which
crate may depend on which, the files of each kind, forbidden words, no ignored test, no sleeping test, every reason of
status and events explained in docs/conditions.md, an entry in docs/runbook.md for each reason and each alert, the tests
that docs/security.md names.

Usage: cargo xtask tidy
";

/// Something to put right, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    path: String,
    /// From 1; 0 speaks of the whole file.
    line: usize,
    text: String,
    severity: Severity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// Said, no more.
    Warning,
    /// The command fails.
    Error,
}

impl Problem {
    fn error(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into(), severity: Severity::Error }
    }

    fn warning(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, line, text) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.severity == Severity::Error { "error" } else { "warning" };
        match self.line {
            0 => write!(out, "{kind}: {}: {}", self.path, self.text),
            line => write!(out, "{kind}: {}:{line}: {}", self.path, self.text),
        }
    }
}

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    anyhow::ensure!(args.is_empty(), "tidy takes no arguments");
    let files = files()?;
    let mut problems = Vec::new();
    for file in &files {
        problems.extend(words::check(file));
        if file.is_rust() {
            problems.extend(rules::check(file));
        }
    }
    problems.extend(kinds::check(&files));
    problems.extend(layers::check(&files));
    problems.extend(reasons::check(&files));
    problems.extend(runbook::check(&files));
    problems.extend(claims::check(&files));
    problems.extend(allow::unused(&files));
    problems.sort();

    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    for problem in &problems {
        print(&format!("{problem}\n"));
    }
    say(&format!("tidy: {} files, {} errors, {} warnings", files.len(), errors, problems.len() - errors));
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The text files that are, or would be, in the repository.
fn files() -> Result<Vec<Source>> {
    let root = places::root();
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let names = output(Command::new("git").args(list).current_dir(&root)).context("tidy asks git for the files")?;
    let mut files = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty() && !GENERATED.contains(name)) {
        // Deleted but not yet committed, or not text: neither is for us.
        if let Ok(text) = fs::read_to_string(root.join(name)) {
            files.push(Source::new(name, text));
        }
    }
    Ok(files)
}

/// Not written by people.
const GENERATED: [&str; 1] = ["Cargo.lock"];
