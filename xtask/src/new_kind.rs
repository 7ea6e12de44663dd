//! `cargo xtask new-kind`: the folder of a new AWS resource kind.

use std::process::ExitCode;

use anyhow::{Result, bail};

pub(crate) const HELP: &str = "\
Makes the folder of a new AWS resource kind, with the files that docs/adding-a-kind.md explains.

Usage: cargo xtask new-kind NAME        NAME in CamelCase, for instance `EcsService`
";

pub(crate) fn main(_args: &[String]) -> Result<ExitCode> {
    bail!("no template yet")
}
