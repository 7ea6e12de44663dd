//! `cargo xtask fuzz`: the fuzz targets for as long as is wanted, on inputs that no run has seen before.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};

use crate::exec::{self, cargo, say};
use crate::places;

pub(crate) const HELP: &str = "\
Builds the fuzz targets with optimisation and the checks of a debug build, runs them on new inputs, one after the
other, and says how many inputs each looked at. Stable Rust; nothing else is needed.

Usage: cargo xtask fuzz [TARGET] [--seconds N]

  TARGET       one target, by its name (`spec`, `yaml`, `json_patch`, …): a directory in a crate's __fuzz__; else all
  --seconds N  how long each runs; 30 if it is not said

An input that fails is printed. Put it into the target's corpus (__fuzz__/TARGET/corpus), where every `cargo test`
tries it, together with the repair.
";

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let wanted = Wanted::parse(args)?;
    let targets = targets()?;
    if let Some(target) = &wanted.target {
        let known: Vec<&str> = targets.iter().map(|(_, name)| name.as_str()).collect();
        ensure!(known.contains(&target.as_str()), "{target:?} is no target: {}", known.join(", "));
    }
    let mut packages: Vec<&str> = targets
        .iter()
        .filter(|(_, name)| wanted.target.as_ref().is_none_or(|target| target == name))
        .map(|(package, _)| package.as_str())
        .collect();
    packages.dedup();
    let mut test = command(&packages, &wanted);
    say(&format!("$ {}", exec::shown(&test)));
    Ok(exec::exit_code(exec::status(&mut test)?))
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    target: Option<String>,
    seconds: u64,
}

impl Wanted {
    fn parse(args: &[String]) -> Result<Self> {
        let mut wanted = Self { target: None, seconds: 30 };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match (arg.as_str(), arg.strip_prefix("--seconds=")) {
                ("--seconds", _) => wanted.seconds = number(args.next().context("--seconds needs a number")?)?,
                (_, Some(text)) => wanted.seconds = number(text)?,
                (other, None) if other.starts_with('-') || wanted.target.is_some() => bail!("{other}: see --help"),
                (target, None) => wanted.target = Some(target.to_owned()),
            }
        }
        Ok(wanted)
    }
}

fn number(text: &str) -> Result<u64> {
    text.parse().with_context(|| format!("{text:?} is no number of seconds"))
}

/// Each target with its package: the directories in `__fuzz__`, in the order of their names.
fn targets() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let crates = places::root().join("crates");
    for entry in fs::read_dir(&crates)? {
        let path = entry?.path();
        let package = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut open = vec![path.join("src")];
        while let Some(dir) = open.pop() {
            let inner = fs::read_dir(&dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
            for path in inner.filter(|path| path.is_dir()) {
                if dir.ends_with("__fuzz__") {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    found.push((package.clone(), name));
                } else {
                    open.push(path);
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

fn command(packages: &[&str], wanted: &Wanted) -> Command {
    let mut test = cargo();
    test.args(["test", "--profile", "fuzz", "--lib"]);
    for package in packages {
        test.args(["--package", package]);
    }
    // One after the other: what is told at the end is told of a whole core each.
    test.args(["--", "fuzz::", "--test-threads", "1"]);
    test.env("EVENTCHAIN_FUZZ_SECONDS", wanted.seconds.to_string());
    if let Some(target) = &wanted.target {
        test.env("EVENTCHAIN_FUZZ_TARGET", target);
    }
    test
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Wanted> {
        let args: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Wanted::parse(&args)
    }

    #[test]
    fn a_target_and_its_time_are_chosen() {
        let one = |target: Option<&str>, seconds| Wanted { target: target.map(str::to_owned), seconds };
        assert_eq!(parsed("").unwrap(), one(None, 30));
        assert_eq!(parsed("spec --seconds 5").unwrap(), one(Some("spec"), 5));
        assert_eq!(parsed("--seconds=7").unwrap(), one(None, 7));
        for bad in ["--seconds", "--seconds x", "a b", "--loud"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn targets_are_found_by_their_corpus() {
        let found = targets().unwrap();
        for (package, target) in [("model", "spec"), ("api", "yaml"), ("api", "token")] {
            assert!(found.contains(&(package.to_owned(), target.to_owned())), "{target}: {found:?}");
        }
    }
}
