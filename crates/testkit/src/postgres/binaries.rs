//! Finding the server's programs, and a user to run them as (Postgres refuses to run as root).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The directory that holds `initdb` and `postgres`: `EVENTCHAIN_PG_BIN`, else the first of `PATH`,
/// `/usr/lib/postgresql/<newest>/bin` and `pg_config --bindir` that has both.
pub(super) fn find_directory() -> Result<PathBuf> {
    if let Some(given) = env::var_os("EVENTCHAIN_PG_BIN") {
        let given = PathBuf::from(given);
        if !has_server(&given) {
            bail!("EVENTCHAIN_PG_BIN={} holds no initdb and postgres", given.display());
        }
        return Ok(given);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = env::split_paths(&path).chain(debian_directories()).chain(configured_directory());
    candidates
        .into_iter()
        .find(|directory| has_server(directory))
        .context("no Postgres server programs found: install postgresql, or set EVENTCHAIN_PG_BIN or DATABASE_URL")
}

fn has_server(directory: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| directory.join(program).is_file())
}

fn debian_directories() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, directory)| directory).collect()
}

fn configured_directory() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(directory.trim()))
}

/// Whom the server runs as.
pub(super) enum RunAs {
    /// Ourselves: we are not root.
    Ourselves,
    /// Somebody without privileges.
    Other { name: String, uid: u32, gid: u32 },
}

impl RunAs {
    pub(super) fn find() -> Result<Self> {
        if id(&["-u"])? != 0 {
            return Ok(Self::Ourselves);
        }
        for name in ["postgres", "nobody"] {
            if let (Ok(uid), Ok(gid)) = (id(&["-u", name]), id(&["-g", name])) {
                return Ok(Self::Other { name: name.to_owned(), uid, gid });
            }
        }
        bail!("Postgres does not run as root, and there is no user postgres or nobody")
    }

    /// A command that runs a program of this path as that user. `setpriv` and `runuser` both replace or follow it, so
    /// that its exit status is the program's.
    pub(super) fn command(&self, program: &Path) -> Command {
        match self {
            Self::Ourselves => Command::new(program),
            Self::Other { name, uid, gid } => {
                let mut command = if is_installed("setpriv") {
                    let mut command = Command::new("setpriv");
                    command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
                    command
                } else {
                    let mut command = Command::new("runuser");
                    command.args(["-u", name]);
                    command
                };
                command.arg("--").arg(program);
                command
            }
        }
    }

    /// Gives a directory to that user.
    pub(super) fn own(&self, directory: &Path) -> Result<()> {
        if let Self::Other { uid, gid, name } = self {
            std::os::unix::fs::chown(directory, Some(*uid), Some(*gid))
                .with_context(|| format!("cannot give {} to {name}", directory.display()))?;
        }
        Ok(())
    }
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn id(arguments: &[&str]) -> Result<u32> {
    let output = Command::new("id").args(arguments).output().context("cannot run `id`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("`id {}` says {text:?}", arguments.join(" ")))
}
