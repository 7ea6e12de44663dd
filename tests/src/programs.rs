//! Where the programs are that the tests run as processes of their own.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// One of our own programs: the variable's, else the one beside this program in the target directory.
///
/// # Errors
/// When there is none.
pub fn ours(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let me = std::env::current_exe().context("this program's own path")?;
    // A test is in `<profile>/deps`, a program in `<profile>`.
    let found = me.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: set {variable}, or use `cargo xtask test -p e2e`"))
}

/// A value that `cargo xtask test` hands over, where it has the thing. Without it the test says so and passes, unless
/// `REQUIRE_STRANGERS` is 1.
///
/// # Errors
/// When it is missing and must not be.
pub fn provided(what: &str, variable: &str) -> Result<Option<String>> {
    match std::env::var(variable) {
        Ok(value) if !value.is_empty() => Ok(Some(value)),
        _ if std::env::var("REQUIRE_STRANGERS").is_ok_and(|value| value == "1") => {
            bail!("{what}: {variable} is not set, and REQUIRE_STRANGERS is")
        }
        _ => {
            crate::say::say(&format!("skipped: no {what} ({variable} is not set; `cargo xtask test` sets it)"));
            Ok(None)
        }
    }
}

/// A program on PATH, or said to be missing as [`provided`] does.
///
/// # Errors
/// When it is missing and must not be.
pub fn on_path(name: &str) -> Result<Option<PathBuf>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file());
    if found.is_none() {
        if std::env::var("REQUIRE_STRANGERS").is_ok_and(|value| value == "1") {
            bail!("{name} is not on PATH, and REQUIRE_STRANGERS is set");
        }
        crate::say::say(&format!("skipped: {name} is not on PATH"));
    }
    Ok(found)
}
