//! Python environments under the cache, made once and made anew when what they hold changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::exec::{output, run, say, succeeds};
use crate::{places, system};

/// The emulators ask for 3.10.
const OLDEST: (u8, u8) = (3, 10);

/// The environment `name` with exactly these requirements asked for.
pub(crate) fn venv(name: &str, requirements: &[&str]) -> Result<PathBuf> {
    let venvs = places::cache()?.join("venv");
    fs::create_dir_all(&venvs)?;
    let dir = venvs.join(name);
    // Two runs at once must not build the same environment over each other.
    let lock = fs::File::create(venvs.join(format!("{name}.lock")))?;
    lock.lock().context("cannot lock the Python environment")?;

    let stamp = dir.join("requirements.txt");
    let wanted = requirements.join("\n");
    let python = dir.join("bin/python");
    if fs::read_to_string(&stamp).is_ok_and(|had| had == wanted) && succeeds(Command::new(&python).arg("--version")) {
        return Ok(dir);
    }
    say(&format!("Python environment {}: {}", dir.display(), requirements.join(", ")));
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    create(&dir)?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(requirements))?;
    // Last, so that an interrupted installation is not taken for a whole one.
    fs::write(&stamp, wanted)?;
    Ok(dir)
}

fn create(dir: &Path) -> Result<()> {
    let make = |python: &Path| output(Command::new(python).args(["-m", "venv"]).arg(dir)).map(drop);
    if let Some(python) = interpreter() {
        match make(&python) {
            Ok(()) => return Ok(()),
            // Debian splits `ensurepip` off into python3-venv.
            Err(error) => say(&format!("{} cannot make an environment: {error:#}", python.display())),
        }
        let _ = fs::remove_dir_all(dir);
    }
    system::apt_install(&["python3", "python3-venv"])
        .context("Python 3.10 or later with its venv module (python3, python3-venv) is missing")?;
    // Not `interpreter()`: the one found first may be the one that failed.
    make(Path::new("/usr/bin/python3"))
}

/// A Python that is recent enough.
pub(crate) fn interpreter() -> Option<PathBuf> {
    let recent = format!("import sys; sys.exit(sys.version_info < ({}, {}))", OLDEST.0, OLDEST.1);
    let found = places::on_path("python3").into_iter().chain([PathBuf::from("/usr/bin/python3")]);
    found.into_iter().find(|python| succeeds(Command::new(python).args(["-c", &recent])))
}

/// A program of an environment, checked to run.
pub(crate) fn program(venv: &Path, name: &str) -> Result<PathBuf> {
    let path = venv.join("bin").join(name);
    if !path.is_file() {
        bail!("{} is missing after its installation", path.display());
    }
    Ok(path)
}
