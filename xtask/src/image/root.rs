//! The files of the image, as the Dockerfile's `RUN` lays them out: the binary, the libraries it is linked with, root
//! certificates, time zones, the user.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::exec::{output, run};

/// Lays out two roots: what changes with the machine's packages, and the daemon. Answers what was taken from packages.
pub(super) fn lay_out(binary: &Path, program: &str, base: &Path, app: &Path) -> Result<Vec<PathBuf>> {
    let place = inside(app, Path::new(program));
    copy(binary, &place, 0o755)?;
    run(Command::new("strip").arg("--strip-debug").arg(&place)).context("strip (binutils) is needed")?;

    let mut taken = Vec::new();
    for library in libraries(binary)? {
        let file = fs::canonicalize(&library).with_context(|| library.display().to_string())?;
        copy(&file, &inside(base, &library), 0o755)?;
        taken.push(file);
    }
    let certificates = PathBuf::from("/etc/ssl/certs/ca-certificates.crt");
    copy(&certificates, &inside(base, &certificates), 0o644).context("the package ca-certificates is needed")?;
    let zones = Path::new("/usr/share/zoneinfo");
    fs::create_dir_all(base.join("usr/share"))?;
    run(Command::new("cp").args(["-R", "--no-preserve=all"]).arg(zones).arg(base.join("usr/share/zoneinfo")))
        .context("the package tzdata is needed")?;
    taken.push(zones.join("UTC"));

    fs::create_dir_all(base.join("etc"))?;
    fs::write(base.join("etc/passwd"), "operator:x:65532:65532:eventchain-operator:/:/nonexistent\n")?;
    fs::write(base.join("etc/group"), "operator:x:65532:\n")?;
    fs::create_dir_all(base.join("tmp"))?;
    // One set of modes, whatever this user's umask is.
    for root in [base, app] {
        run(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(root))?;
    }
    fs::set_permissions(base.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    Ok(taken)
}

/// The C library and its loader, found rather than listed.
fn libraries(binary: &Path) -> Result<Vec<PathBuf>> {
    let said = output(Command::new("ldd").arg(binary))?;
    let mut found: Vec<PathBuf> =
        said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// Where an absolute path is within a root.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}
