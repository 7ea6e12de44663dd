//! Prometheus and promtool, which the tests of `deploy/prometheus` need: the machine's, else out of Debian's package,
//! unpacked under the cache and never installed (its service would start).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::exec::{say, succeeds};
use crate::{places, system};

const PACKAGE: &str = "prometheus";

/// The two programs.
pub(crate) struct Programs {
    pub(crate) prometheus: PathBuf,
    pub(crate) promtool: PathBuf,
}

/// The machine's, else the package's.
pub(crate) fn programs() -> Result<Programs> {
    if let (Some(prometheus), Some(promtool)) = (places::on_path("prometheus"), places::on_path("promtool"))
        && runs(&promtool)
    {
        return Ok(Programs { prometheus, promtool });
    }
    let dir = places::cache()?.join(PACKAGE);
    // Two runs at once must not unpack over each other.
    let lock = fs::File::create(places::cache()?.join("prometheus.lock"))?;
    lock.lock().context("cannot lock the directory of Prometheus")?;
    if !runs(&in_package(&dir).promtool) {
        let unpacking = places::cache()?.join("prometheus.new");
        for old in [&unpacking, &dir] {
            if old.exists() {
                fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
            }
        }
        fs::create_dir(&unpacking)?;
        say(&format!("Prometheus: into {}", dir.display()));
        system::apt_unpack(PACKAGE, &unpacking)?;
        anyhow::ensure!(runs(&in_package(&unpacking).promtool), "the package's promtool does not run");
        // Last, so that half of it is not taken for the whole.
        fs::rename(&unpacking, &dir)?;
    }
    Ok(in_package(&dir))
}

fn in_package(dir: &Path) -> Programs {
    Programs { prometheus: dir.join("usr/bin/prometheus"), promtool: dir.join("usr/bin/promtool") }
}

fn runs(promtool: &Path) -> bool {
    succeeds(Command::new(promtool).arg("--version"))
}
